"""New symbolic words and bytes."""

from __future__ import annotations

import z3

from fvm_hypervisor.soltest.symbolic.data import Byte, bytes_of_word
from fvm_hypervisor.soltest.symbolic.path import fresh
from fvm_hypervisor.soltest.symbolic.words import BITS, Word


def number_of(bits: int, signed: bool = False, name: str = "value") -> Word:
    """Return a new symbolic integer of `bits` bits, extended to a word."""
    extend = z3.SignExt if signed else z3.ZeroExt
    return z3.simplify(extend(BITS - bits, fresh(name, bits)))


def fixed_bytes(size: int, name: str = "value") -> Word:
    """Return a new symbolic word whose first `size` bytes are unconstrained and whose other bytes are 0."""
    rest = BITS - 8 * size
    return z3.simplify(z3.Concat(fresh(name, 8 * size), z3.BitVecVal(0, rest))) if rest else fresh(name)


def any_bytes(size: int, name: str = "value") -> list[Byte]:
    """Return new symbolic bytes."""
    found: list[Byte] = []
    for at in range(0, size, 32):
        found += bytes_of_word(fresh(name))[: size - at]
    return found
