"""RocksDB's options, write batches and errors, and the formats on disk.

Raw mode only: otherwise rocksdict unpickles the data, and an untrusted folder could execute code. rocksdict keeps the
database folder locked while a column family handle exists, even after `close`. A traceback keeps local variables alive,
so no method of a batch keeps a handle in a local variable when it raises.

Memory. RocksDB allocates large write buffers in pieces of 1 MiB. glibc maps a large piece of memory, and unmaps it when
it is freed. By default, freeing a mapped piece raises the size from which glibc maps memory (`M_MMAP_THRESHOLD` in
mallopt(3)). Later pieces of that size come from heaps, which stay resident. A fixed threshold keeps them mapped. In a
run of 420,000 transactions (`make long-life`, seed 7), resident memory between hours 2 and 5 grew by 60 MB without this
setting and by 30 MB with it. Two arenas (`M_ARENA_MAX`) would save another 10 MB, but 6 of 250 processes that ran out
of memory then ended in SIGSEGV, and none of 250 with the default (fault "memory limit after a megabyte" of `make
crash-faults`).

Blocks. The upper nodes of a state consist of links only, and they are most of what a message writes to a large state.
All their links begin with the same eleven bytes, so the head of the node and the digests suffice:

    0xff, head of the node, 32-byte digests         a node of links (no CBOR and no head begins with 0xff)
    0xff, block                                     a block that itself begins with 0xff
    block                                           any other

Folders in older formats store every block unchanged; for a stored value that begins with 0xff, the hash tells which
format applies.

Logs. The framing of RocksDB's logs (*.log and MANIFEST) is checked before RocksDB reads them. RocksDB 9 never finishes
reading a log that contains a "recycled record" type (facebook/rocksdb issue 13333), so one flipped bit would hang the
program. This project never recycles logs; such a record is reported as corruption. Format:
https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format: blocks of 32 KiB of fragments, each with a
checksum (4 bytes), length (2, little-endian), type (1) and data. A record is a FULL fragment or FIRST, MIDDLE ...,
LAST.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
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
from store.cid import CBOR_CID_PREFIX, Cid, has_digest
from store.trees.nodes import LINK_LENGTH, LINK_START, link_digests

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
        return StoreFull(f"no space left for the store in {folder}: {text}; free space; no commit is lost")
    if any(part in text for part in _READ_ONLY):
        return StoreReadOnly(
            f"the store in {folder} is on a read-only file system: {text}; remount it, "
            "or only read it: Network(read_only=True)"
        )
    if any(part in text for part in _DENIED):
        return StoreDenied(f"the store in {folder}: {text}; check the permissions of the folder and its files")
    if _NO_DESCRIPTORS in text:
        return StoreIOError(
            f"the process has too many open files for the store in {folder}: {text}; raise the limit (`ulimit -n`); "
            "no commit is lost"
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
        return StoreIOError(f"the store in {folder}: {text}; check the disk; no commit is lost")
    if isinstance(error, OSError):
        return StoreIOError(f"the store in {folder}: {text}")
    return StoreError(f"the store in {folder}: {text}")


class Batch:
    """Puts and deletes that are written atomically."""

    def __init__(self, database: Rdict) -> None:
        self._database = database
        self._batch = WriteBatch(raw_mode=True)

    def put(self, family: str, key: bytes, value: bytes) -> None:
        self._batch.put(bytes(key), value, self._database.get_column_family_handle(family))

    def put_all(self, family: str, entries: Iterable[tuple[bytes, bytes]]) -> None:
        handle = self._database.get_column_family_handle(family)
        try:
            for key, value in entries:
                self._batch.put(bytes(key), value, handle)
        finally:
            del handle

    def delete(self, family: str, key: bytes) -> None:
        self._batch.delete(key, self._database.get_column_family_handle(family))

    def clear(self, family: str, end: bytes) -> None:
        """Delete every key before `end`."""
        self._batch.delete_range(b"", end, self._database.get_column_family_handle(family))

    def note(self, key: bytes, value: bytes | None) -> None:
        """Store a value in RocksDB's default column family, or delete it if None."""
        if value is None:
            self._batch.delete(key)
        else:
            self._batch.put(key, value)

    def write(self, options: WriteOptions | None = None) -> None:
        self._database.write(self._batch, options)


