"""The DAG-CBOR codec.

- The codec, compared with `dag-cbor`, the public implementation: both accept and produce the same encodings.
- Two strict decoders: a block is rejected if either rejects it or if their results differ.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from cbor2 import CBORDecodeError, CBORSimpleValue, CBORTag, dumps, undefined
from dag_cbor.decoding.err import CBORDecodingError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multiformats import CID

from store.blocks.memory import MemoryStore
from store.car import transfer
from store.car.files import CarError
from store.car.transfer import check_twice, import_car, verify_car, write_blocks
from store.cid import BLAKE2B_256, CBOR, DAG_CBOR, IDENTITY, RAW, SHA2_256, Cid, cid_of, write_uvarint
from store.codec import (
    FOREIGN_TAGS,
    MAX_DEPTH,
    CodecError,
    LoadingError,
    array_head,
    bytes_head,
    check,
    decode,
    decode_strict,
    encode,
    link,
    loader,
    unlink,
)
from tests.conftest import samples

CIDS = st.builds(
    cid_of,
    st.binary(max_size=20),
    st.sampled_from([RAW, CBOR, DAG_CBOR]),
    st.sampled_from([BLAKE2B_256, SHA2_256, IDENTITY]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 64), (1 << 64) - 1),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=300),
    st.text(max_size=30),
    CIDS.map(link),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6),
    max_leaves=30,
)


def to_public(value: Any) -> Any:
    """Convert our value to `dag-cbor`'s form, with links as multiformats CIDs."""
    if isinstance(value, CBORTag):
        return CID.decode(unlink(value))
    if isinstance(value, list):
        return [to_public(item) for item in value]
    if isinstance(value, dict):
        return {key: to_public(item) for key, item in value.items()}
    return value


def is_refused(data: bytes) -> bool:
    try:
        decode_strict(data)
    except CodecError:
        return True
    return False


def oracle_refuses(data: bytes) -> bool:
    try:
        dag_cbor.decode(data)
    except (CBORDecodingError, ValueError, LookupError, OverflowError):  # not all are wrapped
        return True
    return False


@pytest.mark.slow
@given(VALUES)
@settings(max_examples=samples(300), deadline=None)
def test_values_are_encoded_as_dag_cbor_encodes_them(value: Any) -> None:
    data = encode(value)
    assert data == dag_cbor.encode(to_public(value))
    assert encode(decode_strict(data)) == encode(decode(data)) == data
    assert to_public(decode_strict(data)) == to_public(decode(data)) == dag_cbor.decode(data)


@pytest.mark.slow
@given(VALUES, st.data())
@settings(max_examples=samples(400), deadline=None)
def test_damaged_blocks_are_refused_where_dag_cbor_refuses_them(value: Any, data: st.DataObject) -> None:
    block = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(block) - 1))
        block[position] = data.draw(st.integers(0, 255))
    compare_with_oracle(bytes(block))


@pytest.mark.slow
@given(st.binary(max_size=24))
@settings(max_examples=samples(600), deadline=None)
@example(b"\xf9\x3c\x00")
@example(b"\xa2\x61a\x01\x61a\x02")
def test_arbitrary_bytes_are_refused_where_dag_cbor_refuses_them(data: bytes) -> None:
    compare_with_oracle(data)


