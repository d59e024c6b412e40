"""Marks of a garbage collection, stored in RocksDB with the blocks so that a collection can be resumed.

A collection marks blocks, then sweeps unmarked ones. A block has one of two marks: MARK_BLOCK keeps the block itself,
MARK_SUBTREE means that everything reachable from it is marked, too. The collector (`store.rocks.collector`) sets
MARK_SUBTREE. A commit during a collection sets MARK_BLOCK on the blocks that it stores. When the sweep begins,
everything reachable from the roots is marked; from then on, a commit that names a new root first marks
everything reachable from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rocksdict import Rdict, ReadOptions

from store.blockstore import Blockstore
from store.cid import Cid
from store.codec import decode, encode
from store.links import Walk
from store.rocks.options import Batch
from store.roots import metadata_roots

MARK_BLOCK: Final = b"h"
MARK_SUBTREE: Final = b"b"

MARKING: Final = "mark"
SWEEPING: Final = "sweep"

_RECORD: Final = b"collection"  # in RocksDB's default column family
_END: Final = b"\xff" * 80  # after every CID
_VERSION: Final = 1
_BATCH: Final = 1000
MAX_KNOWN: Final = 20_000
"""Maximum number of marked blocks in memory, a few megabytes."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Progress of a collection: phase, last block scanned by the sweep, blocks marked, retained and dropped."""

    phase: str = MARKING
    cursor: bytes = b""
    marked: int = 0
    retained: int = 0
    dropped: int = 0

    def encode(self) -> bytes:
        return encode([_VERSION, self.phase, self.cursor, self.marked, self.retained, self.dropped])

    @classmethod
    def decode(cls, data: bytes) -> Collection:
        """Decode the record written by `encode`."""
        _, phase, cursor, marked, retained, dropped = decode(data)
        return cls(phase, cursor, marked, retained, dropped)


class Marks:
    """The marks in an open database. The store holds its lock around operations that must not mix with commits."""

    def __init__(self, database: Rdict, blocks: str, marks: str) -> None:
        self._database = database
        self._blocks_name, self._marks_name = blocks, marks
        self._marks = database.get_column_family(marks)
        self.collection: Collection | None = None
        self._known: set[Cid] = set()
        """Blocks that had MARK_SUBTREE in this collection, because successive commits link to the same ones.

        Their subtrees stay marked, even if MARK_BLOCK replaces a mark.
        """

    def resume(self) -> None:
        """Load the record of an interrupted collection, if there is one."""
        record = self._database.get(_RECORD)
        self.collection = None if record is None else Collection.decode(record)

    def close(self) -> None:
        """Release the column family."""
        self._marks.close()

    def is_subtree_marked(self, cid: Cid) -> bool:
        """Return True if the block and everything reachable from it are marked.

        It must not run in parallel with `begin` or `end`.
        """
        if cid in self._known:
            return True
        if self._marks.get(cid) != MARK_SUBTREE:
            return False
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known.add(cid)
        return True

    # --- commits during a collection --------------------------------------------------------------------------

    def hold(
        self,
        batch: Batch,
        blocks: Mapping[Cid, bytes],
        metadata: Mapping[bytes, bytes | None],
        store: Blockstore,
    ) -> None:
        """Mark the blocks of a commit and, during a sweep, everything reachable from its new roots.

        Raises BlockNotFound if a root leads to a block that is already swept.
        """
        for cid in blocks:
            batch.put(self._marks_name, cid, MARK_BLOCK)
        if self.collection is None or self.collection.phase != SWEEPING:
            return
        finished: set[Cid] = set()
        walk = Walk(
            _CommitOverStore(blocks, store),
            metadata_roots(metadata),
            lambda cid: cid in finished or self.is_subtree_marked(cid),
        )
        while found := walk.step(_BATCH):
            finished.update(found)
            for cid in found:
                batch.put(self._marks_name, cid, MARK_SUBTREE)

    # --- the collector ----------------------------------------------------------------------------------------

    def begin(self, forgotten: Iterable[tuple[str, bytes]]) -> None:
        """Start a collection: discard all marks and delete the entries `forgotten` (family, key) with them."""
        self._known.clear()
        batch = Batch(self._database)
        batch.clear(self._marks_name, _END)
        for family, key in forgotten:
            batch.delete(family, key)
        self._write(batch, Collection())

    def add(self, found: Iterable[Cid], mark: bytes = MARK_SUBTREE) -> None:
        """Mark blocks."""
        batch = Batch(self._database)
        count = 0
        for cid in found:
            batch.put(self._marks_name, cid, mark)
            count += 1
        collection = self._running()
        self._write(batch, replace(collection, marked=collection.marked + count))

    def begin_sweep(self) -> None:
        """Start the sweep. Everything reachable from the roots must be marked."""
        self._write(Batch(self._database), replace(self._running(), phase=SWEEPING))

    def sweep(self, blocks: Rdict, limit: int) -> bool:
        """Drop the unmarked blocks among the next `limit` ones, and return True if blocks are left to scan."""
        collection = self._running()
        if collection.phase != SWEEPING:
            raise RuntimeError("the marking is not complete")
        batch = Batch(self._database)
        unmarked, scanned, cursor = _scan_unmarked(blocks, self._marks, collection.cursor, limit)
        for cid in unmarked:
            batch.delete(self._blocks_name, cid)
        self._write(
            batch,
            replace(
                collection,
                cursor=cursor,
                retained=collection.retained + scanned - len(unmarked),
                dropped=collection.dropped + len(unmarked),
            ),
        )
        return scanned == limit

    def end(self) -> None:
        self._known.clear()
        batch = Batch(self._database)
        batch.clear(self._marks_name, _END)
        batch.note(_RECORD, None)
        batch.write()
        self.collection = None

    def _write(self, batch: Batch, collection: Collection) -> None:
        batch.note(_RECORD, collection.encode())
        # Not synced: RocksDB's log preserves the order, so a crash loses only the last steps of the collection.
        batch.write()
        self.collection = collection

    def _running(self) -> Collection:
        if self.collection is None:
            raise RuntimeError("no collection is in progress")
        return self.collection


class _CommitOverStore:
    """The blocks of a commit on top of those of the store."""

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


def _scan_unmarked(blocks: Rdict, marks: Rdict, cursor: bytes, limit: int) -> tuple[list[bytes], int, bytes]:
    """Scan `limit` blocks after the cursor; return those without a mark, the number scanned and the new cursor."""
    options = ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # a sweep reads each block once; the stub lacks the argument
    block, mark = blocks.iter(options), marks.iter(options)
    block.seek(cursor)
    if block.valid() and block.key() == cursor:
        block.next()
    unmarked: list[bytes] = []
    scanned = 0
    if block.valid():
        mark.seek(block.key())
    while scanned < limit and block.valid():
        cursor = block.key()
        while mark.valid() and mark.key() < cursor:
            mark.next()
        if not mark.valid() or mark.key() != cursor:
            unmarked.append(cursor)
        scanned += 1
        block.next()
    return unmarked, scanned, cursor
