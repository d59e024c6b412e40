"""Rejection of ABI data whose decoded size far exceeds its encoded size, before decoding; other data is accepted."""

import time
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.abi_unfolding import check_unfolding
from tests.patience import slowness

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "bool": st.booleans(),
    "bytes3": st.binary(min_size=3, max_size=3),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=20),
}


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> tuple[dict[str, Any], str, Any]:
    """Generate an ABI item, its type as in a signature, and a value."""
    shape = draw(st.sampled_from(["scalar", "list", "fixed", "tuple"])) if depth else "scalar"
    if shape == "scalar":
        kind = draw(st.sampled_from(sorted(SCALARS)))
        return {"type": kind}, kind, draw(SCALARS[kind])
    if shape == "tuple":
        parts = draw(st.lists(typed(depth - 1), min_size=1, max_size=3))
        item = {"type": "tuple", "components": [part for part, _, _ in parts]}
        return item, f"({','.join(kind for _, kind, _ in parts)})", tuple(value for _, _, value in parts)
    item, kind, value = draw(typed(depth - 1))
    count = draw(st.integers(1 if shape == "fixed" else 0, 3))
    brackets = f"[{count}]" if shape == "fixed" else "[]"
    return {**item, "type": f"{item['type']}{brackets}"}, kind + brackets, [value] * count


@pytest.mark.slow
@given(st.lists(typed(), max_size=3))
def test_valid_abi_encoding_is_accepted_and_truncation_refused(values: list[Any]) -> None:
    items, kinds = [item for item, _, _ in values], [kind for _, kind, _ in values]
    data = encode(kinds, [value for _, _, value in values])
    check_unfolding(items, data)
    for cut in range(0, len(data), 32):
        with pytest.raises(ValueError, match=r"bytes at offset|more items"):
            check_unfolding(items, data[:cut])


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def shared_bytes(copies: int, size: int) -> bytes:
    """Encode a bytes[] whose items all share the same bytes."""
    return words(32, copies, *[32 * copies] * copies, size) + bytes(size)


def shared_lists(levels: int) -> bytes:
    """Encode a uint256[]...[] with ten items on each level that all share the same data."""
    data = words(10) + bytes(320)
    for _ in range(levels - 1):
        data = words(10, *[320] * 10) + data
    return words(32) + data


BOMBS = {
    "128 MB in 128 KB": ("bytes[]", shared_bytes(2_000, 64_000)),
    "a hundred million numbers in 3 KB": ("uint256" + "[]" * 8, shared_lists(8)),
    "a list that is an item of itself": ("uint256[][]", words(32, 1, 0)),
    "more items than there are words": ("uint256[]", words(32, 1 << 255)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_unbounded_expansion_is_rejected_immediately(name: str) -> None:
    kind, data = BOMBS[name]
    interface = ContractInterface([{"type": "function", "name": "f", "inputs": [{"name": "a", "type": kind}]}])
    selector = interface.encode_call("f", [])[:4]
    before = time.process_time()
    with pytest.raises(AbiMismatch, match="f: "):
        interface.decode_call(selector + data)
    assert time.process_time() - before < 1 * slowness()


def test_shared_data_within_bounds_is_decoded() -> None:
    data = shared_bytes(2, 32)
    assert decode(["bytes[]"], data) == ((bytes(32), bytes(32)),)
    check_unfolding([{"type": "bytes[]"}], data)
