"""A copy of a store's folder as a dying machine leaves it: while its writer still has it open."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import sleep

from store.rocks import RocksStore

_BUSY = ("rocksdb.num-running-compactions", "rocksdb.num-running-flushes", "rocksdb.compaction-pending")
_NEEDLESS = ("LOG", "OPTIONS", "IDENTITY", "LOCK", "rocksdict")


def copy_live(store: RocksStore, target: Path) -> Path:
    """Copy the files that hold data, at a moment at which RocksDB changes none of them by itself."""
    while any(store._open_database().property_int_value(name) for name in _BUSY):
        sleep(0.001)
    target.mkdir()
    for file in store.path.iterdir():
        if not file.name.startswith(_NEEDLESS):
            shutil.copyfile(file, target / file.name)
    return target


def scratch() -> Path | None:
    """A folder in memory, where there is one: many tests open many folders, and disks take their time to sync."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


def scratch_folder() -> Path:
    """A new temporary folder, in memory where that is possible."""
    return Path(tempfile.mkdtemp(prefix="store-", dir=scratch()))
