"""Checks for input that cbor2 5 accepts and cbor2 6 rejects; `make lowest` runs the codec's tests with cbor2 5."""

import pytest
from cbor2 import CBORDecodeError, dumps
from hypothesis import given, settings
from hypothesis import strategies as st

from store.cbor_loading import FOREIGN_TAGS, LoadingError, check, loader
from tests.conftest import samples

DEPTH = 9
load = loader(DEPTH)

REFUSED = [
    ("c11a514b67b0", "a time"),
    ("d9010080", "a string namespace, with its tag in two bytes"),
    ("82f6d81c80", "a shared value as second item"),
    ("bfd82580f6ff", "a tag in a key"),
    ("ff", "a break"),
    ("81ff", "a break in an array of definite length"),
    ("a1ff00", "a break as a key"),
    ("9f81ffff", "a break in a definite array that is in an indefinite one"),
    ("bf6161ff", "a break instead of a map's value"),
    ("f800", "a simple value below 32 in two bytes"),
    ("f81f", "the highest of them"),
    ("81" * (DEPTH + 1) + "00", "too many levels"),
    ("d82a" * (DEPTH + 1) + "00", "too many levels of tags"),
    ("9f" * (DEPTH + 1) + "ff" * (DEPTH + 1), "too many levels of indefinite length"),
]
READ = [
    ("d82a4100", "a link"),
    ("d82bf6", "a tag that cbor2 does not know"),
    ("9f9fffbfffff", "empty containers of indefinite length"),
    ("bf61610061629fffff", "a map of indefinite length"),
    ("5f41ff41c1ff", "bytes in parts, which hold a break and a tag"),
    ("58ff" + "c1" * 255, "bytes that look like tags"),
    ("590100" + "ff" * 256, "more bytes, which look like breaks"),
    ("82f8fff820", "simple values"),
    ("00c1", "trailing bytes, which are not read"),
    ("81" * DEPTH + "00", "as many levels as allowed"),
    ("82" + "81" * (DEPTH - 1) + "00" + "81" * (DEPTH - 1) + "00", "the same twice"),
]


@pytest.mark.parametrize(("block", "what"), REFUSED)
def test_data_that_cbor2_6_refuses_is_refused_by_the_check(block: str, what: str) -> None:
    with pytest.raises((CBORDecodeError, ValueError)):
        load(bytes.fromhex(block))
    with pytest.raises(LoadingError):
        check(bytes.fromhex(block), DEPTH)


@pytest.mark.parametrize(("block", "what"), READ)
def test_data_that_cbor2_6_reads_passes_the_check(block: str, what: str) -> None:
    load(bytes.fromhex(block))
    check(bytes.fromhex(block), DEPTH)


@pytest.mark.slow
@given(st.binary(max_size=40) | st.lists(st.binary(max_size=30) | st.integers() | st.text(), max_size=9).map(dumps))
@settings(max_examples=samples(600), deadline=None)
def test_cbor_check_refuses_nothing_that_cbor2_6_reads(data: bytes) -> None:
    try:
        load(data)
    except (CBORDecodeError, ValueError, OverflowError):
        return
    check(data, DEPTH)


@pytest.mark.parametrize("tag", sorted(FOREIGN_TAGS))
def test_a_tag_is_refused_in_every_form(tag: int) -> None:
    for size in (1, 2, 4, 8):
        if tag < 1 << (8 * size):
            with pytest.raises(LoadingError):
                check(bytes([0xD7 + size.bit_length()]) + tag.to_bytes(size) + b"\x00", DEPTH)
