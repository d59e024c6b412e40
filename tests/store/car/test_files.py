"""CAR files: official bundles, fixtures of other implementations, and malformed files."""

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from store.car.files import CarError, read_car, write_car
from store.cid import (
    BLAKE2B_256,
    DAG_CBOR,
    DAG_PB,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    cid_of,
    parse_cid,
    show,
    split_cid,
    write_uvarint,
)
from store.codec import decode_strict, encode, link, unlink
from tests.conftest import data_file, samples

BLOCKS = st.lists(
    st.builds(
        lambda data, codec, hash_code: (cid_of(data, codec, hash_code), data),
        st.binary(max_size=60),
        st.sampled_from([RAW, DAG_CBOR]),
        st.sampled_from([BLAKE2B_256, SHA2_256, IDENTITY]),
    ),
    max_size=10,
)

# The first part of a fixture shared by CAR implementations: two roots, three raw blocks, and a dag-pb block with a
# CIDv0.
SHARED_HEADER = bytes.fromhex(
    "63a265726f6f747382d82a58250001711220f88bc853804cf294fe417e4fa83028689fcdb1b1592c5102e1474dbc200fab8b"
    "d82a5825000171122069ea0740f9807a28f4d932c62e7c1c83be055e55072c90266ab3e79df63a365b6776657273696f6e01"
)
SHARED_SECTIONS = bytes.fromhex(
    "280155122061be55a8e2f6b4e172338bddf184d6dbee29c98853e0a0485ecee7f27b9af0b461616161"
    "280155122081cc5b17018674b401b42f35ba07bb79e211239c23bffe658da1577e3e64687762626262"
    "2801551220b6fbd675f98e2abd22d4ed29fdc83150fedc48597e92dd1a7a24381d44a2745163636363"
    "511220e7dc486e97e6ebe5cdabab3e392bdad128b6e09acc94bb4e2aa2af7b986d24d0"
    "122d0a240155122061be55a8e2f6b4e172338bddf184d6dbee29c98853e0a0485ecee7f27b9af0b412036361741804"
)

# A version 2 file with one block (ten zero bytes) and an index, from go-car's tests.
GO_CAR_V2 = bytes.fromhex(
    "0aa16776657273696f6e02 00000000000000000000000000000000330000000000000041000000000000007400000000000000"
    "11a265726f6f7473806776657273696f6e01"
    "2e0155122001d448afd928065458cf670b60f5a594d735af0172c8d67f22a81680132681ca00000000000000000000"
    "8108 01000000 1200000000000000 01000000 28000000 2800000000000000"
    "01d448afd928065458cf670b60f5a594d735af0172c8d67f22a81680132681ca 1200000000000000"
)


def car(header: bytes, *sections: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(write_uvarint(len(part)) + part for part in (header, *sections)))


def header(roots: Any = (), version: Any = 1) -> bytes:
    return encode({"roots": list(roots), "version": version})


def read_all(stream: io.BytesIO) -> list[tuple[Cid, bytes]]:
    return list(read_car(stream))


def test_shared_car_fixture_round_trips() -> None:
    reader = read_car(io.BytesIO(SHARED_HEADER + SHARED_SECTIONS))
    blocks = list(reader)
    assert [str(CID.decode(root).set(base="base32")) for root in reader.roots] == [show(root) for root in reader.roots]
    assert [split_cid(root).digest.hex()[:8] for root in reader.roots] == ["f88bc853", "69ea0740"]
    assert [data[:4] for _, data in blocks[:3]] == [b"aaaa", b"bbbb", b"cccc"]
    assert split_cid(blocks[3][0])[:3] == (0, DAG_PB, SHA2_256)
    out = io.BytesIO()
    write_car(out, reader.roots, blocks)
    assert out.getvalue() == SHARED_HEADER + SHARED_SECTIONS


def test_a_version_2_file_of_go_car_is_read() -> None:
    reader = read_car(io.BytesIO(GO_CAR_V2))
    assert reader.roots == ()
    assert list(reader) == [(cid_of(bytes(10), RAW, SHA2_256), bytes(10))]


@given(BLOCKS)
@settings(max_examples=samples(60), deadline=None)
def test_written_car_is_read_back(blocks: list[tuple[Cid, bytes]]) -> None:
    roots = [cid for cid, _ in blocks[:2]]
    out = io.BytesIO()
    write_car(out, roots, iter(blocks))
    reader = read_car(io.BytesIO(out.getvalue()))
    assert list(reader.roots) == roots
    assert list(reader) == blocks


def test_an_official_bundle_is_read_and_written_byte_for_byte() -> None:
    raw = data_file("bundles/v10-mainnet.car").read_bytes()
    reader = read_car(io.BytesIO(raw))
    blocks = list(reader)
    out = io.BytesIO()
    write_car(out, reader.roots, blocks)
    assert out.getvalue() == raw

    store = dict(blocks)
    version, manifest = decode_strict(store[reader.roots[0]])
    assert version == 1
    assert unlink(manifest) == parse_cid("bafy2bzacea5a4r4pgc5pjcy2kx7mcbjcmc72chs7qqyl5o4jirxiplnqdmpo2")
    assert len(decode_strict(store[unlink(manifest)])) == 16