_M_MMAP_THRESHOLD: Final = -3
_MAPPED: Final = 1 << 20
"""Size in bytes from which memory is mapped, unless a free piece of a heap fits."""
SETTINGS: Final = ("mmap_max", "mmap_threshold", "top_pad", "trim_threshold")
"""Settings of malloc, each of which stops glibc from raising the threshold.

They are set as `MALLOC_TOP_PAD_` or, in `GLIBC_TUNABLES`, as `glibc.malloc.top_pad`.
"""


def fix_mapping_threshold() -> None:
    """Map allocations of 1 MiB and more. Does nothing with another allocator, or if one of `SETTINGS` is set."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}" in tunables for name in SETTINGS):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no mallopt: musl, macOS; no handle of the process: Windows
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED)


_MARK: Final = b"\xff"
_NODE: Final = b"\xff\x82"
_DIGEST: Final = LINK_LENGTH - len(LINK_START)


def pack(cid: Cid, block: bytes) -> bytes:
    """Return the stored form of a block."""
    found = link_digests(block) if cid.startswith(CBOR_CID_PREFIX) else None
    if found is not None:
        start, digests = found
        return b"".join((_MARK, block[:start], *digests))
    return _MARK + block if block.startswith(_MARK) else block


def unpack(cid: Cid, stored: bytes) -> bytes | None:
    """Return the block of a stored form, or None if it does not match the hash in the CID."""
    if stored.startswith(_MARK):
        block = _unpack(stored)
        if has_digest(cid, block):
            return block
    return stored if has_digest(cid, stored) else None


def _unpack(stored: bytes) -> bytes:
    if not stored.startswith(_NODE) or len(stored) < 4:
        return stored[1:]
    at = 3 + (stored[2] & 31)  # after the bitfield, of less than 24 bytes
    at += 1 if stored[at : at + 1] < b"\x98" else 2  # after the array's head
    digests = [stored[start : start + _DIGEST] for start in range(at, len(stored), _DIGEST)]
    return LINK_START.join((stored[1:at], *digests))


BLOCK: Final = 32 << 10
HEADER: Final = 7
NOTHING, FULL, FIRST, MIDDLE, LAST = range(5)


class LogFragment(NamedTuple):
    """A fragment: its offset, its type, and the offset of the next one according to its length."""

    start: int
    kind: int
    end: int


def pieces(log: bytes) -> Iterator[LogFragment]:
    """Iterate over the fragments of a log according to their lengths; the last may extend beyond the end."""
    at = 0
    while at + HEADER <= len(log):
        remaining = BLOCK - at % BLOCK
        length = int.from_bytes(log[at + 4 : at + 6], "little")
        kind = log[at + 6]
        if remaining < HEADER or kind == length == 0:  # the rest of the block is padding
            at += remaining
            continue
        yield LogFragment(at, kind, at + HEADER + length)
        at += HEADER + length


def check_logs(folder: Path, cut: bool) -> None:
    """Raise StoreCorrupt, with file and offset, for a log that RocksDB must not read; `cut` truncates it instead."""
    for file in sorted([*folder.glob("*.log"), *folder.glob("MANIFEST-*")]):
        for piece in pieces(file.read_bytes()):
            if FULL <= piece.kind <= LAST:
                continue
            if cut and file.suffix == ".log":
                with file.open("r+b") as log:
                    log.truncate(piece.start)
                break
            raise StoreCorrupt(f"{file} is corrupt: unexpected record type {piece.kind} at byte {piece.start}")
