"""RLP compared with the `rlp` library: the same bytes, values and errors."""

from typing import Any

import pytest
import rlp as oracle
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum import rlp as our_rlp

ITEMS: st.SearchStrategy[Any] = st.recursive(
    st.binary(max_size=80), lambda items: st.lists(items, max_size=6), max_leaves=20
)


@given(ITEMS)
def test_encoding_is_that_of_the_library_and_comes_back(item: Any) -> None:
    data = our_rlp.encode(item)
    assert data == oracle.encode(item)
    assert our_rlp.decode(data) == item


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "truncated"),
        ("83646f", "truncated"),
        ("c28080" + "00", "1 trailing bytes"),
        ("8105", "single byte below 0x80"),
        ("b801ff", "minimally encoded"),
        ("b90038" + "00" * 56, "minimally encoded"),
        ("bb", "truncated"),
        ("c7" * 20, "truncated|deeper"),
        ("c1" * 18 + "c0", "truncated|deeper"),
    ],
)
def test_another_form_than_the_canonical_one_is_refused(data: str, words: str) -> None:
    with pytest.raises(our_rlp.RlpError, match=words):
        our_rlp.decode(bytes.fromhex(data))


def test_lists_may_nest_sixteen_deep() -> None:
    nested: Any = []
    for _ in range(our_rlp.MAX_DEPTH - 1):
        nested = [nested]
    assert our_rlp.decode(oracle.encode(nested)) == nested
    with pytest.raises(our_rlp.RlpError, match="deeper than 16"):
        our_rlp.decode(oracle.encode([[nested]]))


@given(st.integers(0, 1 << 256))
def test_numbers_are_big_endian_without_leading_zeros(value: int) -> None:
    assert our_rlp.number(value) == oracle.sedes.big_endian_int.serialize(value)
    if value < 1 << 256:
        assert our_rlp.read_number(our_rlp.number(value)) == value


def test_a_number_is_read_within_its_length_only() -> None:
    assert our_rlp.read_number(b"\xff" * 8, 8) == (1 << 64) - 1
    with pytest.raises(our_rlp.RlpError, match="9 bytes, at most 8"):
        our_rlp.read_number(b"\x01" + bytes(8), 8)
    with pytest.raises(our_rlp.RlpError, match="leading zeros"):
        our_rlp.read_number(b"\x00\x01")
    with pytest.raises(our_rlp.RlpError, match="expected a byte string, found a list"):
        our_rlp.read_number([])


def test_a_list_is_read_with_its_length() -> None:
    assert our_rlp.read_list([b"a"], 1) == [b"a"]
    with pytest.raises(our_rlp.RlpError, match="expected a list of 1 items, found 2"):
        our_rlp.read_list([b"a", b"b"], 1)
    with pytest.raises(our_rlp.RlpError, match="expected a list, found a byte string"):
        our_rlp.read_list(b"")