def test_a_version_2_car_is_read_without_its_index() -> None:
    block = (cid_of(b"data", RAW), b"data")
    inner = io.BytesIO()
    write_car(inner, [block[0]], [block])
    payload = inner.getvalue()
    padding, index = b"padding", b"index, not read"
    fields = bytes(16) + b"".join(
        number.to_bytes(8, "little") for number in (51 + len(padding), len(payload), 51 + len(padding) + len(payload))
    )
    stream = io.BytesIO(bytes.fromhex("0aa16776657273696f6e02") + fields + padding + payload + index)
    reader = read_car(stream)
    assert reader.roots == (block[0],)
    assert list(reader) == [block]


def version_2(offset: int, size: int, rest: bytes = b"") -> io.BytesIO:
    fields = bytes(16) + offset.to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8)
    return io.BytesIO(bytes.fromhex("0aa16776657273696f6e02") + fields + rest)


GOOD = cid_of(b"data", RAW)
PAYLOAD = car(header(), GOOD + b"data").getvalue()


@pytest.mark.parametrize(
    "stream",
    [
        lambda: io.BytesIO(),
        lambda: io.BytesIO(b"\x00"),
        lambda: io.BytesIO(b"\xff" * 20),
        lambda: io.BytesIO(b"\x80"),
        lambda: io.BytesIO(b"\x81\x00"),
        lambda: io.BytesIO(b"PK\x03\x04 an archive of another kind"),
        lambda: io.BytesIO(write_uvarint(1 << 40) + b"\xa1"),
        lambda: io.BytesIO(write_uvarint(100) + b"\xa1"),
        lambda: car(b"\xff"),
        lambda: car(encode([])),
        lambda: car(encode({})),
        lambda: car(encode({"version": 1})),
        lambda: car(encode({"roots": [], "version": 2})),
        lambda: car(encode({"roots": [], "version": 3})),
        lambda: car(encode({"roots": [], "version": 1, "x": 1})),
        lambda: car(header(version="1")),
        lambda: car(encode({"roots": None, "version": 1})),
        lambda: car(header([1])),
        lambda: car(header([b"\x00" + GOOD])),
        lambda: car(b"\xa2\x67version\x01\x65roots\x80"),
        lambda: car(header(), b"\x00"),
        lambda: car(header(), b"data"),
        lambda: car(header(), GOOD[:-1]),
        lambda: car(header(), GOOD + b"date"),
        lambda: car(header(), GOOD),
        lambda: car(header(), cid_of(b"data", RAW, IDENTITY) + b"date"),
        lambda: car(header(), b"\x01\x55\x13\x40" + bytes(64) + b"data"),
        lambda: io.BytesIO(car(header()).getvalue() + b"\x00"),
        lambda: io.BytesIO(car(header()).getvalue() + b"\x80"),
        lambda: io.BytesIO(car(header()).getvalue() + b"\x80" * 20),
        lambda: io.BytesIO(car(header()).getvalue() + write_uvarint(1 << 62)),
        lambda: io.BytesIO(PAYLOAD[:-1]),
        lambda: version_2(51, len(PAYLOAD)),
        lambda: version_2(51, len(PAYLOAD), PAYLOAD[:-1]),
        lambda: version_2(51, len(PAYLOAD) - 1, PAYLOAD),
        lambda: version_2(51, len(PAYLOAD) + 1, PAYLOAD),
        lambda: version_2(50, len(PAYLOAD), PAYLOAD),
        lambda: version_2(0, len(PAYLOAD), PAYLOAD),
        lambda: version_2(1 << 62, 1 << 62, PAYLOAD),
        lambda: version_2(51, 1 << 62, bytes.fromhex("0aa16776657273696f6e02") * 5),
    ],
)
def test_a_hostile_car_is_a_car_error(stream: Callable[[], io.BytesIO]) -> None:
    with pytest.raises(CarError):
        read_all(stream())


def test_every_cut_of_a_car_is_a_car_error_or_ends_at_a_section() -> None:
    whole = car(header([link(GOOD)]), GOOD + b"data", cid_of(b"") + b"").getvalue()
    ends = []
    for length in range(len(whole)):
        try:
            ends.append((length, len(read_all(io.BytesIO(whole[:length])))))
        except CarError:
            continue
    assert [count for _, count in ends] == [0, 1]


def test_memory_stays_bounded_whatever_a_length_claims() -> None:
    stream = io.BytesIO(car(header()).getvalue() + write_uvarint(8 << 20) + bytes(100))
    tracemalloc.start()
    with pytest.raises(CarError):
        read_all(stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_longest_section_is_the_callers_choice() -> None:
    data = bytes(5000)
    stream = car(header(), cid_of(data, RAW) + data)
    assert len(list(read_car(stream, max_section=6000))) == 1
    stream.seek(0)
    with pytest.raises(CarError):
        list(read_car(stream, max_section=5000))


def test_blocks_are_read_one_at_a_time() -> None:
    whole = car(header(), GOOD + b"data", cid_of(b"more", RAW) + b"more").getvalue()
    stream = io.BytesIO(whole)
    blocks = iter(read_car(stream))
    assert next(blocks) == (GOOD, b"data")
    assert stream.tell() < len(whole)
