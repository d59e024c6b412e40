"""RocksDB's options, and the translation of its errors.

Uses raw mode only: otherwise rocksdict unpickles the data, and an untrusted folder could execute code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
)

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

_NO_SPACE: Final = ("No space left on device", "File too large", "Disk quota exceeded")
_READ_ONLY: Final = ("Read-only file system",)
_NO_DESCRIPTORS: Final = "Too many open files"
_DENIED: Final = ("Permission denied", "Operation not permitted")


def database_options(*, statistics: bool = False, recover: bool = False, read_only: bool = False) -> Options:
    """Return the database options. `recover`: read a corrupt log up to the corruption instead of failing."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_background_jobs(2)
    # A reader opens all files at once, so that they stay readable when a writer deletes some.
    options.set_max_open_files(-1 if read_only else 512)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    options.set_max_total_wal_size(256 << 20)
    options.set_stats_dump_period_sec(0)
    # RocksDB's default drops everything after a corrupt record, including acknowledged commits. This mode accepts a log
    # that ends inside a record, as after a crash, and reports any other corruption.
    mode = DBRecoveryMode.point_in_time() if recover else DBRecoveryMode.tolerate_corrupted_tail_records()
    options.set_wal_recovery_mode(mode)
    if statistics:
        options.enable_statistics()
    return options


def family_options(cache: Cache, write_buffer: int) -> Options:
    """Return the options of a column family with a write buffer of this size; families share the cache."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, False)  # lookups of absent blocks are common; the filter makes them cheap
    # The filter of a whole file can have more than 1 MB. The cache consists of up to 64 shards, so it would not keep
    # such a filter, and a lookup would read it again.
    table.set_partition_filters(True)
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_pin_top_level_index_and_filter(True)
    table.set_block_size(16 << 10)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(write_buffer)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


def store_error(error: Exception, folder: Path) -> StoreError:
    """Translate an exception of rocksdict, according to RocksDB's status text, or of the operating system."""
    text = str(error).rstrip(".")
    if isinstance(error, StoreError):
        return error
    if isinstance(error, DbClosedError):
        return StoreClosed(f"the store in {folder} is closed")
    if any(part in text for part in _NO_SPACE):
        return StoreFull(
            f"no space left for the store in {folder}: {text}; free space and reopen it; no commit is lost"
        )
    if any(part in text for part in _READ_ONLY):
        return StoreReadOnly(
            f"the store in {folder} is on a read-only file system: {text}; remount it and reopen the store, "
            "or only read it: Network(read_only=True)"
        )
    if any(part in text for part in _DENIED):
        return StoreDenied(f"the store in {folder}: {text}; check the permissions of the folder and its files")
    if _NO_DESCRIPTORS in text:
        return StoreIOError(
            f"the process has too many open files for the store in {folder}: {text}; raise the limit (`ulimit -n`) and "
            "reopen it; no commit is lost"
        )
    if text.startswith("IO error") and "lock" in text.lower() and "LOCK" in text:
        return StoreLocked(f"the store in {folder} is open in another process (or twice in this one); close it first")
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not folder.is_dir():
        return StoreFormatError(f"cannot create the folder {folder} of a store: {error.strerror}; pass another one")
    is_io_error = "Input/output error" in text
    if text.startswith("Corruption") or (not is_io_error and ("CURRENT" in text or "No such file" in text)):
        return StoreCorrupt(f"the store in {folder} is corrupt: {text}; restore the folder from a copy")
    if text.startswith("Invalid argument"):
        return StoreFormatError(f"{folder} contains a database of another program: {text}")
    if is_io_error or text.startswith("IO error"):
        return StoreIOError(f"the store in {folder}: {text}; check the disk and reopen it; no commit is lost")
    if isinstance(error, OSError):
        return StoreIOError(f"the store in {folder}: {text}")
    return StoreError(f"the store in {folder}: {text}")
