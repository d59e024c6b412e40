"""Offsets of storage slots that hashed data determine."""

from __future__ import annotations

from typing import Any, Final

import pytest
import z3

from fvm_hypervisor.soltest.symbolic.data import words_data
from fvm_hypervisor.soltest.symbolic.hashes import Hashes

X, Y = z3.BitVecs("x y", 256)


def low(bits: int) -> Any:
    """Return the lowest bits of X as a word."""
    return z3.ZeroExt(256 - bits, z3.Extract(bits - 1, 0, X))


CASES: Final = {
    "the data themselves": ([X], X, True),
    "another input": ([X], Y, False),
    "an input beside the data": ([X], X + Y, False),
    "a sum of hashed inputs": ([X, Y], X + Y, True),
    "a summand of a hashed sum": ([X + Y], X, False),
    "64 bits that are not hashed": ([z3.LShR(X, 64)], X, True),
    "65 bits that are not hashed": ([z3.LShR(X, 65)], X, False),
    "twice 64 bits that are not hashed": ([z3.LShR(X, 64)], 2 * X, False),
    "twice 32 bits that are not hashed": ([z3.LShR(X, 32)], 2 * X, True),
    "the negative of 64 bits": ([z3.LShR(X, 64)], -low(64), True),
    "the negative of 65 bits": ([z3.LShR(X, 65)], -low(65), False),
    "a choice by a hashed bit": ([z3.LShR(X, 255)], z3.If(z3.LShR(X, 255) == 0, 0, z3.BitVecVal(1 << 200, 256)), True),
    "a choice by another bit": ([z3.LShR(X, 255)], z3.If(low(1) == 0, 0, z3.BitVecVal(1 << 200, 256)), False),
    "a number beside the data": ([7, X], X, True),
}  # fmt: skip


@pytest.mark.parametrize(("words", "offset", "wanted"), CASES.values(), ids=CASES)
def test_data_determine_an_offset_to_within_2_64(words: list[Any], offset: Any, wanted: bool) -> None:
    hashes = Hashes()
    slot, _ = hashes.hash(words_data(*words))
    assert (hashes._parts(z3.simplify(slot + offset)) is not None) is wanted
    assert hashes._determines(hashes.symbolic[0], offset) is wanted


def test_a_query_without_an_answer_determines_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvm_hypervisor.soltest.symbolic.hashes._DETERMINED_LIMIT", 1)
    hashes = Hashes()
    hashes.hash(words_data(X * X))
    assert not hashes._determines(hashes.symbolic[0], X * X * X)


def test_a_slot_of_undetermined_offset_may_be_any_other_one() -> None:
    hashes = Hashes()
    slot, _ = hashes.hash(words_data(X))
    other, _ = hashes.hash(words_data(X + 1))
    assert hashes.same(slot, other) is False
    assert not isinstance(hashes.same(slot + Y, other), bool)
