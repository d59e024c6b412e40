"""The marks of a garbage collection, kept in RocksDB beside the blocks, so that a collection may be left and resumed.

A collection marks, then sweeps. Marked blocks stay. The collector (`store.collector`) gives the mark BELOW to a block
when everything that it leads to has that mark; a commit gives HELD to what it stores while a collection is in progress.
When the sweep begins, all that the roots lead to is marked BELOW; from then on a commit that names a root first sees to
it that this holds of the new root, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rocksdict import Rdict, ReadOptions

from store.blockstore import Blockstore
from store.cid import Cid
from store.codec import decode, encode
from store.rocks_batch import Batch
from store.roots import named_roots
from store.walk import Walk

HELD: Final = b"h"
BELOW: Final = b"b"

MARKING: Final = "mark"
SWEEPING: Final = "sweep"

_RECORD: Final = b"collection"  # in RocksDB's own default family
_END: Final = b"\xff" * 80  # after every CID
_VERSION: Final = 1
_PIECE: Final = 1000


@dataclass(frozen=True, slots=True)
class Collection:
    """How far a collection is: its phase, the last block that the sweep has looked at, blocks marked, kept, dropped."""

    phase: str = MARKING
    cursor: bytes = b""
    marked: int = 0
    kept: int = 0
    dropped: int = 0

    def encode(self) -> bytes:
        """The record in the database."""
        return encode([_VERSION, self.phase, self.cursor, self.marked, self.kept, self.dropped])

    @classmethod
    def decode(cls, data: bytes) -> Collection:
        """The inverse of `encode`."""
        _, phase, cursor, marked, kept, dropped = decode(data)
        return cls(phase, cursor, marked, kept, dropped)


class Marks:
    """The marks in an open database. What must not mix with commits is done under the store's lock, by the store."""

    def __init__(self, database: Rdict, blocks: str, marks: str) -> None:
        self._database = database
        self._blocks_name, self._marks_name = blocks, marks
        self._marks = database.get_column_family(marks)
        self.collection: Collection | None = None

    def resume(self) -> None:
        """Find out whether a collection was left."""
        record = self._database.get(_RECORD)
        self.collection = None if record is None else Collection.decode(record)

    def close(self) -> None:
        """Release the database."""
        self._marks.close()

    def is_below(self, cid: Cid) -> bool:
        """Whether the block and all that it leads to are marked."""
        return bool(self._marks.get(cid) == BELOW)

    # --- what a commit does while a collection is in progress -------------------------------------------------

    def hold(
        self,
        batch: Batch,
        blocks: Mapping[Cid, bytes],
        metadata: Mapping[bytes, bytes | None],
        store: Blockstore,
    ) -> None:
        """Mark what a commit stores; where the sweep has begun, also all that its new roots lead to.

        BlockNotFound if a root leads to a block that is swept already.
        """
        for cid in blocks:
            batch.put(self._marks_name, cid, HELD)
        if self.collection is None or self.collection.phase != SWEEPING:
            return
        finished: set[Cid] = set()
        walk = Walk(_Over(blocks, store), named_roots(metadata), lambda cid: cid in finished or self.is_below(cid))
        while found := walk.step(_PIECE):
            finished.update(found)
            for cid in found:
                batch.put(self._marks_name, cid, BELOW)

    # --- what the collector does ------------------------------------------------------------------------------

    def begin(self, forgotten: Iterable[tuple[str, bytes]]) -> None:
        """Begin a collection: no mark is left of an earlier one. Entries of other families are forgotten with it."""
        batch = Batch(self._database)
        batch.clear(self._marks_name, _END)
        for family, key in forgotten:
            batch.delete(family, key)
        self._write(batch, Collection())

    def add(self, found: Iterable[Cid], mark: bytes = BELOW) -> None:
        """Mark blocks."""
        batch = Batch(self._database)
        count = 0
        for cid in found:
            batch.put(self._marks_name, cid, mark)
            count += 1
        collection = self._running()
        self._write(batch, replace(collection, marked=collection.marked + count))

    def begin_sweep(self) -> None:
        """All that the roots lead to is marked: what has no mark may go."""
        self._write(Batch(self._database), replace(self._running(), phase=SWEEPING))

    def sweep(self, blocks: Rdict, most: int) -> bool:
        """Drop the blocks without a mark among the next `most` ones; whether any are left to be looked at."""
        collection = self._running()
        if collection.phase != SWEEPING:
            raise RuntimeError("the marking is not complete")
        batch = Batch(self._database)
        unmarked, looked, cursor = _unmarked(blocks, self._marks, collection.cursor, most)
        for cid in unmarked:
            batch.delete(self._blocks_name, cid)
        self._write(
            batch,
            replace(
                collection,
                cursor=cursor,
                kept=collection.kept + looked - len(unmarked),
                dropped=collection.dropped + len(unmarked),
            ),
        )
        return looked == most

    def end(self) -> None:
        """End the collection and forget its marks."""
        batch = Batch(self._database)
        batch.clear(self._marks_name, _END)
        batch.note(_RECORD, None)
        batch.write()
        self.collection = None

    def _write(self, batch: Batch, collection: Collection) -> None:
        batch.note(_RECORD, collection.encode())
        # Not synced: RocksDB's log keeps the order, so that a crash loses the end of the collection and nothing else.
        batch.write()
        self.collection = collection

    def _running(self) -> Collection:
        if self.collection is None:
            raise RuntimeError("no collection is in progress")
        return self.collection


class _Over:
    """The blocks of a commit over those of the store."""

    def __init__(self, blocks: Mapping[Cid, bytes], store: Blockstore) -> None:
        self._blocks = blocks
        self._store = store

    def get(self, cid: Cid) -> bytes:
        data = self._blocks.get(cid)
        return self._store.get(cid) if data is None else data

    def has(self, cid: Cid) -> bool:
        return cid in self._blocks or self._store.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        raise NotImplementedError

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        raise NotImplementedError


def _unmarked(blocks: Rdict, marks: Rdict, cursor: bytes, most: int) -> tuple[list[bytes], int, bytes]:
    """Of the next `most` blocks after the cursor: those without a mark, how many were looked at, the new cursor."""
    options = ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # a sweep reads everything once; the stub lacks the argument
    over, beside = blocks.iter(options), marks.iter(options)
    over.seek(cursor)
    if over.valid() and over.key() == cursor:
        over.next()
    unmarked: list[bytes] = []
    looked = 0
    if over.valid():
        beside.seek(over.key())
    while looked < most and over.valid():
        cursor = over.key()
        while beside.valid() and beside.key() < cursor:
            beside.next()
        if not beside.valid() or beside.key() != cursor:
            unmarked.append(cursor)
        looked += 1
        over.next()
    return unmarked, looked, cursor
