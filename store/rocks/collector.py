"""Garbage collection: mark the blocks reachable from the roots, drop the others in batches, reclaim disk space.

A collection can be interrupted at any point, including by process exit, and resumed. It runs beside a writer in the
same process, whose commits wait for at most one batch (see `store.rocks.marks`). Blocks stored during a collection
survive it; blocks that become unreachable during a collection are dropped by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from time import monotonic
from typing import Final

from store.cid import Cid
from store.links import Walk
from store.rocks.database import RocksStore
from store.rocks.marks import MARK_BLOCK, SWEEPING, Collection
from store.roots import Roots, metadata_roots

BATCH: Final = 1000
"""Number of blocks that one step marks or scans (a few milliseconds)."""


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """The result of a collection: blocks retained and dropped, folder size in bytes before and after."""

    retained: int
    dropped: int
    size_before: int
    size_after: int


class GarbageCollector:
    """A garbage collection in steps: call `step` until it returns False, then `finish`; `run` does both."""

    def __init__(self, store: RocksStore, roots: Callable[[], Roots] = Roots, batch: int = BATCH) -> None:
        """Resume the interrupted collection of the store, or start a new one.

        The roots are those named in the metadata (`store.roots`) and those that `roots` returns. `roots` is called when
        marking starts or resumes; blocks committed later are marked by their commit.
        """
        self._store = store
        self._batch = batch
        self._size = store.size()
        if store.collection is None:
            store.begin_collection()
        self._roots = roots
        self._marking: Iterator[None] | None = None

    @property
    def _collection(self) -> Collection:
        if self._store.collection is None:
            raise RuntimeError("the collection is already finished")
        return self._store.collection

    def step(self) -> bool:
        """Process one batch, and return True if work remains.

        Raises BlockNotFound and StoreCorrupt if a reachable block is missing or malformed. In this case nothing is
        dropped, and the collection can be resumed after a repair.
        """
        if self._collection.phase == SWEEPING:
            return self._store.sweep(self._batch)
        if self._marking is None:
            self._marking = self._mark(self._roots())
        try:
            next(self._marking)
        except BaseException:
            self._marking = None  # restart the walk: blocks that it found may not be marked yet
            raise
        return True

    def end(self) -> CollectionResult:
        """Discard the marks. RocksDB reclaims the space gradually during later writes."""
        last = self._collection
        self._store.end_collection()
        return CollectionResult(last.retained, last.dropped, self._size, self._store.size())

    def finish(self) -> CollectionResult:
        """Discard the marks, and compact the database to reclaim the space immediately."""
        done = self.end()
        self._store.compact()
        return replace(done, size_after=self._store.size())

    def run(
        self, progress: Callable[[Collection], None] | None = None, seconds: float | None = None
    ) -> CollectionResult | None:
        """Run all steps and finish; return None if the time limit `seconds` expires before."""
        until = None if seconds is None else monotonic() + seconds
        while self.step():
            if progress is not None:
                progress(self._collection)
            if until is not None and monotonic() > until:
                return None
        return self.finish()

    def _mark(self, roots: Roots) -> Iterator[None]:
        """Mark reachable blocks, one batch per iteration."""
        shallow = iter(roots.shallow)
        while batch := list(islice(shallow, self._batch)):
            self._store.add_marks(batch, MARK_BLOCK)
            yield
        deep: Iterator[Cid] = chain(metadata_roots(self._store.all_metadata()), roots.deep)
        while True:
            count = 0
            walk = Walk(self._store, deep, self._store.is_subtree_marked)
            while found := walk.step(self._batch):
                self._store.add_marks(found)
                count += len(found)
                yield
            if count < self._batch:
                break
            deep = metadata_roots(self._store.all_metadata())  # include commits made since the walk started
        self._store.begin_sweep()
        yield
