"""Garbage collection: marks what the roots lead to, drops the other blocks in bounded batches, returns the disk space.

It may be left at any point, by the end of the process too, and taken up again; and it works beside a writer in the same
process, whose commits wait for one batch at the most (how: `store.marks`). What a commit stores during a collection is
kept by that collection; what it dropped meanwhile goes with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from time import monotonic
from typing import Final

from store.cid import Cid
from store.marks import HELD, SWEEPING, Collection
from store.rocks import RocksStore
from store.roots import Roots, named_roots
from store.walk import Walk

BATCH: Final = 1000
"""How many blocks one step marks or looks at: some milliseconds."""


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """What a collection came to: blocks kept and dropped, bytes of the folder before and after."""

    kept: int
    dropped: int
    size_before: int
    size_after: int


class GarbageCollector:
    """A collection in steps: `step` until nothing is left, then `finish`; or `run`, which does both."""

    def __init__(self, store: RocksStore, roots: Callable[[], Roots] = Roots, batch: int = BATCH) -> None:
        """Take up the collection that the folder was left in, or begin one.

        The roots are those that the metadata name (`store.roots`) and what `roots` returns. It is asked when the
        marking begins or is taken up again; what is committed later is kept by its commit.
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
            raise RuntimeError("the collection has been finished")
        return self._store.collection

    def step(self) -> bool:
        """Do one batch of the work; whether any is left.

        Raises BlockNotFound and StoreCorrupt where a root leads to a block that is not there or cannot be read: then
        nothing is dropped, and the collection can be taken up again once that is repaired.
        """
        if self._collection.phase == SWEEPING:
            return self._store.sweep(self._batch)
        if self._marking is None:
            self._marking = self._mark(self._roots())
        try:
            next(self._marking)
        except BaseException:
            self._marking = None  # what was found and not marked must be found again
            raise
        return True

    def end(self) -> CollectionResult:
        """Forget the marks. RocksDB returns the space of what was dropped bit by bit, as it writes more."""
        last = self._collection
        self._store.end_collection()
        return CollectionResult(last.kept, last.dropped, self._size, self._store.size())

    def finish(self) -> CollectionResult:
        """Forget the marks, and let RocksDB return the space of what was dropped at once."""
        done = self.end()
        self._store.compact()
        return replace(done, size_after=self._store.size())

    def run(
        self, progress: Callable[[Collection], None] | None = None, seconds: float | None = None
    ) -> CollectionResult | None:
        """Step to the end and finish; None if the time is over before the end."""
        until = None if seconds is None else monotonic() + seconds
        while self.step():
            if progress is not None:
                progress(self._collection)
            if until is not None and monotonic() > until:
                return None
        return self.finish()

    def _mark(self, roots: Roots) -> Iterator[None]:
        """The marking, a batch at a time."""
        shallow = iter(roots.shallow)
        while batch := list(islice(shallow, self._batch)):
            self._store.add_marks(batch, HELD)
            yield
        deep: Iterator[Cid] = chain(named_roots(self._store.all_metadata()), roots.deep)
        while True:
            count = 0
            walk = Walk(self._store, deep, self._store.is_below)
            while found := walk.step(self._batch):
                self._store.add_marks(found)
                count += len(found)
                yield
            if count < self._batch:
                break
            deep = named_roots(self._store.all_metadata())  # what a writer has committed in the meantime
        self._store.begin_sweep()
        yield
