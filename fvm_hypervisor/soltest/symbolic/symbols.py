"""New symbolic words and bytes."""

from __future__ import annotations

import z3

from fvm_hypervisor.soltest.symbolic.data import Byte, bytes_of_word
from fvm_hypervisor.soltest.symbolic.path import Path, fresh
from fvm_hypervisor.soltest.symbolic.words import Word


def number_of(path: Path, bits: int, signed: bool = False, name: str = "value") -> Word:
    """Return a new symbolic integer of `bits` bits, extended to a word."""
    made = fresh(name)
    if bits == 256:
        return made
    part = z3.Extract(bits - 1, 0, made)
    path.assume((z3.SignExt if signed else z3.ZeroExt)(256 - bits, part) == made)
    return made


def fixed_bytes(path: Path, size: int, name: str = "value") -> Word:
    """Return a new symbolic word whose first `size` bytes are unconstrained and whose other bytes are 0."""
    made = fresh(name)
    if size < 32:
        path.assume(z3.Extract(255 - 8 * size, 0, made) == 0)
    return made


def any_bytes(size: int, name: str = "value") -> list[Byte]:
    """Return new symbolic bytes."""
    found: list[Byte] = []
    for at in range(0, size, 32):
        found += bytes_of_word(fresh(name))[: size - at]
    return found
