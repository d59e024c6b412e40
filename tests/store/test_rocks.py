"""The store on disk: durability, a single writer, untrusted folders and corruption."""

import itertools
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rocksdict import Options, Rdict

from store.blockstore import (
    BlockCorrupt,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFormatError,
    StoreLocked,
    StoreReadOnly,
)
from store.cid import DAG_CBOR, Cid, cid_of
from store.links import links_of
from store.rocks.database import RocksStore
from store.rocks.folder import marker
from tests.store import killed_writer

BLOCK = (cid_of(b"state"), b"state")


def write_one(folder: Path) -> None:
    with RocksStore.open(folder) as store:
        store.commit([BLOCK], {b"head": BLOCK[0]})


def test_a_commit_survives_close_and_open(tmp_path: Path) -> None:
    write_one(tmp_path / "deep" / "store")
    with RocksStore.open(str(tmp_path / "deep" / "store")) as store:
        assert store.get(BLOCK[0]) == b"state"
        assert store.metadata(b"head") == BLOCK[0]


def test_close_releases_the_folder(tmp_path: Path) -> None:
    for number in range(5):
        store = RocksStore.open(tmp_path / "store")
        store.commit([BLOCK], {b"number": b"%d" % number})
        assert store.get(BLOCK[0]) == b"state"
        store.close()
        store.close()
    shutil.rmtree(tmp_path / "store")
    write_one(tmp_path / "store")


def test_closed_store_raises_store_closed(tmp_path: Path) -> None:
    store = RocksStore.open(tmp_path)
    store.close()
    actions: list[Callable[[], Any]] = [
        lambda: store.get(BLOCK[0]),
        lambda: store.has(BLOCK[0]),
        lambda: store.put(*BLOCK),
        lambda: store.put_many([BLOCK]),
        lambda: store.commit([], {}),
        lambda: store.metadata(b"head"),
    ]
    for action in actions:
        with pytest.raises(StoreClosed, match="closed"):
            action()


def test_second_writer_gets_error_naming_locked_folder(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path), pytest.raises(StoreLocked, match=tmp_path.name):
        RocksStore.open(tmp_path)
    RocksStore.open(tmp_path).close()