def compare_with_oracle(data: bytes) -> None:
    refused, refused_there = is_refused(data), oracle_refuses(data)
    if refused != refused_there:
        # They may differ only in links: multiformats knows fewer hash functions and accepts digests of any length.
        assert b"\xd8\x2a" in data
    if not refused:
        assert encode(decode_strict(data)) == data
    if not refused and not refused_there:
        assert to_public(decode_strict(data)) == dag_cbor.decode(data)


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("", "nothing"),
        ("1800", "an integer that fits the head"),
        ("190017", "an integer that fits one byte"),
        ("1a0000ffff", "an integer that fits two bytes"),
        ("1b00000000ffffffff", "an integer that fits four bytes"),
        ("3801", "a negative integer that fits the head"),
        ("580100", "a length that fits the head"),
        ("7801" + "61", "a text length that fits the head"),
        ("980100", "an array length that fits the head"),
        ("b801616100", "a map length that fits the head"),
        ("d9002a450001550000", "tag 42 that fits one byte"),
        ("a2616201616101", "keys out of order"),
        ("a262616101616201", "keys out of order, the shorter one last"),
        ("a2616101616102", "a key twice"),
        ("a10101", "a key that is a number"),
        ("a1416101", "a key that is bytes"),
        ("a1f601", "a key that is null"),
        ("a1810101", "a key that is an array"),
        ("9fff", "an array of indefinite length"),
        ("bfff", "a map of indefinite length"),
        ("5f4101ff", "bytes of indefinite length"),
        ("7f6161ff", "text of indefinite length"),
        ("ff", "a break"),
        ("1c", "a reserved head"),
        ("0000", "a second value"),
        ("82d82a45000155000000f6", "a byte too many"),
        ("f7", "undefined"),
        ("e0", "a simple value"),
        ("f820", "a simple value of one byte"),
        ("f814", "false in two bytes"),
        ("f93c00", "a 16-bit float"),
        ("fa3fc00000", "a 32-bit float"),
        ("fb7ff8000000000000", "not a number"),
        ("fb7ff0000000000000", "infinity"),
        ("fbfff0000000000000", "minus infinity"),
        ("c000", "tag 0"),
        ("c074323031332d30332d32315432303a30343a30305a", "a date"),
        ("c11a514b67b0", "a time"),
        ("c249010000000000000000", "a bignum"),
        ("c24101", "a small bignum"),
        ("c48221196ab3", "a decimal"),
        ("d81c80", "a shared value"),
        ("82d81c80d81d00", "a reference to a shared value"),
        ("d81e820102", "a fraction"),
        ("d8236161", "a pattern"),
        ("d82550" + "00" * 16, "a UUID"),
        ("d90100820000", "a string namespace"),
        ("d90102820102", "a set"),
        ("d9d9f700", "self-described CBOR"),
        ("d82b00", "tag 43"),
        ("d82a00", "a link that is a number"),
        ("d82a40", "a link without a CID"),
        ("d82a4100", "a link with an empty CID"),
        ("d82a450101550000", "a link without the leading zero"),
        ("d82a46000155000000", "a link with a byte too many"),
        ("d82a4400015500", "a link with a CID cut off"),
        ("d82ad82a450001550000", "a link in a link"),
        ("62c328", "text that is not UTF-8"),
        ("63eda080", "text with a surrogate"),
        ("6261", "text cut off"),
        ("4261", "bytes cut off"),
        ("8201", "an array cut off"),
        ("a16161", "a map cut off"),
        ("19ff", "a head cut off"),
        ("9b00ffffffffffffff", "an array of 2^56 items"),
        ("bb00ffffffffffffff", "a map of 2^56 items"),
        ("5b00ffffffffffffff", "2^56 bytes"),
        ("81" * (MAX_DEPTH + 1) + "00", "too many levels"),
        ("81" * 100_000, "very many levels"),
    ],
)
def test_strict_decoding_refuses(block: str, what: str) -> None:
    data = bytes.fromhex(block)
    with pytest.raises(CodecError):
        decode_strict(data)


@pytest.mark.parametrize("value", [0, [], {}, link(cid_of(b""))])
def test_maximum_nesting_depth_is_decoded_and_encoded(value: Any) -> None:
    containers = 1 if value == [] or value == {} else 0
    for _ in range(MAX_DEPTH - containers):
        value = [value]
    assert encode(decode_strict(encode(value))) == encode(value)
    with pytest.raises(CodecError):
        encode([value])
    with pytest.raises(CodecError):
        encode({"": value})


@pytest.mark.parametrize(
    "value",
    [
        1 << 64,
        -(1 << 64) - 1,
        float("nan"),
        float("inf"),
        {1: 2},
        {b"a": 2},
        {None: 2},
        {1, 2},
        frozenset(),
        undefined,
        CBORSimpleValue(3),
        CBORTag(30, [1, 2]),
        CBORTag(42, b""),
        CBORTag(42, "text"),
        CBORTag(42, b"\x00"),
        CBORTag(42, b"\x01" + cid_of(b"")),
        CBORTag(42, b"\x00" + cid_of(b"") + b"\x00"),
        "\ud800",
        {"\ud800": 1},
        object(),
        1j,
        struct,
    ],
)
def test_values_without_a_dag_cbor_form_are_a_codec_error(value: Any) -> None:
    with pytest.raises(CodecError):
        encode([value])


