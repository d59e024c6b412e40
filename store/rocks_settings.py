"""How this project sets RocksDB, and what RocksDB's errors mean.

Raw mode only: in its other mode rocksdict unpickles what it reads, and a folder from a stranger would run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rocksdict import BlockBasedOptions, Cache, DbClosedError, DBCompressionType, DBRecoveryMode, Options

from store.blockstore import (
    StoreClosed,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFormatError,
    StoreFull,
    StoreIOError,
    StoreLocked,
    StoreReadOnly,
)

_NO_ROOM: Final = ("No space left on device", "File too large", "Disk quota exceeded")
_READ_ONLY: Final = ("Read-only file system",)
_DENIED: Final = ("Permission denied", "Operation not permitted")


def database_options(*, statistics: bool = False, recover: bool = False, read_only: bool = False) -> Options:
    """The options of the database. With `recover`, a damaged log is read up to the damage, else it is an error."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_background_jobs(2)
    # A reader opens every file at once, so that a writer that deletes some does not pull them from under it.
    options.set_max_open_files(-1 if read_only else 512)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    options.set_max_total_wal_size(256 << 20)
    options.set_stats_dump_period_sec(0)
    # RocksDB's default would drop whatever follows a damaged record, acknowledged commits included. This mode accepts
    # a log that ends inside a record, which is what a crash leaves, and reports any other damage.
    mode = DBRecoveryMode.point_in_time() if recover else DBRecoveryMode.tolerate_corrupted_tail_records()
    options.set_wal_recovery_mode(mode)
    if statistics:
        options.enable_statistics()
    return options


def family_options(cache: Cache) -> Options:
    """The options of a column family; families share the cache."""
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


def store_error(error: Exception, folder: Path) -> StoreError:
    """What an exception of rocksdict or of the system means: rocksdict's are distinguished by RocksDB's status text."""
    text = str(error)
    if isinstance(error, StoreError):
        return error
    if isinstance(error, DbClosedError):
        return StoreClosed(f"the store in {folder} is closed")
    if any(words in text for words in _NO_ROOM):
        return StoreFull(f"the store in {folder} has no room: {text}; make room and open it again, nothing is lost")
    if any(words in text for words in _READ_ONLY):
        return StoreReadOnly(f"the store in {folder} lies on a read-only disk: {text}; open it for reading")
    if any(words in text for words in _DENIED):
        return StoreDenied(f"the store in {folder}: {text}; see to the permissions of the folder and its files")
    if text.startswith("IO error") and "lock" in text.lower() and "LOCK" in text:
        return StoreLocked(f"the store in {folder} is open in another process (or twice in this one); close it first")
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not folder.is_dir():
        return StoreIOError(f"the folder {folder} of a store cannot be made: {error.strerror}; name another one")
    if text.startswith("Corruption") or "CURRENT" in text or "No such file" in text:
        return StoreCorrupt(f"the store in {folder} is damaged: {text}")
    if text.startswith("Invalid argument"):
        return StoreFormatError(f"{folder} holds a database that this program did not write: {text}")
    if text.startswith("IO error") or isinstance(error, OSError):
        return StoreIOError(f"the store in {folder}: {text}")
    return StoreError(f"the store in {folder}: {text}")
