"""The lenient decoder of parameters: encodings that official actors accept and reject."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.filecoin.cbor import CborReader, ParamsError, byte_string, read_byte_string, read_canonical_byte_string
from store.cid import cid_of
from store.codec import encode, link


@given(st.binary(max_size=70_000))
def test_a_byte_string_is_written_as_cbor2_writes_it(data: bytes) -> None:
    assert byte_string(data) == cbor2.dumps(data)
    assert read_byte_string(byte_string(data)) == read_canonical_byte_string(byte_string(data)) == data


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        ("5f4161426263ff", "616263"),
        ("5fff", ""),
        ("5f5f4161ff4162ff", "6162"),
        ("580161", "61"),
        ("5b000000000000000161", "61"),
        ("5f536100088061000b5f395ff360075f5260205ff3ff", "6100088061000b5f395ff360075f5260205ff3"),
    ],
    ids=["chunks", "no chunk", "nested chunks", "long head", "longest head", "init code of the golden case"],
)
def test_chunked_and_long_headed_byte_strings_are_taken(encoded: str, content: str) -> None:
    assert read_byte_string(bytes.fromhex(encoded)).hex() == content


@pytest.mark.parametrize(
    "encoded",
    ["", "6161", "5f6161ff", "5c", "5f41", "5f4161", "4261", "416100", "4161f6", "c24161", "f4", "820102", "9f4161ff",
     "5bffffffffffffffff"],
)  # fmt: skip
def test_everything_else_is_refused(encoded: str) -> None:
    with pytest.raises(ParamsError):
        read_byte_string(bytes.fromhex(encoded))


# From cbor-gen 0.3.1's ReadByteArray(bytes.NewReader(data), len(data)).
CANONICAL = {
    "40": "", "420102": "0102", "41014102": "01", "4000": "", "58" + "18" + "61" * 24: "61" * 24,
    "59" + "0100" + "61" * 256 + "ff": "61" * 256,
}  # fmt: skip
NOT_CANONICAL = (
    "", "580101", "58", "5817" + "61" * 23, "590001" + "61", "5900ff" + "61" * 255, "5a0000ffff" + "61" * 0xFFFF,
    "5b0000000000000001" + "61", "5f4101ff", "5c", "4261", "6161", "01", "8101", "c24161", "5bffffffffffffffff",
)  # fmt: skip


@pytest.mark.parametrize(("encoded", "content"), CANONICAL.items())
def test_displayed_byte_string_has_the_shortest_head_and_may_be_followed(encoded: str, content: str) -> None:
    assert read_canonical_byte_string(bytes.fromhex(encoded)).hex() == content


@pytest.mark.parametrize("encoded", NOT_CANONICAL, ids=lambda encoded: encoded[:20] or "empty")
def test_other_byte_strings_are_not_displayed(encoded: str) -> None:
    with pytest.raises(ParamsError):
        read_canonical_byte_string(bytes.fromhex(encoded))


def test_cbor_array_must_have_expected_and_definite_length() -> None:
    with pytest.raises(ParamsError, match="2 items, expected 3"):
        CborReader(bytes.fromhex("820102")).array(3)
    with pytest.raises(ParamsError, match="expected an array"):
        CborReader(bytes.fromhex("9f0102ff")).array(2)


def test_cbor_link_is_read_and_malformed_link_is_refused() -> None:
    cid = cid_of(b"block")
    assert CborReader(encode(link(cid))).link() == cid
    for broken in (
        b"\xd8\x2a\x58\x27\x01" + cid,
        b"\xd8\x2a\x58\x28\x00" + cid + b"\x00",
        b"\xd8\x2a\x40",
        b"\xd8\x2b\x40",
    ):
        with pytest.raises(ParamsError):
            CborReader(broken).link()


@given(st.integers(0, 2**64 - 1))
def test_unsigned_integers_of_any_head_are_taken(number: int) -> None:
    assert CborReader(cbor2.dumps(number)).unsigned() == number
    assert CborReader(b"\x1b" + number.to_bytes(8, "big")).unsigned() == number
