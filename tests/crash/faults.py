"""A store whose n-th write fails, for every n: before anything was written, or after everything was.

After the failure, the program continues with the same store or reopens the folder. In both cases the last acknowledged
state is present, the work can be finished, and the failed write leaves no data.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from store.blockstore import StoreError, StoreFull
from store.cid import Cid
from store.links import reachable
from store.rocks.database import RocksStore
from store.roots import pin, unpin
from store.storage import Storage
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next
from tests.store.stores import scratch_folder

COMMITS = 6


class Disk:
    """Counts writes to the database and makes one of them fail."""

    def __init__(self, database: Any, fail_at: int, done_before: bool) -> None:
        self._database = database
        self._fail_at = fail_at
        self._done_before = done_before
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write(self, *arguments: Any) -> None:
        """Write a batch, or fail."""
        self.writes += 1
        if self.writes != self._fail_at:
            self._database.write(*arguments)
            return
        if self._done_before:
            self._database.write(*arguments)
        raise Exception("IO error: No space left on device: injected")


def with_fault(folder: Path, fail_at: int, done_before: bool) -> RocksStore:
    """Open the store in a folder on such a disk. A `fail_at` of 0 never fails."""
    store = RocksStore.open(folder, sync=False)
    disk: Any = Disk(store._database, fail_at, done_before)
    store._database = disk
    if store._marks is not None:
        store._marks._database = disk
    return store


@dataclass(slots=True)
class Faults:
    """The result of a run: number of failed writes, and findings."""

    faults: int = 0
    findings: list[str] = field(default_factory=list)


def work(store: RocksStore) -> list[Callable[[], object]]:
    """Yield the steps of the work: commits, views, pins, and a collection between commits."""
    collections: list[Any] = []

    def put() -> None:
        with Storage.named(store, b"f0100") as storage:
            storage.commit(storage.head(), storage.put([storage.put("leaf")]))

    def begin() -> None:
        collections[:] = [collector(store, batch=3)]

    def step() -> None:
        for _ in range(5):
            if collections and not collections[0].step():
                collections[0].finish()
                collections.clear()

    def end() -> None:
        collector(store).run()

    def keep() -> None:
        pin(store, "kept", Cid(store.metadata(b"head") or b""))

    commit = [lambda: commit_next(store)]
    return [
        *commit * COMMITS, put, keep, begin, step, *commit, step, put, step, lambda: unpin(store, "kept"), *commit, end,
        *commit, end,
    ]  # fmt: skip


def run_faults(*, reopen: bool, done_before: bool, every: int = 1) -> Faults:
    """Fail each `every`-th write once, until a run of the work completes without reaching the failure."""
    roots = StateRoots()
    result = Faults()
    for fail_at in count(1, every):
        place = scratch_folder()
        try:
            if not _fails(place, fail_at, reopen, done_before, roots):
                return result
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            result.findings.append(f"write {fail_at}: {type(error).__name__}: {error}")
        finally:
            shutil.rmtree(place)
        result.faults += 1
    raise Unexpected("no end")


def _fails(folder: Path, fail_at: int, reopen: bool, done_before: bool, roots: StateRoots) -> bool:
    """Run the work with one failing write; return True if that write was reached."""
    store = with_fault(folder, fail_at, done_before)
    failed = False
    steps = work(store)
    at = 0
    while at < len(steps):
        before = check(store, roots)
        try:
            steps[at]()
            at += 1
        except StoreFull:
            failed = True
            if reopen:
                store.close()
                store = RocksStore.open(folder, sync=False)
                steps = work(store)
            if check(store, roots) not in (before, before + 1):
                raise Unexpected(f"state {before} before the failure, {check(store, roots)} after it") from None
        except StoreError as error:
            raise Unexpected(f"step {at}: {error}") from error
    store.close()
    store = RocksStore.open(folder, sync=False)  # on a disk without faults
    collector(store).run()
    kept = {Cid(store.metadata(key) or b"") for key in (b"head", b"storage/f0100")}
    if set(store.cids()) != reachable(store, kept) | {Cid(store.index(b"header") or b"")}:
        raise Unexpected("what is stored is not what is reachable")
    store.close()
    return failed
