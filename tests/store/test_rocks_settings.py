"""Settings of RocksDB, and its errors: they become errors of the store that name the cause and the remedy."""

import errno
import random
import re
from pathlib import Path

import pytest

from store.blockstore import StoreCorrupt, StoreError, StoreFull, StoreIOError, StoreReadOnly
from store.cid import cid_of
from store.rocks.database import RocksStore
from store.rocks.options import store_error

FOLDER = Path("/data/chain")
INSERTED = "rocksdb.block.cache.bytes.write"
"""Number of bytes that were inserted into the block cache."""


def test_write_buffers_of_an_open_folder_are_bounded(tmp_path: Path) -> None:
    """RocksDB writes the options in use to a file; by default each family would have 64 MB."""
    with RocksStore.open(tmp_path):
        (options,) = tmp_path.glob("OPTIONS-*")
    text = options.read_text(encoding="ascii")
    families = re.findall(r'CFOptions "(\w+)"].*?\bwrite_buffer_size=(\d+)', text, re.DOTALL)
    assert {name for name, _ in families} == {"default", "blocks", "metadata", "chain", "marks"}
    assert sum(int(size) for name, size in families if name != "default") <= 128 << 20


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


def test_other_error_of_the_system_does_not_blame_the_disk() -> None:
    error = store_error(OSError(errno.ENAMETOOLONG, "File name too long"), FOLDER)
    assert type(error) is StoreIOError
    assert "check the disk" not in str(error)
