"""The store on disk: database, storage format, and RocksDB's settings.

- The store on disk: durability, a single writer, untrusted folders and corruption.
- The storage format of blocks: every block is restored, and nodes of links take less space.
- Settings of RocksDB, and its errors: they become errors of the store that name the cause and the remedy.
"""

import errno
import itertools
import os
import pickle
import platform
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from store.blocks.memory import MemoryStore
from store.blockstore import (
    BlockCorrupt,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFormatError,
    StoreFull,
    StoreIOError,
    StoreLocked,
    StoreReadOnly,
)
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link
from store.links import links_of
from store.rocks.database import RocksStore
from store.rocks.folder import marker
from store.rocks.options import pack, store_error, unpack
from store.trees.hamt import Hamt
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


@pytest.mark.slow
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


@pytest.mark.slow
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


LINK_START = bytes.fromhex("d82a582700" + "0171a0e40220")
"""Tag 42, a byte string of 39 bytes, 0x00; CID version 1, DAG-CBOR, blake2b-256, 32 bytes."""

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def node(digests: list[bytes]) -> bytes:
    """Return a node of links, encoded by hand."""
    bitfield = ((1 << len(digests)) - 1).to_bytes((len(digests) + 7) // 8, "big")
    count = bytes((0x80 + len(digests),)) if len(digests) < 24 else bytes((0x98, len(digests)))
    head = b"\x82" + bytes((0x40 + len(bitfield),)) + bitfield + count
    return head + b"".join(LINK_START + digest for digest in digests)


def test_packed_node_of_links_omits_common_link_prefix() -> None:
    first, second = blake2b(b"1", digest_size=32).digest(), blake2b(b"2", digest_size=32).digest()
    block = bytes.fromhex("82 41 03 82") + LINK_START + first + LINK_START + second
    assert block == encode([b"\x03", [link(cid_of(b"1")), link(cid_of(b"2"))]])
    assert pack(cid_of(block), block) == bytes.fromhex("ff 82 41 03 82") + first + second


@given(DIGESTS)
def test_a_node_of_links_comes_back(digests: list[bytes]) -> None:
    block = node(digests)
    stored = pack(cid_of(block), block)
    assert len(stored) == len(block) + 1 - 11 * len(digests)
    assert unpack(cid_of(block), stored) == block


@given(DIGESTS, st.binary(max_size=50), st.integers(0, 1800), st.integers(0, 80), st.sampled_from((DAG_CBOR, RAW)))
def test_any_block_comes_back(digests: list[bytes], other: bytes, at: int, dropped: int, codec: int) -> None:
    for block in (
        other,
        b"\xff" + other,
        b"\xff" + node(digests),
        (node(digests)[:at] + other + node(digests)[at + dropped :]),
    ):
        cid = cid_of(block, codec)
        assert unpack(cid, pack(cid, block)) == block
        assert unpack(cid, block) == block, "as older formats have it"


def test_a_digest_that_looks_like_a_link_is_a_digest() -> None:
    block = node([LINK_START + bytes(21), bytes(21) + LINK_START, LINK_START * 2 + bytes(10)])
    assert unpack(cid_of(block), pack(cid_of(block), block)) == block


@given(DIGESTS, st.integers(0), st.integers(1, 255))
def test_damaged_packed_block_is_rejected(digests: list[bytes], place: int, change: int) -> None:
    block = node(digests)
    stored = bytearray(pack(cid_of(block), block))
    stored[place % len(stored)] ^= change
    assert unpack(cid_of(block), bytes(stored)) is None
    assert unpack(cid_of(block), bytes(stored[: place % len(stored)])) is None


@pytest.mark.parametrize("stored", [b"", b"\xff", b"\xff\x82", b"\xff\x82\x5f", b"\xff\x82\x41\x01\x81", b"\xff\xff"])
def test_truncated_packed_block_is_rejected(stored: bytes) -> None:
    assert unpack(cid_of(b"another"), stored) is None


@pytest.mark.slow
def test_a_large_tree_takes_less_of_the_log(tmp_path: Path) -> None:
    memory = MemoryStore()
    tree = Hamt(memory)
    for number in range(20_000):
        tree.set(b"%d" % number, None)
    tree.flush()
    nodes = [data for data in memory._blocks.values() if data.count(LINK_START) == 32]
    assert len(nodes) > 30
    with RocksStore.open(tmp_path, statistics=True) as store:
        before = store.counter("rocksdb.wal.bytes")
        store.put_many((cid_of(data), data) for data in nodes)
        written = store.counter("rocksdb.wal.bytes") - before
        assert [store.get(cid_of(data)) for data in nodes] == nodes
    assert written < len(nodes) * (32 * 32 + 100), "a digest of 32 bytes for each link, and the key"


def test_block_with_mixed_codec_links_is_not_packed() -> None:
    block = encode([b"\x03", [link(cid_of(b"1")), link(cid_of(b"2", RAW))]])
    assert pack(cid_of(block), block) == block


FOLDER = Path("/data/chain")
INSERTED = "rocksdb.block.cache.bytes.write"
"""Number of bytes that were inserted into the block cache."""


needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
def test_write_buffers_of_an_open_folder_are_bounded(tmp_path: Path) -> None:
    """RocksDB writes the options in use to a file; by default each family would have 64 MB."""
    with RocksStore.open(tmp_path):
        (options,) = tmp_path.glob("OPTIONS-*")
    text = options.read_text(encoding="ascii")
    families = re.findall(r'CFOptions "(\w+)"].*?\bwrite_buffer_size=(\d+)', text, re.DOTALL)
    assert {name for name, _ in families} == {"default", "blocks", "metadata", "chain", "marks"}
    assert sum(int(size) for name, size in families if name != "default") <= 128 << 20


@pytest.mark.usefixtures("dynamic_threshold")
@needs_glibc
@pytest.mark.slow
def test_filters_of_large_files_stay_in_the_cache(tmp_path: Path) -> None:
    """A filter of all these keys has 0.6 MB, more than one of the two shards of the cache."""
    count, size = 500_000, 1 << 20
    with RocksStore.open(tmp_path, sync=False, cache=size, statistics=True) as store:
        store.put_many((cid_of(number.to_bytes(4)), number.to_bytes(4)) for number in range(count))
        store.compact()
        before = store.counter(INSERTED)
        for number in random.Random(1).sample(range(count), 500):
            assert store.get(cid_of(number.to_bytes(4))) == number.to_bytes(4)
        assert (store.counter(INSERTED) - before) / 500 < 50_000


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
@pytest.mark.parametrize(
    ("text", "kind", "remedy"),
    [
        ("IO error: No space left on device: While appending", StoreFull, "free space; no commit is lost"),
        (
            "IO error: While fdatasync: 000026.log: Input/output error",
            StoreIOError,
            "check the disk; no commit is lost",
        ),
        ("Input/output error (os error 5)", StoreIOError, "check the disk; no commit is lost"),
        ("IO error: While renaming a file to CURRENT: Input/output error", StoreIOError, "check the disk"),
        ("IO error: While open a file: 000017.sst: Too many open files", StoreIOError, "ulimit -n"),
        (
            "IO error: While open a file: Read-only file system",
            StoreReadOnly,
            "remount it, or only read it: Network(read_only=True)",
        ),
        ("Corruption: checksum mismatch", StoreCorrupt, "is corrupt"),
        ("Corruption: may be corrupted.", StoreCorrupt, "corrupted; restore the folder from a copy"),
        ("IO error: No such file or directory: CURRENT", StoreCorrupt, "is corrupt"),
    ],
)
def test_error_of_rocksdb_names_the_remedy(text: str, kind: type[StoreError], remedy: str) -> None:
    error = store_error(Exception(text), FOLDER)
    assert type(error) is kind
    assert remedy in str(error)
    assert str(FOLDER) in str(error)


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
def test_other_error_of_the_system_does_not_blame_the_disk() -> None:
    error = store_error(OSError(errno.ENAMETOOLONG, "File name too long"), FOLDER)
    assert type(error) is StoreIOError
    assert "check the disk" not in str(error)


PROGRAM = """
import ctypes, sys
from store.rocks.database import RocksStore

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
opened, folder, size = sys.argv[1:]
if opened == "store":
    RocksStore.open(folder).close()
libc.free(libc.malloc(31 << 20))  # raises glibc's dynamic threshold to 31 MiB
taken = [libc.malloc(int(size)) for _ in range(9)]  # the first ones may get what the heap has free
size_and_flags = ctypes.c_size_t.from_address(taken[-1] - ctypes.sizeof(ctypes.c_size_t)).value
print("mapped" if size_and_flags & 2 else "in a heap")
"""


def place_of(size: int, opened: str, folder: Path, **variables: str) -> str:
    """Return where glibc puts `size` bytes in a process that opened a "store" or "nothing"."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name not in ("GLIBC_TUNABLES", "LD_PRELOAD")
    }
    command = [sys.executable, "-c", PROGRAM, opened, str(folder / "store"), str(size)]
    done = subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def dynamic_threshold(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip the tests if glibc does not raise its threshold, so that they could not fail."""
    if place_of(16 << 20, "nothing", tmp_path_factory.mktemp("nothing")) == "mapped":
        pytest.skip("this machine's malloc does not raise its threshold")


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
def test_store_keeps_large_allocations_mapped(tmp_path: Path) -> None:
    assert place_of(16 << 20, "store", tmp_path) == "mapped"


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALLOC_MMAP_MAX_", "131072"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TOP_PAD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
def test_store_leaves_the_threshold_of_the_user_alone(variable: str, value: str, tmp_path: Path) -> None:
    """The threshold stays at 128 KiB instead of the store's 1 MiB."""
    assert place_of(512 << 10, "store", tmp_path, **{variable: value}) == "mapped"


@pytest.mark.usefixtures("dynamic_threshold")
@pytest.mark.slow
@needs_glibc
def test_store_fixes_the_threshold_beside_other_settings_of_malloc(tmp_path: Path) -> None:
    assert place_of(512 << 10, "store", tmp_path, GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == "in a heap"
    assert place_of(16 << 20, "store", tmp_path, GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == "mapped"