def test_writer_in_another_process_gets_store_locked_error(tmp_path: Path) -> None:
    program = "import sys; from store.rocks.database import RocksStore; RocksStore.open(sys.argv[1])"
    with RocksStore.open(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"StoreLocked: the store in {tmp_path} is open in another process" in done.stderr


def test_readers_coexist_with_writer_and_cannot_write(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path) as writer:
        writer.commit([BLOCK], {b"head": b"1"})
        with RocksStore.open(tmp_path, read_only=True) as reader, RocksStore.open(tmp_path, read_only=True) as other:
            writer.commit([], {b"head": b"2"})
            assert reader.get(BLOCK[0]) == other.get(BLOCK[0]) == b"state"
            assert reader.metadata(b"head") == b"1"
            with pytest.raises(StoreReadOnly, match=tmp_path.name):
                reader.put(*BLOCK)
        assert writer.metadata(b"head") == b"2"


def test_every_commit_is_synced_by_default(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path, statistics=True) as store:
        before = store.counter("rocksdb.wal.synced")
        for number in range(7):
            store.commit([BLOCK], {b"number": b"%d" % number})
        store.put(*BLOCK)
        store.put_many([BLOCK, BLOCK])
        assert store.counter("rocksdb.wal.synced") - before == 9
    with RocksStore.open(tmp_path, sync=False, statistics=True) as store:
        before = store.counter("rocksdb.wal.synced")
        store.commit([BLOCK], {b"number": b"8"})
        assert store.counter("rocksdb.wal.synced") == before
    with RocksStore.open(tmp_path) as store, pytest.raises(StoreError, match="statistics"):
        store.counter("rocksdb.wal.synced")


class Bomb:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


def test_foreign_pickle_folder_is_refused_without_unpickling(tmp_path: Path) -> None:
    folder, trace = tmp_path / "store", tmp_path / "trace"
    with Rdict(str(folder), options=Options(raw_mode=False)) as database:
        for name in ("blocks", "metadata", "chain"):
            family = database.create_column_family(name, Options(raw_mode=False))
            family[b"head"] = Bomb(trace)
            family.close()
        database[b"head"] = Bomb(trace)
    copy = shutil.copytree(folder, tmp_path / "copy")

    with pytest.raises(StoreFormatError, match="not empty"):
        RocksStore.open(folder)
    (folder / "FORMAT").write_text(marker())  # an attacker may write our format file, too
    for read_only in (False, True):
        with pytest.raises(StoreFormatError):
            RocksStore.open(folder, read_only=read_only)
    assert not trace.exists()

    # rocksdict in its default mode runs the pickle (and returns None, the result of os.mkdir)
    with Rdict(str(copy)) as database:
        database.get(b"head")
    assert trace.exists(), "the planted pickle is harmless: this test guards nothing"


@pytest.mark.parametrize("config", ['{"raw_mode":false,"prefix_extractors":{}}', "garbage", None])
def test_a_planted_pickle_in_a_store_of_ours_is_plain_bytes(tmp_path: Path, config: str | None) -> None:
    folder, trace = tmp_path / "store", tmp_path / "trace"
    bomb = b"\x05" + pickle.dumps(Bomb(trace))  # rocksdict prefixes pickles with the byte 5
    with RocksStore.open(folder) as store:
        store.commit([(Cid(b"head"), bomb), (Cid(b"\x02head"), bomb), (cid_of(bomb), bomb)], {b"head": bomb})
    recorded = folder / "rocksdict-config.json"
    if config is None:
        recorded.unlink()
    else:
        recorded.write_text(config)
    for read_only in (True, False):
        with RocksStore.open(folder, read_only=read_only) as store:
            assert store.metadata(b"head") == store.get(cid_of(bomb)) == bomb
            for key in (Cid(b"head"), Cid(b"\x02head")):
                with pytest.raises(BlockCorrupt):
                    store.get(key)
    assert not trace.exists()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("marker", "what"),
    [
        ("hypervisor store, format 4\n", "format 4.*reads formats 1 to 3: open it with"),
        ("hypervisor store, format 3", "format"),
        ("something else", "does not identify"),
        ("", "does not identify"),
        ("\x00" * 100_000, "does not identify"),
    ],
)
def test_unsupported_store_format_is_refused_before_reading(
    tmp_path: Path, marker: str, what: str, read_only: bool
) -> None:
    write_one(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "FORMAT").write_text(marker)
    with pytest.raises(StoreFormatError, match=what):
        RocksStore.open(tmp_path, read_only=read_only)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_folder_with_other_files_is_refused_unchanged(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StoreFormatError, match="not empty"):
        RocksStore.open(tmp_path)
    with pytest.raises(StoreFormatError, match="is a file"):
        RocksStore.open(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_read_only_open_requires_existing_store(tmp_path: Path) -> None:
    with pytest.raises(StoreFormatError, match="does not contain a store"):
        RocksStore.open(tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()
    (tmp_path / "FORMAT").write_text(marker())
    with pytest.raises(StoreFormatError, match="is empty"):
        RocksStore.open(tmp_path, read_only=True)


@pytest.mark.parametrize("there", ["COMMITS", "000009.sst"])
def test_store_without_current_file_is_corrupt_for_all_openers(tmp_path: Path, there: str) -> None:
    with RocksStore.open(tmp_path) as store:
        store.commit([BLOCK], {b"head": BLOCK[0]})
    files = [path for path in tmp_path.iterdir() if path.name not in ("FORMAT", there)]
    assert (tmp_path / "CURRENT") in files
    for path in files:
        path.unlink()
    assert (tmp_path / there).exists()
    with pytest.raises(StoreCorrupt, match="is corrupt: the file CURRENT is missing"):
        RocksStore.open(tmp_path, read_only=True)
    if there == "COMMITS":
        with pytest.raises(StoreCorrupt, match="is corrupt"):
            RocksStore.open(tmp_path)


@pytest.mark.parametrize("left", ["FORMAT", "FORMAT.new"])
def test_interrupted_creation_is_continued(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text(marker())
    write_one(tmp_path)
    with RocksStore.open(tmp_path) as store:
        assert store.get(BLOCK[0]) == b"state"


def test_damaged_data_raises_store_corrupt(tmp_path: Path) -> None:
    rng = random.Random(7)
    blocks = [rng.randbytes(1000) for _ in range(200)]
    with RocksStore.open(tmp_path) as store:
        store.put_many((cid_of(data), data) for data in blocks)
    tables = list(tmp_path.glob("*.sst"))
    assert tables
    for table in tables:
        content = bytearray(table.read_bytes())
        content[100:150_000:97] = bytes(len(content[100:150_000:97]))
        table.write_bytes(content)

    def read_all() -> None:
        with RocksStore.open(tmp_path) as store:
            for data in blocks:
                store.get(cid_of(data))

    with pytest.raises(StoreCorrupt, match="is corrupt"):
        read_all()


def test_damaged_manifest_is_reported_with_its_folder(tmp_path: Path) -> None:
    write_one(tmp_path)
    (tmp_path / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(StoreError, match=tmp_path.name):
        RocksStore.open(tmp_path)


def reachable_blocks(store: RocksStore, root: Cid) -> int:
    """Return the number of blocks reachable from a root. Raises BlockNotFound if one is missing."""
    seen: set[Cid] = set()
    todo = [root]
    while todo:
        cid = todo.pop()
        if cid not in seen:
            seen.add(cid)
            data = store.get(cid)
            assert cid_of(data) == cid
            todo += links_of(data, DAG_CBOR)
    return len(seen)


@pytest.mark.slow
def test_rocks_store_reopens_at_acknowledged_head_after_any_kill(tmp_path: Path) -> None:
    rng = random.Random(20)
    roots = killed_writer.roots()
    expected: Cid | None = None
    number = blocks = 0
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.store.killed_writer", str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())  # the first number
        time.sleep(rng.random() * 0.06)
        writer.kill()
        for line in writer.stdout:
            acknowledged = int(line)
        writer.wait()
        writer.stdout.close()
        with RocksStore.open(tmp_path) as store:
            head = store.metadata(b"head")
            before, number = number, int(store.metadata(b"number") or 0)
            # The commit in progress may be durable without having been acknowledged.
            assert number in (acknowledged, acknowledged + 1)
            expected = [expected, *itertools.islice(roots, number - before)][-1]
            assert head == expected
            blocks = 0 if head is None else reachable_blocks(store, Cid(head))
    assert number > 40
    assert blocks > 5


@pytest.mark.parametrize("place", ["/proc/nothing/store", "/dev/null/store"])
def test_failed_folder_creation_is_not_reported_as_corruption(place: str) -> None:
    with pytest.raises(StoreError, match=f"cannot create the folder {place} of a store") as refused:
        RocksStore.open(place)
    assert not isinstance(refused.value, StoreCorrupt)
