"""CIDs, DAG-CBOR, DAG-JSON and CARs."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from store import codec
from store.blockstore import BlockNotFound
from store.car.files import CarError, read_car, write_car
from store.car.index import IndexedCar, write_indexed_car
from store.cid import (
    DAG_CBOR,
    RAW,
    Cid,
    CidError,
    cid_of,
    codec_of,
    has_digest,
    parse_cid,
    read_cid,
    show,
    split_cid,
    to_public,
    write_uvarint,
)
from store.codec import CodecError, encode, kind_of, link, unlink
from store.dag_json import decode_json, encode_json
from store.links import links_of
from tests.fuzz import trees
from tests.fuzz.target import Target, cbor_mutation


def run_cid(data: bytes) -> bool:
    _text(data)
    try:
        cid, end = read_cid(data)
    except CidError:
        return False
    assert 0 < end <= len(data)
    assert read_cid(cid) == (cid, len(cid))
    parts = split_cid(cid)
    assert parts.version in (0, 1)
    has_digest(cid, b"")
    shown = show(cid)
    assert parse_cid(shown) == cid
    with suppress(CidError):  # a codec or a hash that multiformats does not know
        assert bytes(to_public(cid)) == cid
    return True


def _text(data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        cid = parse_cid(text)
    except CidError:
        return
    assert parse_cid(show(cid)) == cid


def cid_seeds() -> Iterator[bytes]:
    yield cid_of(b"")
    yield cid_of(b"raw", RAW)
    yield cid_of(b"sha", RAW, 0x12)
    yield bytes.fromhex("1220") + bytes(32)
    yield b"\x01\x55\x00\x03abc"
    yield b"\x01\x81\xe2\x03\x92\x20\x20" + bytes(32)
    yield show(cid_of(b"text")).encode()
    yield b"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    yield b"zdj7WhuEjrB52m1BisYCtmjH1hSKa7yZ3jEZ9JcXaFRD51wVz"


def mutate_cid(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return trees.scrambled(data, rng)
    digest = rng.randbytes(rng.choice((0, 1, 20, 32, 32, 48, 64)))
    codec = rng.choice((0x71, 0x55, 0x51, 0x70, 0xF101, 0xF102, 2**63 - 1, rng.getrandbits(30)))
    hash_code = rng.choice((0xB220, 0x12, 0x00, 0x1B, 0x13, 0x1012, 0xB401, rng.getrandbits(20)))
    return b"\x01" + write_uvarint(codec) + write_uvarint(hash_code) + write_uvarint(len(digest)) + digest


CID_TARGET = Target(run_cid, cid_seeds, mutate_cid, share=60, longest=160)


_USUAL = (DAG_CBOR, RAW)


def run_codec(data: bytes) -> bool:
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


def codec_seeds() -> Iterator[bytes]:
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


CODEC_TARGET = Target(run_codec, codec_seeds, cbor_mutation(codec_seeds), share=150, longest=1024)


def run_dag_json(data: bytes) -> bool:
    try:
        value = decode_json(data)
        text = encode_json(value)
    except CodecError:
        return False
    again = decode_json(text)
    assert encode_json(again) == text
    try:
        block = encode(value)
    except CodecError:  # a number that CBOR does not have
        return True
    assert encode(again) == block
    return True


def dag_json_seeds() -> Iterator[bytes]:
    values: tuple[Any, ...] = (
        None,
        [1, -1, 1.5, 1e21, 2**64],
        {"a": b"bytes", "b": link(cid_of(b""))},
        {"/": 1, "x": "/"},
        [[]],
    )
    for value in values:
        try:
            yield encode_json(value).encode()
        except CodecError:
            yield json.dumps(value, default=repr).encode()
    yield b'{"/": {"bytes": "AQI"}}'
    yield b' [ "\\u0000\\ud83d\\ude00" , 1E5 , -0.0 ] '


def mutate_dag_json(data: bytes, rng: Random) -> bytes:
    try:
        value = decode_json(data)
    except CodecError:
        value = trees.random_value(rng)
    try:
        text = encode_json(trees.mutated(value, rng))
    except CodecError:
        text = json.dumps(rng.choice(trees.NUMBERS))
    if rng.random() < 0.2:
        text = text.replace(",", rng.choice((" , ", ",\n", ",\t")))
    return text.encode()


DAG_JSON_TARGET = Target(run_dag_json, dag_json_seeds, mutate_dag_json, share=50, longest=1024)


LARGEST = 1 << 16


def run_car(data: bytes) -> bool:
    try:
        reader = read_car(BytesIO(data), LARGEST)
        blocks = [*reader]
    except CarError:
        return False
    assert all(has_digest(cid, block) for cid, block in blocks)
    again = BytesIO()
    write_car(again, reader.roots, blocks)
    again.seek(0)
    second = read_car(again, LARGEST)
    assert (second.roots, [*second]) == (reader.roots, blocks)
    return True


def _car(roots: list[Cid], blocks: list[tuple[Cid, bytes]], version: int, padding: int = 0) -> bytes:
    out = BytesIO()
    write_car(out, roots, blocks)
    if version == 1:
        return out.getvalue()
    payload = out.getvalue()
    places = (51 + padding, len(payload), 0)
    head = b"\x0a\xa1\x67version\x02" + bytes(16) + b"".join(place.to_bytes(8, "little") for place in places)
    return head + bytes(padding) + payload


def _block(data: bytes, codec: int = 0x71) -> tuple[Cid, bytes]:
    return cid_of(data, codec), data


def car_seeds() -> Iterator[bytes]:
    leaf = _block(encode([1, 2]))
    root = _block(encode([link(leaf[0])]))
    for version in (1, 2):
        yield _car([], [], version)
        yield _car([root[0]], [root, leaf], version)
        yield _car(
            [root[0], leaf[0]], [root, leaf, _block(b"raw", RAW), (Cid(b"\x01\x55\x00\x02hi"), b"hi")], version, 7
        )


def mutate_car(data: bytes, rng: Random) -> bytes:
    """Return a new CAR, sometimes with one defect."""
    blocks = [_block(rng.randbytes(rng.randrange(40)), rng.choice((0x71, RAW))) for _ in range(rng.randrange(5))]
    if rng.random() < 0.2:
        blocks.append((cid_of(b"inline", RAW, 0), b"inline"))
    roots = [rng.choice(blocks)[0] for _ in range(rng.randrange(3))] if blocks else []
    car = _car(roots, blocks, rng.choice((1, 2)), rng.choice((0, 0, 1, 50)))
    if rng.random() < 0.1:
        car += write_uvarint(rng.choice((0, 1, 2**20, 2**63 - 1)))
    if rng.random() < 0.1:
        car = trees.scrambled(car, rng)
    return car


CAR_TARGET = Target(run_car, car_seeds, mutate_car, share=50, longest=2048)


_BLOCKS = [(cid_of(data, codec), data) for data, codec in ((encode([1]), 0x71), (b"raw", RAW), (encode("text"), 0x71))]
_ABSENT = cid_of(b"absent")
_OTHER_HASH = cid_of(b"raw", RAW, 0x12)


def run_car_index(data: bytes) -> bool:
    file = _file()
    file.write_bytes(data)
    try:
        car = IndexedCar(file)
    except (CarError, CidError):
        return False
    with car:
        found = [cid for cid, _ in _BLOCKS if _got(car, cid)]
        assert not _got(car, _ABSENT)
        _got(car, _OTHER_HASH)
    return bool(found)


def _got(car: IndexedCar, cid: Cid) -> bool:
    try:
        assert has_digest(cid, car.get(cid))
    except (CarError, BlockNotFound):
        return False
    return True


@cache
def _file() -> Path:
    return Path(mkdtemp(prefix="fuzz-car-")) / "input.car"


@cache
def _indexed_car(count: int, other_hash: bool) -> bytes:
    out = BytesIO()
    blocks = [*_BLOCKS[:count], *([(_OTHER_HASH, b"raw")] if other_hash else [])]
    write_indexed_car(out, [blocks[0][0]] if blocks else [], blocks)
    return out.getvalue()


def car_index_seeds() -> Iterator[bytes]:
    for count in range(4):
        for other_hash in (False, True):
            yield _indexed_car(count, other_hash)


def mutate_car_index(data: bytes, rng: Random) -> bytes:
    """Return a known file with a changed index, sometimes a changed header or block."""
    car = _indexed_car(rng.randrange(1, 4), rng.random() < 0.5)
    index = int.from_bytes(car[43:51], "little")
    match rng.randrange(8):
        case 0:
            return trees.scrambled(car, rng)
        case 1:
            return car[:27] + trees.scrambled(car[27:51], rng)[:24] + car[51:]
        case 2:
            return car
        case _:
            at = rng.randrange(len(car) - index)
            return car[: index + at] + trees.scrambled(car[index + at :], rng)


CAR_INDEX_TARGET = Target(run_car_index, car_index_seeds, mutate_car_index, share=6, longest=1500)
