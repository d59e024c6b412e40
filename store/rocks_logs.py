"""A look at the framing of RocksDB's logs (*.log and MANIFEST) before RocksDB reads them.

RocksDB 9 reads a log whose bytes happen to say "recycled record" for ever (facebook/rocksdb issue 13333): one flipped
bit would hang the program. This project never recycles logs, so such a record is damage, and said to be.
Format: https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format: blocks of 32 KiB; a piece has a checksum
(4 bytes), a length (2, little-endian), a kind (1), and its bytes; a record is a FULL piece, or FIRST, MIDDLE ..., LAST.
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
    """A piece: where it starts, its kind, and where the next one starts if its length is right."""

    start: int
    kind: int
    end: int


def pieces(log: bytes) -> Iterator[LogFragment]:
    """The pieces of a log, in order, as their lengths say; the last one may reach beyond the end."""
    at = 0
    while at + HEADER <= len(log):
        room = BLOCK - at % BLOCK
        length = int.from_bytes(log[at + 4 : at + 6], "little")
        kind = log[at + 6]
        if room < HEADER or kind == length == 0:  # the rest of the block is not used
            at += room
            continue
        yield LogFragment(at, kind, at + HEADER + length)
        at += HEADER + length


def check_logs(folder: Path, cut: bool) -> None:
    """Raise StoreCorrupt, naming file and byte, for a log that RocksDB must not read; with `cut`, cut it off there."""
    for file in sorted([*folder.glob("*.log"), *folder.glob("MANIFEST-*")]):
        for piece in pieces(file.read_bytes()):
            if FULL <= piece.kind <= LAST:
                continue
            if cut and file.suffix == ".log":
                with file.open("r+b") as log:
                    log.truncate(piece.start)
                break
            raise StoreCorrupt(f"{file} is damaged: at byte {piece.start} stands a record of the kind {piece.kind}")
