"""The store on disk: RocksDB, one folder, one writer.

Column families hold blocks, metadata (the heads) and, for the chain, its index. A commit is one write batch that holds
the new blocks and the new head together and is synced before it returns, so a process killed at any instant reopens at
a head that was committed, with all its blocks.

RocksDB is opened in raw mode only: in its other mode rocksdict unpickles what it reads, and a folder from a stranger
would run code. Which folder is ours is decided by the text file FORMAT, before RocksDB looks at the folder at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from store.blockstore import (
    NOTHING,
    BlockNotFound,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFormatError,
    StoreLocked,
    StoreReadOnly,
)
from store.cid import Cid

FORMAT_FILE: Final = "FORMAT"
FORMAT: Final = "hypervisor store, format 1\n"
"""What FORMAT says: changed whenever older programs could not read what is stored."""

BLOCKS: Final = "blocks"
METADATA: Final = "metadata"
CHAIN: Final = "chain"

BLOCK_CACHE: Final = 64 << 20
"""Bytes of decompressed data, indices and filters that are kept in memory."""

_MARKER: Final = "hypervisor store, "
_DRAFT: Final = "FORMAT.new"


class RocksStore:
    """A `Store` in a folder; made by `open`. A context manager: leaving it closes the store."""

    def __init__(self, database: Rdict, options: Options, path: Path, read_only: bool, sync: bool) -> None:
        self._database: Rdict | None = database
        self._options = options
        self._blocks = database.get_column_family(BLOCKS)
        self._metadata = database.get_column_family(METADATA)
        self._index = database.get_column_family(CHAIN)
        self._read_only = read_only
        self._write_options = WriteOptions()
        self._write_options.sync = sync
        self.path = path

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], read_only: bool = False, sync: bool = True, statistics: bool = False
    ) -> RocksStore:
        """Open the store in the folder `path`; a folder that is empty or does not exist becomes a new store.

        Readers (`read_only`) may work beside the writer and see the store as it was when they opened it. Without
        `sync` a commit survives the death of the process, but not of the machine. `statistics` makes `counter` count.

        Raises StoreLocked, StoreFormatError (another program's folder, or nothing to read), StoreCorrupt, StoreError.
        """
        folder = Path(path)
        _check_format(folder, read_only)
        options = _database_options(statistics)
        cache = Cache(BLOCK_CACHE)
        families = {BLOCKS: _family_options(cache), METADATA: _family_options(cache), CHAIN: _family_options(cache)}
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            database = Rdict(str(folder), options=options, column_families=families, access_type=access)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing more precise
            raise _store_error(error, folder) from None
        return cls(database, options, folder, read_only, sync)

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound if there is none."""
        data: bytes | None = self._call(self._blocks.get, cid)
        if data is None:
            raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        """Whether the block is stored."""
        return bool(self._call(self._blocks.__contains__, cid))

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block durably. Many blocks go faster through `put_many`."""
        self.commit(((cid, data),), {})

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks durably, in one batch."""
        self.commit(blocks, {})

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Store blocks, set metadata and index (None deletes) in one batch, synced before this returns."""
        if self._read_only:
            raise StoreReadOnly(f"{self.path} was opened for reading")
        database = self._open_database()
        batch = WriteBatch(raw_mode=True)
        # Handles are asked for each time: one that is kept would keep the folder locked after close.
        family = database.get_column_family_handle(BLOCKS)
        for cid, data in blocks:
            batch.put(bytes(cid), data, family)
        for name, changes in ((METADATA, metadata), (CHAIN, index)):
            family = database.get_column_family_handle(name)
            for key, value in changes.items():
                if value is None:
                    batch.delete(key, family)
                else:
                    batch.put(key, value, family)
        self._call(database.write, batch, self._write_options)

    def metadata(self, key: bytes) -> bytes | None:
        """The metadata under `key`, or None."""
        value: bytes | None = self._call(self._metadata.get, key)
        return value

    def index(self, key: bytes) -> bytes | None:
        """What the chain's index has under `key`, or None."""
        value: bytes | None = self._call(self._index.get, key)
        return value

    def counter(self, name: str) -> int:
        """A counter of RocksDB, such as `rocksdb.wal.synced`; the store must be opened with `statistics`."""
        for line in (self._options.get_statistics() or "").splitlines():
            words = line.split()
            if words[:3] == [name, "COUNT", ":"]:
                return int(words[3])
        raise StoreError(f"RocksDB counts no {name} (was the store opened with statistics?)")

    def close(self) -> None:
        """Release the folder: afterwards any process may open it. Closing twice is allowed."""
        database, self._database = self._database, None
        if database is not None:
            self._blocks.close()
            self._metadata.close()
            self._index.close()
            database.close()

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

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing more precise
            raise _store_error(error, self.path) from None


def _check_format(folder: Path, read_only: bool) -> None:
    """Make sure that the folder is a store of this format, marking an empty one; StoreFormatError if it is not."""
    if folder.exists() and not folder.is_dir():
        raise StoreFormatError(f"{folder} is a file; a store is a folder")
    marker = folder / FORMAT_FILE
    if marker.is_file():
        with marker.open("rb") as file:
            found = file.read(len(FORMAT) + 64).decode("ascii", "replace")
        if found == FORMAT:
            if read_only and not (folder / "CURRENT").exists():
                raise StoreFormatError(f"nothing was ever stored in {folder}")
            return
        if found.startswith(_MARKER):
            theirs, ours = (text.removeprefix(_MARKER).strip() for text in (found, FORMAT))
            raise StoreFormatError(f"{folder} is a store of {theirs}; this program reads {ours}")
        raise StoreFormatError(f"{marker} does not say that {folder} is a store of this program")
    if read_only:
        raise StoreFormatError(f"{folder} holds no store")
    if folder.exists() and any(path.name != _DRAFT for path in folder.iterdir()):
        raise StoreFormatError(f"{folder} is not empty and holds no store of this program; name another folder")
    _mark(folder, marker)


def _mark(folder: Path, marker: Path) -> None:
    """Write FORMAT so that it is on the disk, and whole, before RocksDB's first file is."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / _DRAFT
    with draft.open("w", encoding="ascii") as file:
        file.write(FORMAT)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(marker)
    if os.name == "posix":  # elsewhere a folder cannot be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _database_options(statistics: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_background_jobs(2)
    options.set_max_open_files(512)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    options.set_max_total_wal_size(256 << 20)
    options.set_stats_dump_period_sec(0)
    if statistics:
        options.enable_statistics()
    return options


def _family_options(cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, False)  # asking for a block that is not there is common, and answered by the filter
    table.set_block_size(16 << 10)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


def _store_error(error: Exception, folder: Path) -> StoreError:
    """What rocksdict's exception means: it raises plain `Exception`, told apart by RocksDB's status text."""
    text = str(error)
    if isinstance(error, DbClosedError):
        return StoreClosed(f"the store in {folder} is closed")
    if text.startswith("IO error") and "lock" in text.lower() and "LOCK" in text:
        return StoreLocked(f"the store in {folder} is open in another process (or twice in this one); close it first")
    if text.startswith("Corruption") or "CURRENT" in text:
        return StoreCorrupt(f"the store in {folder} is damaged: {text}")
    if text.startswith("Invalid argument"):
        return StoreFormatError(f"{folder} holds a database that this program did not write: {text}")
    return StoreError(f"the store in {folder}: {text}")
