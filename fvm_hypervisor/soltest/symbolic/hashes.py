"""Keccak-256 of symbolic data: a new term per hash, related to the other hashes by axioms.

Storage keys and equalities of hashes are compared by the hashed data, without the terms. A hash gets its axioms once a
constraint contains its term (`activate`). Other hashes need none: whatever their data are, values that satisfy the
axioms exist, so the axioms would not exclude any model of the constraints.

Axioms, which hold unless a collision of Keccak-256 is found:

- equal data of one length have equal hashes;
- hashes of different data differ, by more than 2^64 in both directions, so that array elements do not overlap;
- their last 160 bits, which become addresses, differ, too;
- a hash of symbolic data is not within 2^64 of 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import z3

from fvm_hypervisor.soltest.symbolic.constants import Constants
from fvm_hypervisor.soltest.symbolic.data import Data, bit_vector, concrete
from fvm_hypervisor.soltest.symbolic.words import BITS, MASK, Condition, Word, condition, equal, term
from store.keccak import keccak

_DISTANCE: Final = 1 << 64
MAX_HASHES: Final = 64
"""Maximum number of symbolic hashes of a path."""


Entry: TypeAlias = tuple[Any, Any, int]
"""Hash, data as a bit vector, and length in bytes."""


@dataclass(slots=True)
class Hashes:
    """The hashes of a path: symbolic ones with their data, and known ones of numbers."""

    symbolic: list[Entry] = field(default_factory=list)
    known: dict[int, bytes] = field(default_factory=dict)
    active: dict[int, Entry] = field(default_factory=dict)
    """Hashes whose terms constraints contain, by the identity of the term."""

    def copy(self) -> Hashes:
        """Return an independent copy."""
        return Hashes(list(self.symbolic), dict(self.known), dict(self.active))

    def hash(self, data: Data) -> tuple[Word, list[Any]]:
        """Return the hash of data, and the axioms that it adds."""
        numbers = concrete(data)
        if numbers is not None:
            value = int.from_bytes(keccak(numbers), "big")
            if value in self.known:
                return value, []
            self.known[value] = numbers
            return value, [self._known_axiom(hashed, value) for hashed in self.active.values()]
        bits = bit_vector(data)
        for made, of, _ in self.symbolic:
            if of.eq(bits):
                return made, []
        made = z3.BitVec(f"keccak!{bits.get_id()}!{len(data)}", BITS)
        self.symbolic.append((made, bits, len(data)))
        return made, []

    def activate(self, terms: Iterable[Any], constants: Constants) -> list[Any]:
        """Return the axioms of the hashes that terms contain, and that had none so far."""
        if len(self.active) == len(self.symbolic):
            return []
        waiting = {entry[0].get_id(): entry for entry in self.symbolic if entry[0].get_id() not in self.active}
        added: list[Any] = []
        todo = list(terms)
        while todo:
            for name in waiting.keys() & constants.of(todo.pop()):
                entry = waiting.pop(name)
                added += [z3.UGT(entry[0], _DISTANCE), z3.ULT(entry[0], MASK - _DISTANCE)]
                added += [_related(entry, other) for other in self.active.values()]
                added += [self._known_axiom(entry, value) for value in self.known]
                self.active[name] = entry
                todo.append(entry[1])  # the axioms contain the data, and with them perhaps other hashes
        return added

    def _known_axiom(self, entry: Entry, value: int) -> Any:
        data = self.known[value]
        known = (term(value), z3.BitVecVal(int.from_bytes(data, "big"), max(8 * len(data), 8)), len(data))
        return _related(entry, known)

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
        if hashed[2] != other_hash[2] or offset != other_offset:
            return False
        return condition(hashed[1] == other_hash[1])

    def _same_as_number(self, found: tuple[Entry, int], number: int) -> Condition:
        (made, bits, length), offset = found
        if number < _DISTANCE:
            return False
        data = self.known.get(number - offset)
        if data is None:
            near = any(0 <= number - value < _DISTANCE for value in self.known)
            return False if near else equal(made, number - offset)
        return condition(bits == int.from_bytes(data, "big")) if len(data) == length else False

    def _parts(self, key: Word) -> tuple[Entry, int] | None:
        """Return a key as a symbolic hash and an offset below 2^64, or None."""
        offset = 0
        if not isinstance(key, int) and z3.is_app_of(key, z3.Z3_OP_BADD) and key.num_args() == 2:
            first, second = key.arg(0), key.arg(1)
            if z3.is_bv_value(first) and first.as_long() < _DISTANCE:
                offset, key = first.as_long(), second
        if isinstance(key, int):
            return None
        return next(((entry, offset) for entry in self.symbolic if entry[0].eq(key)), None)


def _related(one: Entry, other: Entry) -> Any:
    """Return the axiom about two hashes."""
    between = one[0] - other[0]
    differ = z3.Extract(159, 0, one[0]) != z3.Extract(159, 0, other[0])
    apart = z3.And(z3.UGT(between, _DISTANCE), z3.ULT(between, MASK - _DISTANCE), differ)
    if one[2] != other[2]:
        return apart
    return z3.If(one[1] == other[1], one[0] == other[0], apart)
