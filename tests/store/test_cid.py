"""CIDs and varints.

- CIDs and varints, with `multiformats` as the oracle.
- Golden CIDs from the constructors of the built-in actors (`bafy...` texts known on every network).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID, multihash, varint

from store.blocks.memory import MemoryStore
from store.cid import (
    BLAKE2B_256,
    CBOR,
    DAG_CBOR,
    DAG_PB,
    EMPTY_ARRAY_BLOCK,
    EMPTY_ARRAY_CID,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    CidError,
    CidParts,
    VarintError,
    cid_of,
    codec_of,
    from_public,
    parse_cid,
    read_cid,
    read_uvarint,
    show,
    split_cid,
    to_public,
    write_uvarint,
)
from store.codec import encode
from store.trees.amt import Amt
from store.trees.hamt import Hamt

CODECS = {
    RAW: "raw",
    CBOR: "cbor",
    DAG_CBOR: "dag-cbor",
    FIL_COMMITMENT_UNSEALED: "fil-commitment-unsealed",
    FIL_COMMITMENT_SEALED: "fil-commitment-sealed",
}
HASHES = {IDENTITY: "identity", SHA2_256: "sha2-256", BLAKE2B_256: "blake2b-256"}


@given(st.binary(max_size=60), st.sampled_from(sorted(CODECS)), st.sampled_from(sorted(HASHES)))
def test_cids_are_those_of_multiformats(data: bytes, codec: int, hash_code: int) -> None:
    cid = cid_of(data, codec, hash_code)
    digest = multihash.get(HASHES[hash_code]).digest(data)
    public = CID("base32", 1, CODECS[codec], digest)
    assert bytes(public) == cid
    assert str(public) == show(cid)
    assert to_public(cid) == public
    assert str(to_public(cid)) == str(public)
    assert from_public(public) == cid
    assert parse_cid(str(public)) == cid
    assert parse_cid(str(public.set(base="base58btc"))) == cid
    assert split_cid(cid) == CidParts(1, codec, hash_code, public.raw_digest)
    assert codec_of(cid) == codec
    assert read_cid(b"before" + cid + b"after", 6) == (cid, 6 + len(cid))


def test_a_version_0_cid_is_read_and_shown() -> None:
    text = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"  # a well-known example of the IPFS documentation
    public = CID.decode(text)
    cid = parse_cid(text)
    assert cid == bytes(public)
    assert split_cid(cid) == CidParts(0, DAG_PB, SHA2_256, public.raw_digest)
    assert show(cid) == text
    assert read_cid(cid + b"\x01") == (cid, 34)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x00\x71\x00\x00",
        b"\x02\x71\x00\x00",
        b"\x01\x71\x12\x20" + bytes(31),
        b"\x01\x71\xa0\xe4\x02\x20" + bytes(31),
        b"\x12\x20" + bytes(31),
        b"\x01\x71\x00\x41" + bytes(65),  # the network accepts digests of at most 64 bytes
        b"\x81\x00\x71\x00\x00",  # a version that is not minimally encoded
        b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x01" + b"\x80" * 10 + b"\x01\x00\x00",
    ],
)
def test_bytes_that_are_no_cid_are_a_cid_error(raw: bytes) -> None:
    with pytest.raises(CidError):
        read_cid(raw)
    with pytest.raises(CidError):
        split_cid(raw)


@pytest.mark.parametrize(
    ("number", "value"),
    [(b"\xff" * 8 + b"\x7f", (1 << 63) - 1), (b"\x80" * 9 + b"\x01", 1 << 63), (b"\xf1" + b"\x80" * 8 + b"\x02", 0x71)],
)
def test_cid_number_is_truncated_to_64_bits(number: bytes, value: int) -> None:
    """Golden vectors `decoder/cid/codec-*`: the network reads up to ten bytes, multiformats specifies nine."""
    cid, end = read_cid(b"\x01" + number + b"\x00\x01x")
    assert end == 1 + len(number) + 3
    assert split_cid(cid).codec == value
    assert cid == b"\x01" + (number if value != 0x71 else b"\x71") + b"\x00\x01x"


def test_bytes_after_a_cid_are_a_cid_error() -> None:
    with pytest.raises(CidError):
        split_cid(cid_of(b"x") + b"\x00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "bafy",
        "bAFY2",
        "Qm",
        "zzzz",
        "hello",
        "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4",
        "b!",
        "\0",  # a multibase prefix without data
    ],
)
def test_text_that_is_no_cid_is_a_cid_error(text: str) -> None:
    with pytest.raises(CidError):
        parse_cid(text)


def test_a_hash_that_is_not_known_is_a_cid_error() -> None:
    with pytest.raises(CidError):
        cid_of(b"x", RAW, 0x13)
    with pytest.raises(CidError):
        cid_of(bytes(65), RAW, IDENTITY)
    with pytest.raises(CidError):
        to_public(Cid(b"\x01\xfe\xff\x7f\x00\x00"))


@given(st.integers(0, (1 << 63) - 1))
def test_varints_are_those_of_multiformats(value: int) -> None:
    raw = write_uvarint(value)
    assert raw == varint.encode(value)
    assert read_uvarint(b"\xff" + raw + b"\xff", 1) == (value, 1 + len(raw))


@given(st.binary(max_size=12))
def test_varints_are_refused_where_multiformats_refuses_them(raw: bytes) -> None:
    try:
        expected = varint.decode_raw(raw)[:2]
    except ValueError:
        with pytest.raises(VarintError):
            read_uvarint(raw)
    else:
        assert read_uvarint(raw) == expected


@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_numbers_outside_63_bits_have_no_varint(value: int) -> None:
    with pytest.raises(VarintError):
        write_uvarint(value)


def test_the_empty_array_has_the_networks_cid() -> None:
    assert show(EMPTY_ARRAY_CID) == "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a"
    assert encode([]) == EMPTY_ARRAY_BLOCK


def test_the_empty_hamt_has_the_networks_cid_and_bytes() -> None:
    store = MemoryStore()
    root = Hamt(store).flush()
    assert show(root) == "bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay"
    assert store.get(root).hex() == "824080"


@pytest.mark.parametrize(
    ("bit_width", "text"),
    [
        (2, "bafy2bzacebpbl7msg6mta4gjy3xmntdo6tt7wiikvctwtrkukkem5kvw5bw2i"),
        (3, "bafy2bzacedijw74yui7otvo63nfl3hdq2vdzuy7wx2tnptwed6zml4vvz7wee"),
        (4, "bafy2bzacebtuxloybdfwpzgkvvpdlkmnp4qu52omg3tkj4vqvimurdnfw3jva"),
        (5, "bafy2bzaceacu3yonapahihxmnhzuvk76yupwjmyeymd2l5n6xfs5st52shm6a"),
        (6, "bafy2bzaceaa2jny7gkgdwnid4kuldau6bnvgyss5bszo4uy6uikrncvdu5mc2"),
    ],
)
def test_empty_amts_have_the_networks_cids(bit_width: int, text: str) -> None:
    assert show(Amt(MemoryStore(), bit_width=bit_width).flush()) == text


def test_the_empty_bitfield_has_the_networks_cid() -> None:
    assert show(cid_of(encode(b""))) == "bafy2bzacea456askyutsf7uk4ta2q5aojrlcji4mhaqokbfalgvoq4ueeh4l2"


def test_the_cron_constructor_gives_the_networks_state() -> None:
    # f04 method 5, f05 method 9, as listed in the network's genesis
    block = encode([[[b"\x00\x04", 5], [b"\x00\x05", 9]]])
    assert block == b"\x81" + bytes.fromhex("82824200040582420005 09".replace(" ", ""))
    assert cid_of(block) == parse_cid("bafy2bzacebs5dwwxmsjmzvoqcamx3qtl2x5qpqgpqxgnzl7scccmbvd37ulvs")
