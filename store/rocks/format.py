"""A check of the framing of RocksDB's logs (*.log and MANIFEST) before RocksDB reads them.

RocksDB 9 never finishes reading a log that contains a "recycled record" type (facebook/rocksdb issue 13333), so one
flipped bit would hang the program. This project never recycles logs; such a record is reported as corruption. Format:
https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format: blocks of 32 KiB of fragments, each with a
checksum (4 bytes), length (2, little-endian), type (1) and data. A record is a FULL fragment or FIRST, MIDDLE ...,
LAST.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from store.blockstore import StoreCorrupt

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
