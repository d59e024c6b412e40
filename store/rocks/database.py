"""The store on disk: RocksDB in one folder, with one writer and any number of readers.

Column families hold blocks, metadata (the heads), the chain index and the marks of a collection. A commit is a single
synced write batch of new blocks, new head and commit number, so a process killed at any point reopens at a committed
head with all its blocks. Every block is verified against its CID when it is read. See `store.rocks.options` for the
block format, `store.rocks.folder` for the folder format and `store.rocks.options` for RocksDB's options and errors.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Final, Self

from rocksdict import (
    AccessType,
    BottommostLevelCompaction,
    Cache,
    Checkpoint,
    CompactOptions,
    Options,
    Rdict,
    WriteOptions,
)

from store.blockstore import (
    NOTHING,
    BlockCorrupt,
    BlockNotFound,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreReadOnly,
    check_expected,
)
from store.cid import Cid, cid_of
from store.codec import encode, link
from store.links import Walk
from store.rocks import folder as folders
from store.rocks.marks import MARK_SUBTREE, Collection, Marks
from store.rocks.options import (
    Batch,
    check_logs,
    database_options,
    family_options,
    fix_mapping_threshold,
    pack,
    store_error,
    unpack,
)
from store.roots import IMPORT, SPILLED, metadata_roots

BLOCKS: Final = "blocks"
METADATA: Final = "metadata"
CHAIN: Final = "chain"
MARKS: Final = "marks"

BACKUPS: Final = "backups"
"""Folder of backups in a store's folder."""
BLOCK_CACHE: Final = 64 << 20
"""Default size in bytes of the cache for decompressed data, indices and filters."""
WRITE_BUFFERS: Final = {BLOCKS: 64 << 20, METADATA: 4 << 20, CHAIN: 32 << 20, MARKS: 16 << 20}
"""Size in bytes of each column family's write buffer. On a long-running node all of them fill, because the index and
the marks of a collection grow as fast as the blocks.
"""

_PIECE: Final = 1000
_STATISTICS: Final = "rocksdb.cfstats-no-file-histogram"
_SECONDS: Final = -8
"""Index of a row's seconds in RocksDB's statistics by priority: high for flushes, low for compactions."""
_OPENING_SPACE: Final = 8 << 20
"""Free bytes of a disk that opening the database again requires."""
_CLOSING_TIME: Final = 2.0
_PAUSE: Final = 0.01
"""Seconds that reads of other threads have to end before the database is opened again, and between two attempts."""
_COMMITS: Final = b"commits"  # in RocksDB's default column family: the number of the last commit


@dataclass(frozen=True, slots=True)
class _FailedCommit:
    """The error of a commit, and the values before it."""

    error: StoreError
    metadata: dict[bytes, bytes | None]
    index: dict[bytes, bytes | None]


