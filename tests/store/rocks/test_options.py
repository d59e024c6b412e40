"""Settings of RocksDB, and its errors: they become errors of the store that name the cause and the remedy."""

import errno
import os
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from store.blockstore import StoreCorrupt, StoreError, StoreFull, StoreIOError, StoreReadOnly
from store.cid import cid_of
from store.rocks.database import RocksStore
from store.rocks.options import store_error

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
        ("IO error: No space left on device: While appending", StoreFull, "free space and reopen it"),
        ("IO error: While fdatasync: 000026.log: Input/output error", StoreIOError, "check the disk and reopen it"),
        ("Input/output error (os error 5)", StoreIOError, "check the disk and reopen it"),
        ("IO error: While renaming a file to CURRENT: Input/output error", StoreIOError, "check the disk"),
        ("IO error: While open a file: 000017.sst: Too many open files", StoreIOError, "ulimit -n"),
        (
            "IO error: While open a file: Read-only file system",
            StoreReadOnly,
            "remount it and reopen the store, or only read it: Network(read_only=True)",
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
size_and_flags = ctypes.c_size_t.from_address(libc.malloc(int(size)) - ctypes.sizeof(ctypes.c_size_t)).value
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
