"""CAR files of both versions, their index, and their transfer between stores.

- CAR files: official bundles, fixtures of other implementations, and malformed files.
- CAR version 2 with its index: byte equality with go-car's files, lookups by index, and malformed indices.
- Export, verification and import of CARs: equal roots, malformed files and interruptions.
"""

import io
import random
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import NOTHING, BlockNotFound, StoreFull, put_object
from store.car import index, transfer
from store.car.files import CarError, read_car, write_car
from store.car.index import IndexedCar, write_indexed_car
from store.car.transfer import export_car, import_car, verify_car
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
from store.links import reachable
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from store.roots import HEAD, IMPORT
from store.trees.hamt import Hamt
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


# A version 2 file of three blocks written by go-car 2 (v2/testdata/sample-unixfs-v2.car of github.com/ipld/go-car).
GO_CAR = bytes.fromhex(
    "0aa16776657273696f6e020000000000000000000000000000000033000000000000001c010000000000004f010000000000003aa265"
    "726f6f747381d82a582500017012200a344871dee6c754207f596cfc95ae29d4a0a21e7023925a5d6125206dd4aab46776657273696f"
    "6e013001551220a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a44768656c6c6f20776f726c640a590170"
    "1220cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df67981122f0a2401551220a948904f2f0f479b8f819769"
    "4b30184b0d2ed1c1cd2a1ec0fb85d299a192a4471205622e747874180c0a02080155017012200a344871dee6c754207f596cfc95ae29"
    "d4a0a21e7023925a5d6125206dd4aab4122b0a2401701220cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df6"
    "798112016118000a0208018108010000001200000000000000010000002800000078000000000000000a344871dee6c754207f596cfc"
    "95ae29d4a0a21e7023925a5d6125206dd4aab4c600000000000000a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d2"
    "99a192a4473b00000000000000cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df679816c00000000000000"
)

INDEXED_BLOCKS = [(cid_of(bytes([number]) * number, RAW, code), bytes([number]) * number)
          for number in range(200) for code in (SHA2_256, BLAKE2B_256)]  # fmt: skip


def written(tmp_path: Path, blocks: list[tuple[Cid, bytes]]) -> Path:
    path = tmp_path / "some.car"
    with path.open("wb") as file:
        write_indexed_car(file, [blocks[0][0]], blocks)
    return path


def test_car_output_matches_go_car() -> None:
    reader = read_car(io.BytesIO(GO_CAR))
    assert reader.version == 2
    blocks = list(reader)
    assert len(blocks) == 3
    out = io.BytesIO()
    write_indexed_car(out, reader.roots, blocks)
    assert out.getvalue() == GO_CAR


def test_single_blocks_are_read_from_a_file_of_go_car(tmp_path: Path) -> None:
    path = tmp_path / "go.car"
    path.write_bytes(GO_CAR)
    blocks = list(read_car(io.BytesIO(GO_CAR)))
    with IndexedCar(path) as car:
        assert car.roots == (blocks[-1][0],) or car.roots[0] in dict(blocks)
        for cid, data in blocks:
            assert car.get(cid) == data
            assert car.has(cid)
        absent = cid_of(b"absent")
        assert not car.has(absent)
        with pytest.raises(BlockNotFound):
            car.get(absent)
        with pytest.raises(CarError, match="read-only"):
            car.put(absent, b"absent")
        with pytest.raises(CarError, match="read-only"):
            car.put_many([])


@pytest.mark.parametrize("run", [1 << 18, 7])
def test_indexed_car_finds_every_block_for_any_run_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(index, "_RUN", run)
        path = written(tmp_path, INDEXED_BLOCKS)
    with path.open("rb") as file:
        assert list(read_car(file)) == INDEXED_BLOCKS
    with IndexedCar(path) as car:
        for cid, data in INDEXED_BLOCKS:
            assert car.get(cid) == data
    if run == 7:
        assert path.read_bytes() == written(tmp_path, INDEXED_BLOCKS).read_bytes()


def test_identity_cids_need_no_index(tmp_path: Path) -> None:
    inline = cid_of(b"inline", RAW, IDENTITY)
    with IndexedCar(written(tmp_path, [(inline, b"inline"), INDEXED_BLOCKS[5]])) as car:
        assert car.get(inline) == b"inline"
        assert list(car.offsets(INDEXED_BLOCKS[5][0]))


