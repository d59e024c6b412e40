"""Strict DAG-CBOR: accepted data has one encoding, and both link scanners agree."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from store import codec
from store.cid import DAG_CBOR, RAW, Cid, cid_of, codec_of
from store.codec import CodecError, decode, encode, kind_of, link, unlink
from store.links import links_of
from tests.fuzz.target import Target, cbor_mutation

_USUAL = (DAG_CBOR, RAW)


def run(data: bytes) -> bool:
    try:
        value = codec.decode_strict(data)
    except CodecError:
        _scanned(data)
        return False
    assert encode(value) == data
    if all(_is_usual(cid) for cid in _links(value)):  # of sector commitments and inline CIDs the scan does not tell
        assert [*_links(value)] == links_of(data, DAG_CBOR)
    return True


def _scanned(data: bytes) -> None:
    with suppress(CodecError):
        links_of(data, DAG_CBOR)


def _links(value: Any) -> Iterator[Cid]:
    match kind_of(value):
        case "list":
            for item in value:
                yield from _links(item)
        case "map":
            for item in value.values():
                yield from _links(item)
        case "link":
            yield unlink(value)


def _is_usual(cid: Cid) -> bool:
    return codec_of(cid) in _USUAL and cid.startswith((b"\x01\x71\xa0\xe4\x02\x20", b"\x01\x55\xa0\xe4\x02\x20"))


def seeds() -> Iterator[bytes]:
    for value in (
        None,
        True,
        0,
        -1,
        24,
        2**64 - 1,
        -(2**64),
        1.5,
        b"",
        b"\0" * 30,
        "text",
        [],
        {},
        [1, [2, [3]]],
        {"a": 1, "bb": [None, False], "ccc": {"d": b"e"}},
        link(cid_of(b"\x80")),
        [link(cid_of(b"x", RAW)), {"l": link(cid_of(b"y"))}],
        [[0, 1000, b"\0" * 20, 5]] * 4,
    ):
        yield encode(value)
    for refused in ("1800", "9fff", "a2616200616100", "d82a4101", "fb7ff8000000000000", "f7", "62c328", "c001", "0000"):
        yield bytes.fromhex(refused)


def _lax() -> None:
    codec.decode_strict = decode


TARGET = Target(
    run, seeds, cbor_mutation(seeds), share=150, longest=1024, plants={"a decoder that is not strict": _lax}
)
