"""RocksDB's errors become errors of the store that name the cause and the remedy."""

import errno
import re
from pathlib import Path

import pytest

from store.blockstore import StoreCorrupt, StoreError, StoreFull, StoreIOError, StoreReadOnly
from store.rocks import RocksStore
from store.rocks_settings import store_error

FOLDER = Path("/data/chain")


def test_write_buffers_of_an_open_folder_are_bounded(tmp_path: Path) -> None:
    """RocksDB writes the options in use to a file; by default each family would have 64 MB."""
    with RocksStore.open(tmp_path):
        (options,) = tmp_path.glob("OPTIONS-*")
    text = options.read_text(encoding="ascii")
    families = re.findall(r'CFOptions "(\w+)"].*?\bwrite_buffer_size=(\d+)', text, re.DOTALL)
    assert {name for name, _ in families} == {"default", "blocks", "metadata", "chain", "marks"}
    assert sum(int(size) for name, size in families if name != "default") <= 128 << 20


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