def test_the_same_bytes_under_another_codec_are_another_block(tmp_path: Path) -> None:
    path = written(tmp_path, INDEXED_BLOCKS)
    with IndexedCar(path) as car, pytest.raises(BlockNotFound):
        car.get(cid_of(INDEXED_BLOCKS[7][1], hash_code=BLAKE2B_256))


def test_the_older_kind_of_index_is_read(tmp_path: Path) -> None:
    content = written(tmp_path, INDEXED_BLOCKS[::2]).read_bytes()  # one hash function
    start = int.from_bytes(content[43:51], "little")
    # format 0x0401, one function, its code, followed by the older index format
    older = content[:start] + b"\x80\x08" + content[start + 2 + 4 + 8 :]
    (tmp_path / "older.car").write_bytes(older)
    with IndexedCar(tmp_path / "older.car") as car:
        for cid, data in INDEXED_BLOCKS[::2]:
            assert car.get(cid) == data


def with_index(change: Callable[[bytearray], bytes | bytearray]) -> bytes:
    start = int.from_bytes(GO_CAR[43:51], "little")
    return GO_CAR[:start] + bytes(change(bytearray(GO_CAR[start:])))


def patched(at: int, value: bytes) -> Callable[[bytearray], bytearray]:
    def change(index: bytearray) -> bytearray:
        index[at : at + len(value)] = value
        return index

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda index: b"",
        lambda index: b"\x80" * 12,
        lambda index: b"\x05",
        lambda index: index[:5],
        lambda index: index[:20],
        lambda index: index[:-1],
        patched(2, b"\xff\xff\xff\xff"),  # too many hash functions
        patched(14, b"\xff\xff\xff\xff"),  # too many widths
        patched(18, b"\x00"),  # width 0
        patched(18, b"\x07"),  # width below 8
        patched(18, b"\x29"),  # width that does not divide the length
        patched(22, b"\xff\xff\xff\xff\xff\xff\xff\xff"),  # table longer than the file
    ],
)
def test_a_hostile_index_is_a_car_error(tmp_path: Path, change: Callable[[bytearray], bytes]) -> None:
    path = tmp_path / "bad.car"
    path.write_bytes(with_index(change))
    with pytest.raises(CarError):
        IndexedCar(path)


def test_misleading_car_index_is_car_error_never_wrong_block(tmp_path: Path) -> None:
    blocks = list(read_car(io.BytesIO(GO_CAR)))
    start = int.from_bytes(GO_CAR[43:51], "little")
    path = tmp_path / "astray.car"
    for entry in range(3):
        for offset in (0, 1, 55, 10**6, 2**64 - 1, (1 << 63) - 1):
            at = 30 + entry * 40 + 32
            path.write_bytes(with_index(patched(at, offset.to_bytes(8, "little"))))
            digest = path.read_bytes()[start + 30 + entry * 40 :][:32]
            (cid, data) = next(block for block in blocks if block[0].endswith(digest))
            with IndexedCar(path) as car:
                try:
                    assert car.get(cid) == data
                except CarError:
                    continue


def test_a_file_without_an_index_is_a_car_error(tmp_path: Path) -> None:
    for content in (GO_CAR[51 : 51 + int.from_bytes(GO_CAR[35:43], "little")], GO_CAR[:43] + bytes(8) + GO_CAR[51:]):
        (tmp_path / "none.car").write_bytes(content)
        with pytest.raises(CarError, match="no index"):
            IndexedCar(tmp_path / "none.car")


def state(store: MemoryStore, entries: int = 500) -> Cid:
    """Return a tree with raw leaves, sector commitments and inline blocks."""
    rng = random.Random(entries)
    buffer = BufferedStore(store)
    tree = Hamt(buffer)
    for number in range(entries):
        leaf = cid_of(rng.randbytes(40), RAW)
        data = rng.randbytes(300)
        leaf = cid_of(data, RAW)
        buffer.put(leaf, data)
        inline = cid_of(encode([link(leaf)]), hash_code=IDENTITY)
        sector = parse_cid("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq")
        tree.set(b"%d" % number, [link(leaf if number % 2 else inline), link(sector)])
    root = tree.flush()
    store.put_many(buffer.pending.items())
    return root


