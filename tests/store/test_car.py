"""Export, verification and import of CARs: equal roots, malformed files and interruptions."""

import io
import random
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import pytest

from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore
from store.blockstore import NOTHING, BlockNotFound, StoreFull, put_object
from store.car import transfer
from store.car.files import CarError, read_car, write_car
from store.car.index import IndexedCar, write_indexed_car
from store.car.transfer import export_car, import_car, verify_car
from store.cid import DAG_PB, IDENTITY, RAW, SHA2_256, Cid, cid_of, parse_cid, show, write_uvarint
from store.codec import encode, link
from store.links import reachable
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from store.roots import HEAD, IMPORT
from store.trees.hamt import Hamt
from tests.conftest import data_file


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
    ) -> None:
        self.commits += 1
        if self.commits == self.fail_at:
            raise StoreFull("injected")
        blocks = list(blocks)
        self.stored += len(blocks)
        super().commit(blocks, metadata, index, expected)


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