def test_a_value_that_contains_itself_is_a_codec_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CodecError):
        encode(value)


def test_python_relatives_of_the_ipld_kinds_are_encoded_as_those() -> None:
    class Number(IntEnum):
        SEVEN = 7

    class Text(str): ...

    class Pair(tuple[int, int]): ...

    assert encode([Number.SEVEN, Text("a"), Pair((1, 2)), bytearray(b"x"), memoryview(b"y")]) == encode(
        [7, "a", [1, 2], b"x", b"y"]
    )
    assert encode({Text("a"): 1}) == encode({"a": 1})


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536])
def test_heads_are_those_of_cbor(length: int) -> None:
    assert bytes_head(length) + bytes(length) == dumps(bytes(length))
    assert array_head(length) + bytes(length) == dumps([0] * length)


@pytest.mark.parametrize("value", [None, b"", "bafy", [], CBORTag(43, b"\x00"), CBORTag(42, b"\x01"), CBORTag(42, 1)])
def test_non_link_cannot_be_opened(value: Any) -> None:
    with pytest.raises(CodecError):
        unlink(value)


def test_a_link_opens_to_its_cid() -> None:
    assert unlink(link(cid_of(b"x"))) == cid_of(b"x")


@pytest.mark.parametrize(
    "block", ["", "ff", "81", "c11a514b67b0", "d81c80", "d8236161", "d90102820102", "81" * 300 + "00"]
)
def test_plain_decoding_understands_no_tag_but_links(block: str) -> None:
    with pytest.raises(CodecError):
        decode(bytes.fromhex(block))


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


UNSORTED = bytes.fromhex("a2616201616101")  # {"b": 1, "a": 1}: valid CBOR, scanned by the network, not canonical
SEALED = Cid(b"".join(map(write_uvarint, (1, 0xF102, 0xB401, 32))) + bytes(32))  # poseidon: a sector's commR


@pytest.mark.parametrize(
    "value",
    [None, True, -5, 1 << 63, 1.5, "é", b"\x00", [], {}, [[{"a": [link(cid_of(b"x"))]}]], link(SEALED)],
    ids=repr,
)
def test_canonical_value_is_accepted(value: Any) -> None:
    check_twice(encode(value))


def test_the_deepest_block_of_ours_is_read_by_both() -> None:
    value: Any = 1
    for _ in range(255):
        value = [value]
    check_twice(encode(value))


def test_our_reader_names_the_byte() -> None:
    with pytest.raises(CodecError, match="not canonical DAG-CBOR: byte 2 "):
        check_twice(UNSORTED)


def test_second_decoder_rejects_block_accepted_by_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "decode_strict", decode)  # a defect: the decoder is not strict
    with pytest.raises(CodecError, match=r"^rejected by dag-cbor: \S"):
        check_twice(UNSORTED)


@pytest.mark.parametrize(
    "wrong",
    [lambda _: 2, lambda _: True, lambda _: [1, 1], lambda _: {"a": 1}],
    ids=["a number", "a bool", "an item too many", "a map"],
)
def test_a_reader_that_reads_another_value_is_found(wrong: Callable[[bytes], Any], monkeypatch: Any) -> None:
    for data in (encode(1), encode([1]), encode({"a": 2}), encode(link(cid_of(b"x")))):
        check_twice(data)
        with monkeypatch.context() as patch:
            patch.setattr(transfer, "_reader", lambda: wrong)
            with pytest.raises(CodecError, match="dag-cbor decodes it to a different value"):
                check_twice(data)


def test_archive_with_noncanonical_block_fails_only_if_strict(tmp_path: Path) -> None:
    path, cid = tmp_path / "odd.car", cid_of(UNSORTED, DAG_CBOR)
    with path.open("wb") as file:
        write_blocks(file, [cid], [(cid, UNSORTED)])
    assert verify_car(path).blocks == 1
    with pytest.raises(CarError, match="not canonical DAG-CBOR: byte 2 "):
        verify_car(path, strict=True)
    store = MemoryStore()
    with pytest.raises(CarError, match="not canonical"):
        import_car(store, path, strict=True)
    assert not store.has(cid)
    assert import_car(store, path).blocks == 1
    assert store.has(cid)
