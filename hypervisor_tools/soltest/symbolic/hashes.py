"""Keccak-256 of symbolic data: a new term per hash, related to the other hashes by axioms.

Storage keys and equalities of hashes are compared by the hashed data, without the terms. A hash gets its axioms once a
constraint contains its term (`activate`). Other hashes need none: whatever their data are, values that satisfy the
axioms exist, so the axioms would not exclude any model of the constraints.

Axioms, which hold unless a collision of Keccak-256 is found:

- equal data of one length have equal hashes;
- hashes of different data differ, by more than 2^64 in both directions, so that array elements do not overlap;
- their last 160 bits, which become addresses, differ, too;
- a hash of symbolic data is above 2^128, and not within 2^64 of 2^256; and no slot `hash + offset` is below 2^128;
- two slots of the form `hash + offset` are equal only if the hashed data and the offsets are equal, provided that equal
  data fix the offset to within 2^64. Solady computes the slot of a token in this way: twice the token's ID, plus the
  hash of the ID's upper 224 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import z3

from hypervisor_tools.soltest.symbolic.solver import HASH_NAME, Constants
from hypervisor_tools.soltest.symbolic.words import (
    BITS,
    MASK,
    Condition,
    Data,
    Word,
    bit_vector,
    concrete,
    condition,
    equal,
    free_constants,
    is_same,
    reduced,
    term,
    word_at,
    words_data,
)
from store.keccak import keccak

_DISTANCE: Final = 1 << 64
_LOWEST: Final = 1 << 128
"""Assumed lower bound of hashes of symbolic data and of slots `hash + offset`.

Constant slots of source code, such as that of Solady's total supply, are often below it.
"""
MAX_HASHES: Final = 64
"""Maximum number of symbolic hashes of a path."""
_DETERMINED_LIMIT: Final = 20_000_000
"""Limit of the query whether hashed data determine an offset, in z3's units: about three seconds of processor time."""
_NUMBERS: Final = count()


@dataclass(frozen=True, slots=True)
class HashOf:
    """A hash with its data: their words, which are padded with zeros, and their size in bytes."""

    hash: Word
    words: tuple[Word, ...]
    size: int

    @property
    def data(self) -> Any:
        """The data as a bit vector."""
        return bit_vector(words_data(*self.words)[: self.size])


