"""Keccak-256 of symbolic data: a new term per hash, related to the other hashes by axioms.

Axioms, which hold unless a collision of Keccak-256 is found:

- equal data of one length have equal hashes;
- hashes of different data differ, by more than 2^64 in both directions, so that array elements do not overlap;
- their last 160 bits, which become addresses, differ, too;
- a hash of symbolic data is not within 2^64 of 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import z3

from fvm_hypervisor.soltest.symbolic.data import Data, bit_vector, concrete
from fvm_hypervisor.soltest.symbolic.words import BITS, MASK, Condition, Word, condition, equal, term
from store.keccak import keccak

_DISTANCE: Final = 1 << 64
MAX_HASHES: Final = 64
"""Maximum number of symbolic hashes of a path."""


@dataclass(slots=True)
class Hashes:
    """The hashes of a path: symbolic ones with their data, and known ones of numbers."""

    symbolic: list[tuple[Any, Any, int]] = field(default_factory=list)
    """Hash, data as a bit vector, and length in bytes."""
    known: dict[int, bytes] = field(default_factory=dict)
    axioms: list[Any] = field(default_factory=list)

    def copy(self) -> Hashes:
        """Return an independent copy."""
        return Hashes(list(self.symbolic), dict(self.known), list(self.axioms))

    def hash(self, data: Data) -> tuple[Word, list[Any]]:
        """Return the hash of data, and the axioms that it adds."""
        numbers = concrete(data)
        if numbers is not None:
            value = int.from_bytes(keccak(numbers), "big")
            if value in self.known:
                return value, []
            self.known[value] = numbers
            return value, self._add([self._known_axiom(hashed, value) for hashed in self.symbolic])
        bits = bit_vector(data)
        for made, of, _ in self.symbolic:
            if of.eq(bits):
                return made, []
        made = z3.BitVec(f"keccak!{bits.get_id()}!{len(data)}", BITS)
        entry = (made, bits, len(data))
        added = [z3.UGT(made, _DISTANCE), z3.ULT(made, MASK - _DISTANCE)]
        added += [_related(entry, other) for other in self.symbolic]
        added += [self._known_axiom(entry, value) for value in self.known]
        self.symbolic.append(entry)
        return made, self._add(added)

    def _add(self, added: list[Any]) -> list[Any]:
        self.axioms += added
        return added

    def _known_axiom(self, entry: tuple[Any, Any, int], value: int) -> Any:
        data = self.known[value]
        known = (term(value), z3.BitVecVal(int.from_bytes(data, "big"), max(8 * len(data), 8)), len(data))
        return _related(entry, known)

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

    def _same_as_number(self, found: tuple[tuple[Any, Any, int], int], number: int) -> Condition:
        (made, bits, length), offset = found
        if number < _DISTANCE:
            return False
        data = self.known.get(number - offset)
        if data is None:
            near = any(0 <= number - value < _DISTANCE for value in self.known)
            return False if near else equal(made, number - offset)
        return condition(bits == int.from_bytes(data, "big")) if len(data) == length else False

    def _parts(self, key: Word) -> tuple[tuple[Any, Any, int], int] | None:
        """Return a key as a symbolic hash and an offset below 2^64, or None."""
        offset = 0
        if not isinstance(key, int) and z3.is_app_of(key, z3.Z3_OP_BADD) and key.num_args() == 2:
            first, second = key.arg(0), key.arg(1)
            if z3.is_bv_value(first) and first.as_long() < _DISTANCE:
                offset, key = first.as_long(), second
        if isinstance(key, int):
            return None
        return next(((entry, offset) for entry in self.symbolic if entry[0].eq(key)), None)


def _related(one: tuple[Any, Any, int], other: tuple[Any, Any, int]) -> Any:
    """Return the axiom about two hashes."""
    between = one[0] - other[0]
    differ = z3.Extract(159, 0, one[0]) != z3.Extract(159, 0, other[0])
    apart = z3.And(z3.UGT(between, _DISTANCE), z3.ULT(between, MASK - _DISTANCE), differ)
    if one[2] != other[2]:
        return apart
    return z3.If(one[1] == other[1], one[0] == other[0], apart)
