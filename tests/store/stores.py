"""Stores for tests.

- Copies of a store's folder while its writer has it open, as after a crash.
- A store that counts reads and writes, to test lazy loading and minimal flushes without timing.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import sleep

from store.blocks.memory import MemoryStore
from store.cid import Cid
from store.rocks.database import RocksStore

_BUSY = ("rocksdb.num-running-compactions", "rocksdb.num-running-flushes", "rocksdb.compaction-pending")
_NEEDLESS = ("LOG", "OPTIONS", "IDENTITY", "LOCK", "rocksdict")


def copy_live(store: RocksStore, target: Path) -> Path:
    """Copy the files that hold data, while RocksDB is not changing any of them in the background."""
    while any(store._open_database().property_int_value(name) for name in _BUSY):
        sleep(0.001)
    target.mkdir()
    for file in store.path.iterdir():
        if not file.name.startswith(_NEEDLESS):
            shutil.copyfile(file, target / file.name)
    return target


def scratch() -> Path | None:
    """Location for temporary folders: a file system in memory if there is one, because disk syncs are slow."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


def scratch_folder() -> Path:
    """Yield a new temporary folder, in memory if possible."""
    return Path(tempfile.mkdtemp(prefix="store-", dir=scratch()))


class CountingStore(MemoryStore):
    """A store whose `reads` and `writes` list the CIDs in order of access."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Cid] = []
        self.writes: list[Cid] = []

    def get(self, cid: Cid) -> bytes:
        self.reads.append(cid)
        return super().get(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        self.writes.append(cid)
        super().put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        for cid, data in blocks:
            self.put(cid, data)

    def forget(self) -> None:
        self.reads.clear()
        self.writes.clear()