@dataclass(slots=True)
class Hashes:
    """The hashes of a path: symbolic ones with their data, and known ones of numbers."""

    symbolic: list[HashOf] = field(default_factory=list)
    known: dict[int, bytes] = field(default_factory=dict)
    active: dict[int, HashOf] = field(default_factory=dict)
    """Hashes whose terms constraints contain, by the identity of the term."""
    determined: dict[tuple[int, int], tuple[Any, Any, bool]] = field(default_factory=dict)
    """Hash, offset, and True if the data determine the offset, by the identities of both. Shared by all copies."""

    def copy(self) -> Hashes:
        """Return an independent copy."""
        return Hashes(list(self.symbolic), dict(self.known), dict(self.active), self.determined)

    def hash(self, data: Data) -> tuple[Word, list[Any]]:
        """Return the hash of data, and the axioms that it adds."""
        numbers = concrete(data)
        if numbers is not None:
            value = int.from_bytes(keccak(numbers), "big")
            if value in self.known:
                return value, []
            self.known[value] = numbers
            return value, [self._known_axiom(hashed, value) for hashed in self.active.values()]
        words = tuple(word_at(data, at) for at in range(0, len(data), 32))
        for other in self.symbolic:
            if other.size == len(data) and all(map(is_same, other.words, words)):
                return other.hash, []
        made = z3.BitVec(f"{HASH_NAME}{next(_NUMBERS)}", BITS)
        self.symbolic.append(HashOf(made, words, len(data)))
        return made, []

    def activate(self, terms: Iterable[Any], constants: Constants) -> list[Any]:
        """Return the axioms of the hashes that terms contain, and that had none so far."""
        if len(self.active) == len(self.symbolic):
            return []
        waiting = {entry.hash.get_id(): entry for entry in self.symbolic if entry.hash.get_id() not in self.active}
        added: list[Any] = []
        todo = list(terms)
        while todo:
            for name in waiting.keys() & constants.of(todo.pop()):
                entry = waiting.pop(name)
                axioms = [z3.UGT(entry.hash, _LOWEST), z3.ULT(entry.hash, MASK - _DISTANCE)]
                axioms += [self._related(entry, other) for other in self.active.values()]
                axioms += [self._known_axiom(entry, value) for value in self.known]
                self.active[name] = entry
                added += axioms
                todo += axioms  # their data may contain other hashes
        return added

    def _known_axiom(self, entry: HashOf, value: int) -> Any:
        return self._related(entry, self._known(value))

    def _known(self, value: int) -> HashOf:
        data = self.known[value]
        words = tuple(int.from_bytes(data[at : at + 32].ljust(32, b"\0"), "big") for at in range(0, len(data), 32))
        return HashOf(value, words, len(data))

    def _related(self, one: HashOf, other: HashOf) -> Any:
        """Return the axiom about two hashes."""
        between = term(one.hash) - term(other.hash)
        differ = z3.Extract(159, 0, term(one.hash)) != z3.Extract(159, 0, term(other.hash))
        apart = z3.And(z3.UGT(between, _DISTANCE), z3.ULT(between, MASK - _DISTANCE), differ)
        same = self._same_data(one, other)
        if isinstance(same, bool):
            return term(one.hash) == term(other.hash) if same else apart
        return z3.If(same, term(one.hash) == term(other.hash), apart)

    def _same_data(self, one: HashOf, other: HashOf) -> Condition:
        """Return the condition under which two hashes have the same data."""
        if one.size != other.size:
            return False
        found = [self.same_word(*pair) for pair in zip(one.words, other.words, strict=True)]
        if any(holds is False for holds in found):
            return False
        return condition(z3.And(*(holds for holds in found if holds is not True)))

    def same_word(self, left: Word, right: Word) -> Condition:
        """Return the condition under which two words are equal; hashes are equal if their data are."""
        if self._parts(left) is None and self._parts(right) is None:
            return equal(left, right)
        return self.same(left, right)

    def same(self, left: Word, right: Word) -> Condition:
        """Return the condition under which two storage keys are equal."""
        if isinstance(left, int) and isinstance(right, int):
            return left == right
        one, other = self._parts(left), self._parts(right)
        if one is None or other is None:
            found = one or other
            number = left if isinstance(left, int) else right if isinstance(right, int) else None
            if found is not None and number is not None:
                return self._same_as_number(found, number)
            return equal(left, right)
        (hashed, offset), (other_hash, other_offset) = one, other
        return _both(self._same_data(hashed, other_hash), equal(offset, other_offset))

    def _same_as_number(self, found: tuple[HashOf, Word], number: int) -> Condition:
        hashed, offset = found
        if number < _LOWEST:
            return False
        near = [value for value in self.known if 0 <= number - value < _DISTANCE]
        if not near:  # the number may be the sum of a hash that is not known
            return equal(reduced(hashed.hash + offset), number)
        return _any(_both(self._same_data(hashed, self._known(value)), equal(offset, number - value)) for value in near)

    def _parts(self, key: Word) -> tuple[HashOf, Word] | None:
        """Return a key as a symbolic hash and an offset, or None.

        The offset is below 2^64, or determined by the hashed data.
        """
        if isinstance(key, int):
            return None
        terms = key.children() if z3.is_app_of(key, z3.Z3_OP_BADD) else [key]
        for position, summand in enumerate(terms):
            entry = next((one for one in self.symbolic if one.hash.eq(summand)), None)
            if entry is None:
                continue
            rest = terms[:position] + terms[position + 1 :]
            offset = reduced(sum(rest[1:], rest[0])) if rest else 0
            is_near = offset < _DISTANCE if isinstance(offset, int) else self._determines(entry, offset)
            return (entry, offset) if is_near else None
        return None

    def _determines(self, entry: HashOf, offset: Any) -> bool:
        """Return True if equal hashed data imply offsets less than 2^64 apart."""
        name = (entry.hash.get_id(), offset.get_id())
        if name not in self.determined:
            words = [word for word in entry.words if not isinstance(word, int)]
            others = [(one, z3.FreshConst(one.sort())) for one in free_constants(offset, *words)]
            changed = z3.substitute(offset, *others)
            solver = z3.Solver()
            solver.set("rlimit", _DETERMINED_LIMIT)
            solver.add(*(one == z3.substitute(one, *others) for one in words))
            solver.add(z3.UGE(offset - changed, _DISTANCE), z3.UGE(changed - offset, _DISTANCE))
            try:
                is_determined = solver.check() == z3.unsat
            except z3.Z3Exception:  # such as too little memory
                is_determined = False
            self.determined[name] = (entry, offset, is_determined)
        return self.determined[name][2]


def _both(one: Condition, other: Condition) -> Condition:
    if isinstance(one, bool) or isinstance(other, bool):
        return False if one is False or other is False else other if one is True else one
    return condition(z3.And(one, other))


def _any(conditions: Iterable[Condition]) -> Condition:
    found = [one for one in conditions if one is not False]
    return True if True in found else condition(z3.Or(*found))
