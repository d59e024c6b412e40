"""The canonical form of Solidity's ABI: exactly the output of eth-abi."""

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_labs.strict_abi import (
    BOOL,
    BYTES,
    Coder,
    NotCanonical,
    NotEncodable,
    array,
    fixed_bytes,
    read_all,
    sequence,
    signed,
    unsigned,
)

VALUES: dict[str, tuple[Coder, st.SearchStrategy[Any]]] = {
    "uint32": (unsigned(32), st.integers(0, 2**32 - 1)),
    "uint64": (unsigned(64), st.integers(0, 2**64 - 1)),
    "int64": (signed(64), st.integers(-(2**63), 2**63 - 1)),
    "int256": (signed(256), st.integers(-(2**255), 2**255 - 1)),
    "bytes4": (fixed_bytes(4), st.binary(min_size=4, max_size=4)),
    "bool": (BOOL, st.booleans()),
    "bytes": (BYTES, st.binary(max_size=100)),
}


def deeper(inner: st.SearchStrategy[tuple[Coder, Any]]) -> st.SearchStrategy[tuple[Coder, Any]]:
    tuples = st.lists(inner, min_size=1, max_size=4).map(
        lambda parts: (sequence([coder for coder, _ in parts]), [value for _, value in parts])
    )
    lists = st.tuples(inner, st.integers(0, 3)).map(lambda item: (array(item[0][0]), [item[0][1]] * item[1]))
    return tuples | lists


def leaves() -> st.SearchStrategy[tuple[Coder, Any]]:
    return st.one_of([st.tuples(st.just(coder), values) for coder, values in VALUES.values()])


CASES = st.lists(st.recursive(leaves(), deeper, max_leaves=8), max_size=4)
"""Arguments of a call: types and values."""


def as_tuples(value: Any) -> Any:
    """Convert structs to tuples, as eth-abi expects."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


@pytest.mark.slow
@given(CASES)
def test_strict_encoding_matches_eth_abi_and_round_trips(case: list[tuple[Coder, Any]]) -> None:
    coders, values = [coder for coder, _ in case], [value for _, value in case]
    written = sequence(coders).write(values)
    assert written == abi_encode([coder.name for coder in coders], [as_tuples(value) for value in values])
    assert read_all(sequence(coders), written) == values


@pytest.mark.slow
@given(CASES, st.data())
def test_decodable_abi_bytes_are_canonical_encoding(case: list[tuple[Coder, Any]], data: Any) -> None:
    arguments = sequence([coder for coder, _ in case])
    written = bytearray(arguments.write([value for _, value in case]))
    change = data.draw(st.sampled_from(["byte", "cut", "more", "word"]))
    if change == "byte" and written:
        written[data.draw(st.integers(0, len(written) - 1))] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del written[data.draw(st.integers(0, len(written))) :]
    elif change == "word" and written:
        at = 32 * data.draw(st.integers(0, len(written) // 32 - 1))
        written[at : at + 32] = data.draw(st.integers(0, 200)).to_bytes(32, "big")
    else:
        written += data.draw(st.binary(max_size=40))
    try:
        values = read_all(arguments, bytes(written))
    except NotCanonical:
        return
    assert arguments.write(values) == written


def strict_words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


PAIR_OF_BYTES = [BYTES, BYTES]
NOT_CANONICAL: dict[str, tuple[list[Coder], bytes]] = {
    "a truth value of 2": ([BOOL], strict_words(2)),
    "a sign that does not fill the word": ([signed(64)], strict_words(2**63)),
    "a number too large": ([unsigned(64)], strict_words(2**64)),
    "letters behind bytes4": ([fixed_bytes(4)], b"abcde".ljust(32, b"\0")),
    "both offsets to one tail": (PAIR_OF_BYTES, strict_words(64, 64, 0)),
    "tails in the other order": (PAIR_OF_BYTES, strict_words(96, 64, 0, 0)),
    "an offset back into the head": (PAIR_OF_BYTES, strict_words(0, 64, 0, 0)),
    "a list longer than what is there": ([array(unsigned(64))], strict_words(32, 3, 1, 2)),
    "a list of 2^255 items": ([array(unsigned(64))], strict_words(32, 2**255)),
    "two items where one may be": ([array(unsigned(64), max_items=1)], strict_words(32, 2, 1, 2)),
    "a word behind": ([unsigned(64)], strict_words(1, 1)),
}


@pytest.mark.parametrize("case", NOT_CANONICAL)
def test_non_canonical_abi_data_is_rejected(case: str) -> None:
    coders, data = NOT_CANONICAL[case]
    with pytest.raises(NotCanonical):
        read_all(sequence(coders), data)


@pytest.mark.parametrize(
    ("coder", "value"),
    [
        (unsigned(64), -1), (unsigned(64), True), (signed(8), 128), (BOOL, 1), (BYTES, "text"), (fixed_bytes(4), b"x"),
        (array(BOOL), None), (array(BOOL, max_items=1), [True, True]), (sequence([BOOL, BOOL]), [True]),
    ],
)  # fmt: skip
def test_a_value_that_a_type_does_not_have_is_not_written(coder: Coder, value: Any) -> None:
    with pytest.raises(NotEncodable):
        coder.write(value)