class RocksStore:
    """A `Store` in a folder, created by `open`. Usable as a context manager, which closes it on exit."""

    def __init__(self, connect: Callable[[], Rdict], options: Options, path: Path, read_only: bool, sync: bool) -> None:
        self._connect, self._options, self._read_only = connect, options, read_only
        self._database: Rdict | None
        self._use(connect())
        self._process = os.getpid()
        self._write_options = WriteOptions()
        self._write_options.sync = sync
        self._lock = RLock()
        self._count: folders.CommitCount | None = None
        self._failed: _FailedCommit | None = None
        """The last commit, if it failed: whether it is stored is unknown."""
        self._cancelled = False
        self._written, self._commit_seconds = 0, 0.0
        """Number of commits by this store, and their time."""
        self._compacting = Lock()
        self.commits = 0
        """Number of commits to the folder since format 2."""
        self.path = path

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        read_only: bool = False,
        sync: bool = True,
        statistics: bool = False,
        recover: bool = False,
        cache: int = BLOCK_CACHE,
    ) -> RocksStore:
        """Open the store in the folder `path`; an empty or missing folder becomes a new store.

        Readers (`read_only`) can run at the same time as the writer, and see the store as of their opening. Without
        `sync`, commits survive a crash of the process but not of the system. `statistics` enables `counter`. `recover`
        accepts the loss of commits and continues at the last complete one. `cache` is in bytes.
        A writer also sets a parameter of the process's memory allocator (store/rocks/options.py).

        Raises StoreLocked, StoreFormatError (another program's folder, or an empty one to read), StoreCorrupt (also if
        acknowledged commits are missing), StoreReadOnly, StoreDenied, StoreFull and StoreIOError.
        """
        folder = Path(path)
        options = database_options(statistics=statistics, recover=recover, read_only=read_only)
        if not read_only:
            fix_mapping_threshold()
        shared = Cache(cache)
        names = (BLOCKS, METADATA, CHAIN) if read_only else (BLOCKS, METADATA, CHAIN, MARKS)
        families = {name: family_options(shared, WRITE_BUFFERS[name]) for name in names}
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            folders.check_folder(folder, read_only)
            acknowledged = 0 if recover else folders.acknowledged_commits(folder)
            check_logs(folder, cut=recover)
            with folders.readable_folder(folder) if read_only else nullcontext(folder) as opened:
                connect = partial(Rdict, str(opened), options=options, column_families=families, access_type=access)
                store = cls(connect, options, folder, read_only, sync)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing more precise
            raise store_error(error, folder) from None
        try:
            store._resume(acknowledged)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing more precise
            store.close()
            raise store_error(error, folder) from None
        return store

    def _use(self, database: Rdict) -> None:
        """Use an open database."""
        self._database = database
        self._blocks = database.get_column_family(BLOCKS)
        self._metadata = database.get_column_family(METADATA)
        self._index = database.get_column_family(CHAIN)
        self._marks = None if self._read_only else Marks(database, BLOCKS, MARKS)

    def _resume(self, acknowledged: int) -> None:
        """Load the commit number and the state of an interrupted collection."""
        self.commits = self._stored_commits()
        if self.commits < acknowledged:
            raise StoreCorrupt(
                f"the store in {self.path} is corrupt: commit {acknowledged} was acknowledged, but {self.commits} is "
                "the last one found; RocksStore.open(path, recover=True) accepts the loss and continues from there"
            )
        if self._marks is not None:
            self._marks.resume()
            self._count = folders.CommitCount(self.path)
            self._count.write(self.commits)
            if self.metadata(SPILLED) is not None:  # of a process that was killed
                self.commit((), {SPILLED: None})

    def _stored_commits(self) -> int:
        return int.from_bytes(self._call(self._open_database().get, _COMMITS) or b"", "big")

    # --- blocks -----------------------------------------------------------------------------------------------

    def get(self, cid: Cid) -> bytes:
        """Return the block. Raises BlockNotFound, and BlockCorrupt if its bytes do not match the hash."""
        stored: bytes | None = self._read("_blocks", "get", cid)
        if stored is None:
            raise BlockNotFound(cid)
        data = unpack(cid, stored)
        if data is None:
            raise BlockCorrupt(cid)
        return data

    def has(self, cid: Cid) -> bool:
        return bool(self._read("_blocks", "__contains__", cid))

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block durably. Use `put_many` for many blocks."""
        self.commit(((cid, data),), {})

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks durably, in one batch."""
        self.commit(blocks, {})

    @property
    def is_writable(self) -> bool:
        """True unless the store was opened for reading."""
        return not self._read_only

    def spill(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks durably before their root exists, in one batch; collections keep them.

        They are listed under the metadata entry `spilled`. The commit of the root deletes the entry. After a kill, the
        next opening deletes it, and the next collection drops the blocks.
        """
        written = dict(blocks)
        with self._lock:
            before = self.metadata(SPILLED)
            names = encode([None if before is None else link(Cid(before)), [link(cid) for cid in written]])
            listed = cid_of(names)
            self.commit([*written.items(), (listed, names)], {SPILLED: listed})

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        """Store blocks and set metadata and index (None deletes) in one batch, synced before this returns.

        Raises HeadMoved unless the current metadata equals `expected`, StoreReadOnly, StoreFull, StoreDenied and
        StoreIOError. A failed commit has no effect on this store, and later ones succeed once the disk accepts them. If
        the process ends before, the failed one may be found stored. During the sweep of a collection, raises
        BlockNotFound for a new root that leads to a block already swept.
        """
        if self._read_only:
            raise StoreReadOnly(f"{self.path} was opened for reading")
        if os.getpid() != self._process:  # a forked process must not write to the parent's log
            raise StoreReadOnly(f"{self.path} was opened by the parent of this forked process; open it again")
        with self._lock:
            if self._failed is not None:
                self._recover(self._failed)
            database = self._open_database()
            check_expected(self, expected)
            batch = Batch(database)
            if self.collection is not None:
                written = dict(blocks)
                written.update(chain)
                self._call(self._collecting().hold, batch, written, metadata, self)
                blocks, chain = written.items(), ()
            for part in (blocks, chain):
                batch.put_all(BLOCKS, ((cid, pack(cid, data)) for cid, data in part))
            self._put(batch, metadata, index)
            try:
                self._write(batch)
            except StoreError as error:
                before = {key: self.metadata(key) for key in metadata}, {key: self.index(key) for key in index}
                self._failed = _FailedCommit(error, *before)
                raise

    def _recover(self, failed: _FailedCommit) -> None:
        """Undo a failed commit if it is stored, over another connection if RocksDB refuses writes after the error.

        Raises the errors of `commit`. While the disk is full, the connection stays open for reads.
        """
        try:
            self._undo(failed)
        except StoreError:
            disk = os.statvfs(self.path)
            if disk.f_bavail * disk.f_frsize < _OPENING_SPACE or not self._compacting.acquire(blocking=False):
                raise failed.error from None
            try:
                self._reconnect()
            finally:
                self._compacting.release()
            self._undo(failed)
        self._failed = None

    def _undo(self, failed: _FailedCommit) -> None:
        """Write the values before a failed commit if it is stored, else nothing."""
        batch, stored = Batch(self._open_database()), self._stored_commits()
        if stored > self.commits:
            self.commits = stored
            self._put(batch, failed.metadata, failed.index)
        self._write(batch)

    def _reconnect(self) -> None:
        end = time.monotonic() + _CLOSING_TIME
        self._close_parts(self._database)
        self._database = None
        while self._database is None:
            try:
                self._use(self._call(self._connect))
            except StoreLocked:  # until other threads have ended their reads
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)
        self._collecting().resume()
        self._count = self._call(folders.CommitCount, self.path)

    def _put(self, batch: Batch, metadata: Mapping[bytes, bytes | None], index: Mapping[bytes, bytes | None]) -> None:
        for name, changes in ((METADATA, metadata), (CHAIN, index)):
            for key, value in changes.items():
                if value is None:
                    batch.delete(name, key)
                else:
                    batch.put(name, key, value)

    def _write(self, batch: Batch) -> None:
        """Write a commit's batch with its number, and record the number once the batch is on disk."""
        number = self.commits + 1
        batch.note(_COMMITS, number.to_bytes(8, "big"))
        began = time.monotonic()
        self._call(batch.write, self._write_options)
        self._commit_seconds += time.monotonic() - began
        self._written += 1
        self.commits = number
        if self._count is not None and self._write_options.sync:
            with suppress(OSError):  # it may lag
                self._count.write(number)

    # --- metadata and index -----------------------------------------------------------------------------------

    def metadata(self, key: bytes) -> bytes | None:
        value: bytes | None = self._read("_metadata", "get", key)
        return value

    def all_metadata(self) -> dict[bytes, bytes]:
        return dict(self._call(list, self._read("_metadata", "items")))

    def index(self, key: bytes) -> bytes | None:
        value: bytes | None = self._read("_index", "get", key)
        return value

    def cids(self) -> Iterator[Cid]:
        """Iterate over the CIDs of all blocks in byte order. Drop the iterator before closing the store."""
        self._open_database()
        keys: Iterable[Any] = self._blocks.keys()
        return (Cid(cid) for cid in keys)

    # --- garbage collection, used by `store.rocks.collector` --------------------------------------------------------

    @property
    def collection(self) -> Collection | None:
        return None if self._marks is None else self._marks.collection

    def begin_collection(self) -> None:
        """Discard all marks; from now on, commits mark the blocks they store.

        Cancels an import in progress, because its blocks are not reachable from a root yet and will be dropped.
        """
        with self._lock:
            self._call(self._collecting().begin, [(METADATA, IMPORT)])

    def add_marks(self, cids: Iterable[Cid], mark: bytes = MARK_SUBTREE) -> None:
        """Mark blocks (`store.rocks.marks`)."""
        self._call(self._collecting().add, cids, mark)

    def is_subtree_marked(self, cid: Cid) -> bool:
        """Return True if a block and everything reachable from it are marked."""
        return bool(self._call(self._collecting().is_subtree_marked, cid))

    def begin_sweep(self) -> None:
        """Mark what the named roots reach now, and start the sweep, without a commit in between."""
        with self._lock:
            walk = Walk(self, metadata_roots(self.all_metadata()), self.is_subtree_marked)
            while found := walk.step(_PIECE):
                self.add_marks(found)
            self._call(self._collecting().begin_sweep)

    def sweep(self, limit: int) -> bool:
        """Drop the unmarked blocks among the next `limit` ones, and return True if blocks are left to scan."""
        with self._lock:
            return bool(self._call(self._collecting().sweep, self._blocks, limit))

    def end_collection(self) -> None:
        with self._lock:
            self._call(self._collecting().end)

    def _collecting(self) -> Marks:
        self._open_database()
        if self._marks is None:
            raise StoreReadOnly(f"{self.path} was opened for reading")
        return self._marks

    # --- database ---------------------------------------------------------------------------------------------

    def compact(self) -> None:
        """Compact the database to reclaim the space of deleted and replaced entries.

        Other threads may read and commit meanwhile; closing the store cancels it.
        """
        with self._compacting:
            database = self._open_database()
            options = CompactOptions()
            options.set_exclusive_manual_compaction(False)  # do not block automatic compactions and commits
            options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
            try:
                for name in (BLOCKS, METADATA, CHAIN, MARKS):
                    family = database.get_column_family(name)
                    try:
                        self._call(family.flush)
                        self._call(family.compact_range, None, None, options)
                    finally:
                        self._call(family.close)
                self._call(database.flush)
            except StoreError:
                if not self._cancelled:
                    raise

    def backup(self) -> Path:
        """Write a copy of the store, as of the last commit, to a new folder in its folder `backups`, and return it.

        The copy shares files that never change with the store as hard links. Raises the store's errors.
        """
        with self._lock:
            copy = self.path.absolute() / BACKUPS / f"{self.commits}"
            if (copy / folders.FORMAT_FILE).exists():
                return copy
            shutil.rmtree(copy, ignore_errors=True)  # of a process that was killed
            self._call(copy.parent.mkdir, 0o777, True, True)
            self._call(Checkpoint(self._open_database()).create_checkpoint, str(copy))
            for name in (folders.COMMITS_FILE, folders.FORMAT_FILE):
                self._call(shutil.copy2, self.path / name, copy / name)
            return copy

    def size(self) -> int:
        """Return the size of the folder in bytes, without RocksDB's info logs (LOG) and files that it will remove."""
        database, total = self._open_database(), 0
        tables = {file["name"].lstrip("/") for file in self._call(database.live_files)}
        first_log = self._call(database.property_int_value, "rocksdb.min-log-number-to-keep") or 0
        for file in self.path.iterdir():
            is_old = file.suffix == ".log" and file.stem.isdigit() and int(file.stem) < first_log
            is_old = is_old or (file.suffix == ".sst" and file.name not in tables)
            with suppress(FileNotFoundError):  # RocksDB may remove files at any time
                total += 0 if is_old or file.name.startswith("LOG") else file.stat().st_size
        return total

    def figures(self) -> dict[str, float]:
        """Return sizes in bytes and times in seconds: of commits, and of RocksDB's flushes and compactions so far."""
        found = {"size": self.size(), "commits": self._written, "commit_seconds": self._commit_seconds}
        found |= dict.fromkeys(("buffers", "flush_seconds", "compaction_seconds"), 0.0)
        for family in (self._blocks, self._metadata, self._index):
            found["buffers"] += self._call(family.property_int_value, "rocksdb.size-all-mem-tables") or 0
            for line in (self._call(family.property_value, _STATISTICS) or "").splitlines():
                words = line.split()
                name = {"High": "flush_seconds", "Low": "compaction_seconds"}.get(words[0] if words else "")
                if name is not None:
                    found[name] += float(words[_SECONDS])
        found["cache"] = self._call(self._blocks.property_int_value, "rocksdb.block-cache-usage") or 0
        return found

    def counter(self, name: str) -> int:
        """Return a counter of RocksDB, such as `rocksdb.wal.synced`; requires `statistics`."""
        for line in (self._options.get_statistics() or "").splitlines():
            words = line.split()
            if words[:3] == [name, "COUNT", ":"]:
                return int(words[3])
        raise StoreError(f"RocksDB has no counter {name}; open the store with statistics=True")

    def close(self) -> None:
        """Close the store, so that another process can open the folder. Closing twice is allowed.

        Raises StoreIOError if closing fails, unless a commit has already reported the failure.
        """
        with self._lock:
            database, self._database = self._database, None
            if database is None:
                self._failed = None
                return
            if self._compacting.locked():
                self._cancelled = True
                database.cancel_all_background(wait=True)  # safe, since commits are in the log
                self._compacting.acquire()
            problem, failed, self._failed = self._close_parts(database), self._failed, None
            if problem is not None and failed is None and not self._cancelled:
                raise store_error(problem, self.path) from None

    def _close_parts(self, database: Rdict | None) -> Exception | None:
        """Close the connection and the file of the commit number; return an error of one of them."""
        problem: Exception | None = None
        for part in (self._blocks, self._metadata, self._index, self._marks, database, self._count):
            try:
                if part is not None:
                    part.close()
            except Exception as error:  # noqa: BLE001 - release the other parts after any error
                problem = error
        return problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_database(self) -> Rdict:
        if self._database is None:
            raise StoreClosed(f"the store in {self.path} is closed")
        return self._database

    def _read(self, family: str, method: str, *arguments: object) -> Any:
        """Call a method of a column family, again if a commit connects to the database again meanwhile."""
        try:
            return self._call(getattr(getattr(self, family), method), *arguments)
        except StoreClosed:
            with self._lock:
                return self._call(getattr(getattr(self, family), method), *arguments)

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing more precise
            raise store_error(error, self.path) from None
