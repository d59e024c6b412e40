"""Offsets of storage slots that hashed data determine."""

from typing import Any, Final

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_tools.soltest.symbolic.hashes import Hashes
from hypervisor_tools.soltest.symbolic.words import TOP, condition, words_data
from store.keccak import keccak

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


@pytest.mark.slow
@pytest.mark.parametrize(("words", "offset", "wanted"), CASES.values(), ids=CASES)
def test_data_determine_an_offset_to_within_2_64(words: list[Any], offset: Any, wanted: bool) -> None:
    hashes = Hashes()
    slot, _ = hashes.hash(words_data(*words))
    assert (hashes._parts(z3.simplify(slot + offset)) is not None) is wanted
    assert hashes._determines(hashes.symbolic[0], offset) is wanted


def test_a_query_without_an_answer_determines_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_tools.soltest.symbolic.hashes._DETERMINED_LIMIT", 1)
    hashes = Hashes()
    hashes.hash(words_data(X * X))
    assert not hashes._determines(hashes.symbolic[0], X * X * X)


@pytest.mark.slow
def test_a_slot_of_undetermined_offset_may_be_any_other_one() -> None:
    hashes = Hashes()
    slot, _ = hashes.hash(words_data(X))
    other, _ = hashes.hash(words_data(X + 1))
    assert hashes.same(slot, other) is False
    assert not isinstance(hashes.same(slot + Y, other), bool)


SEED: Final = bytes.fromhex("7d882553")
TOKENS: Final = st.integers(0, 6) | st.sampled_from(
    [2**32, 2**32 + 1, 2**62, 2**63, 2**128, 2**255 + 1, 2**255 + 5, TOP - 1]
)


def preimage(token: int) -> bytes:
    """Return the data that Solady hashes for the slot of a token: the upper 224 bits of its ID, and a seed."""
    return (token >> 32).to_bytes(28, "big") + SEED


def real_slot(token: int) -> int:
    """Return Solady's slot of a token."""
    return (2 * token + int.from_bytes(keccak(preimage(token)), "big")) % TOP


DATA: Final = z3.Concat(z3.Extract(255, 32, X), z3.BitVecVal(int.from_bytes(SEED, "big"), 32))
HASHED: Final = Hashes()
"""Hashes with that of token X; copies share the queries whether data determine an offset."""
HASH: Final = HASHED.hash(words_data(DATA))[0]
SLOTS: Final = [z3.simplify(HASH + 2 * X + low) for low in range(3)]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(TOKENS, TOKENS, st.sets(TOKENS), st.integers(0, 2), st.integers(0, 2))
def test_slots_compare_as_their_real_values(token: int, other: int, known: set[int], low: int, high: int) -> None:
    hashes = HASHED.copy()
    for one in known:
        hashes.hash(list(preimage(one)))
    number = (real_slot(other) + high) % TOP
    holds = hashes.same(SLOTS[low], number)
    if not isinstance(holds, bool):
        real = int.from_bytes(keccak(preimage(token)), "big")
        holds = condition(z3.substitute(holds, (X, z3.BitVecVal(token, 256)), (HASH, z3.BitVecVal(real, 256))))
    assert holds is ((real_slot(token) + low) % TOP == number)