def write(path: Path, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> Path:
    with path.open("wb") as file:
        write_car(file, roots, blocks)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("indexed", [False, True])
def test_exported_state_imports_with_same_root_and_blocks(tmp_path: Path, indexed: bool) -> None:
    source = MemoryStore()
    root = state(source)
    put_object(source, "not below the root")
    path = tmp_path / "state.car"
    seen: list[int] = []
    with path.open("wb") as file:
        count = export_car(source, [root], file, indexed=indexed, progress=seen.append)
    below = reachable(source, [root])
    assert count == len(below)
    assert seen == sorted(seen)
    with RocksStore.open(tmp_path / "store") as target:
        summary = import_car(target, path, {HEAD: root})
        assert set(target.cids()) == below
        assert target.metadata(HEAD) == root
        assert target.metadata(IMPORT) is None
        assert dict(Hamt(target, root).items()) == dict(Hamt(source, root).items())
    assert (summary.blocks, summary.roots, summary.version, summary.indexed) == (count, (root,), 1 + indexed, indexed)
    assert (summary.duplicates, summary.unreferenced, summary.missing) == (0, 0, frozenset())
    assert summary.size == path.stat().st_size
    if indexed:
        with IndexedCar(path) as car:
            assert reachable(car, [root]) == below


def test_export_streams_parent_block_before_linked_blocks(tmp_path: Path) -> None:
    source = MemoryStore()
    root = state(source)
    out = io.BytesIO()
    export_car(source, [root], out)
    blocks = list(read_car(io.BytesIO(out.getvalue())))
    assert blocks[0][0] == root
    place = {cid: number for number, (cid, _) in enumerate(blocks)}
    for cid, data in blocks:
        for child in transfer._links(cid, data):
            assert place[child] > place[cid]


def test_export_of_missing_block_is_an_error() -> None:
    source = MemoryStore()
    missing = cid_of(b"missing", RAW)
    root = put_object(source, [link(missing)])
    with pytest.raises(BlockNotFound, match=show(missing)):
        export_car(source, [root], io.BytesIO())


def test_car_summary_counts_duplicate_and_unreferenced_blocks(tmp_path: Path) -> None:
    leaf, missing, lonely = cid_of(b"leaf", RAW), cid_of(b"missing", RAW), cid_of(b"lonely", RAW, SHA2_256)
    other = cid_of(b"not followed", DAG_PB)
    top = encode([link(leaf), link(missing)])
    blocks = [
        (cid_of(top), top),
        *[(leaf, b"leaf")] * 3,
        (lonely, b"lonely"),
        (other, b"not followed"),
    ]
    summary = verify_car(write(tmp_path / "odd.car", [cid_of(top)], blocks))
    assert (summary.blocks, summary.duplicates, summary.unreferenced) == (6, 2, 2)
    assert summary.missing == {missing}


@pytest.mark.parametrize("name", ["v10-mainnet", "v18-devnet"])
def test_official_bundles_are_whole(name: str) -> None:
    summary = verify_car(data_file(f"bundles/{name}.car"))
    assert (summary.missing, summary.unreferenced, summary.duplicates) == (frozenset(), 0, 0)


LEAF = (cid_of(b"leaf", RAW), b"leaf")
TOP = encode([link(LEAF[0])])
ROOT = (cid_of(TOP), TOP)
MALFORMED = (cid_of(b"\x82\x01"), b"\x82\x01")


def sections(roots: list[Cid], *pieces: bytes) -> bytes:
    out = io.BytesIO()
    write_car(out, roots, [])
    return out.getvalue() + b"".join(write_uvarint(len(piece)) + piece for piece in pieces)


def block(item: tuple[Cid, bytes]) -> bytes:
    return item[0] + item[1]


def misleading() -> bytes:
    out = io.BytesIO()
    write_indexed_car(out, [ROOT[0]], [ROOT, LEAF])
    content = bytearray(out.getvalue())
    content[-8] ^= 1  # an offset
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (sections([ROOT[0]], block(ROOT), LEAF[0] + b"lEaf"), show(LEAF[0])),  # a wrong CID
        (sections([ROOT[0]], block(ROOT)), rf"{show(LEAF[0])} \(linked from {show(ROOT[0])}\)"),  # a missing block
        (sections([ROOT[0]], block(LEAF)), rf"root {show(ROOT[0])} is not in the file"),
        (sections([ROOT[0]], block(ROOT), block(LEAF))[:-1], "truncated"),
        (sections([ROOT[0]], block(ROOT), block(LEAF)) + b"\x80", "truncated at byte"),  # a truncated varint
        (sections([ROOT[0]], block(ROOT), block(LEAF)) + b"\xff" * 8 + b"\x7f", "a section of"),  # a huge length
        (sections([MALFORMED[0]], block(MALFORMED)), rf"{show(MALFORMED[0])}: not CBOR"),
        (misleading(), "invalid CAR index: no entry for"),
        (b"", "empty"),
    ],
)
def test_bad_car_import_stores_nothing(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.car"
    path.write_bytes(content)
    store = MemoryStore()
    with pytest.raises(CarError, match=said):
        import_car(store, path, {HEAD: ROOT[0]})
    assert len(store) == 0
    assert store.all_metadata() == {}


def test_a_name_for_a_block_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    path = write(tmp_path / "good.car", [ROOT[0]], [ROOT, LEAF])
    with pytest.raises(CarError, match="not in the file"):
        import_car(store, path, {HEAD: cid_of(b"elsewhere")})
    assert len(store) == 0


def test_partial_car_is_imported_only_when_allowed(tmp_path: Path) -> None:
    store = MemoryStore()
    path = write(tmp_path / "part.car", [ROOT[0]], [ROOT])
    with pytest.raises(CarError, match="allow a partial import"):
        import_car(store, path)
    assert import_car(store, path, partial=True).missing == {LEAF[0]}
    assert store.has(ROOT[0])


class Interrupted(MemoryStore):
    """A store whose n-th commit fails."""

    def __init__(self, fail_at: int) -> None:
        super().__init__()
        self.fail_at = fail_at
        self.commits = 0
        self.stored = 0

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        self.commits += 1
        if self.commits == self.fail_at:
            raise StoreFull("injected")
        blocks = list(blocks)
        self.stored += len(blocks)
        super().commit(blocks, metadata, index, expected, chain)


import_in_parts = partial(import_car, batch=10_000)


@pytest.mark.slow
@pytest.mark.parametrize("indexed", [False, True])
def test_interrupted_import_resumes_from_last_commit(tmp_path: Path, indexed: bool) -> None:
    source = MemoryStore()
    root = state(source)
    path = tmp_path / "state.car"
    with path.open("wb") as file:
        count = export_car(source, [root], file, indexed=indexed)
    needed = Interrupted(0)
    import_in_parts(needed, path, {HEAD: root})
    assert needed.commits > 15
    for fail_at in range(1, needed.commits + 1):
        store = Interrupted(fail_at)
        with pytest.raises(StoreFull):
            import_in_parts(store, path, {HEAD: root})
        assert store.metadata(HEAD) is None
        import_in_parts(store, path, {HEAD: root})
        assert store.metadata(HEAD) == root
        assert len(store) == store.stored == count, "a block was stored twice, or not at all"


@pytest.mark.slow
def test_import_of_other_file_does_not_resume_first_one(tmp_path: Path) -> None:
    source = MemoryStore()
    paths = []
    for entries in (500, 400):
        root = state(source, entries)
        paths.append(tmp_path / f"{entries}.car")
        with paths[-1].open("wb") as file:
            export_car(source, [root], file)
    store = Interrupted(8)
    with pytest.raises(StoreFull):
        import_in_parts(store, paths[0])
    import_in_parts(store, paths[1], {HEAD: root})
    assert reachable(store, [root]) == reachable(source, [root])


@pytest.mark.slow
@pytest.mark.parametrize("when", range(0, 20, 4))
def test_collection_during_import_removes_no_imported_block(tmp_path: Path, when: int) -> None:
    source = MemoryStore()
    root = state(source)
    path = tmp_path / "state.car"
    with path.open("wb") as file:
        export_car(source, [root], file)
    with RocksStore.open(tmp_path / "store", sync=False) as store:
        steps = 0

        def collect_now(_: int) -> None:
            nonlocal steps
            if store.metadata(IMPORT) is not None:
                steps += 1
                if steps == when:
                    GarbageCollector(store).run()

        import_in_parts(store, path, {HEAD: root}, progress=collect_now)
        assert steps >= when
        assert reachable(store, [root]) == reachable(source, [root])
