"""A process that works on a store whose disk fails (see test_durability.py).

Prints one line per operation: `committed N`, the name of an error, or `found N` for a number read.
"""

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from store.blockstore import StoreError
from store.cid import cid_of
from store.rocks.database import RocksStore

SIZE = 20_000


def commit(store: RocksStore, number: int) -> bool:
    """Commit a numbered block of SIZE bytes, and return the line to print."""
    data = random.Random(number).randbytes(SIZE)
    try:
        store.commit([(cid_of(data), data)], {b"number": b"%d" % number})
    except StoreError as error:
        print(type(error).__name__, flush=True)
        return False
    print("committed", number, flush=True)
    return True


def commit_until_it_fails(folder: Path, free: Callable[[], object]) -> None:
    """Commit until an error occurs, then once more on the same store, then read; the same after `free`."""
    with RocksStore.open(folder) as store:
        number = 1
        while commit(store, number):
            number += 1
        commit(store, number)
        read(store)
        free()
        commit(store, number)
        read(store)


def read(store: RocksStore) -> None:
    """Read the last number and check every block up to it."""
    number = int(store.metadata(b"number") or 0)
    for earlier in range(1, number + 1):
        store.get(cid_of(random.Random(earlier).randbytes(SIZE)))
    print("found", number, flush=True)


def attempt(folder: Path, read_only: bool) -> None:
    """Open the store, and read or commit."""
    try:
        with RocksStore.open(folder, read_only=read_only) as store:
            read(store)
            if not read_only:
                commit(store, int(store.metadata(b"number") or 0) + 1)
    except StoreError as error:
        print(type(error).__name__, flush=True)


def files_too_large(folder: Path) -> None:
    """Limit the file size to 150,000 bytes, then lift the limit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    commit_until_it_fails(folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited))
    attempt(folder, read_only=False)


def disk(folder: Path) -> None:
    """Fill a disk of 18 MB that is nine tenths full, free space, then remount it read-only."""
    _run("mount", "-t", "tmpfs", "-o", "size=18m", "none", str(folder))
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(16 << 20))
    commit_until_it_fails(folder / "store", ballast.unlink)
    attempt(folder / "store", read_only=True)
    attempt(folder / "store", read_only=False)
    _run("mount", "-o", "remount,ro", str(folder))
    for read_only in (False, True):
        attempt(folder / "store", read_only)
    attempt(folder / "new", read_only=False)


def stranger(folder: Path) -> None:
    """Run as a user with read permission, then without."""
    import pickle  # noqa: F401  # rocksdict imports it, and the stranger may not read the interpreter's folder

    with RocksStore.open(folder) as store:
        commit(store, 1)
    for file in (folder, *folder.iterdir()):
        file.chmod(0o755 if file.is_dir() else 0o644)
    user = os.getuid() or 65534
    for mode in (0o555, 0o000):
        folder.chmod(mode)
        child = os.fork()
        if child == 0:
            os.setuid(user)
            for read_only in (False, True):
                attempt(folder, read_only)
            os._exit(0)
        os.waitpid(child, 0)
    folder.chmod(0o755)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    {"files_too_large": files_too_large, "disk": disk, "stranger": stranger}[sys.argv[1]](Path(sys.argv[2]))
