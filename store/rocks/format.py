"""Formats on disk: packed nodes, and the framing of RocksDB's logs.

Storage format of blocks on disk, in which nodes of links are compressed.

The upper nodes of a state consist of links only, and they are most of what a message writes to a large state. All their
links begin with the same eleven bytes, so the head of the node and the digests suffice:

    0xff, head of the node, 32-byte digests         a node of links (no CBOR and no head begins with 0xff)
    0xff, block                                     a block that itself begins with 0xff
    block                                           any other

Folders in older formats store every block unchanged; for a stored value that begins with 0xff, the hash tells which
format applies.

A check of the framing of RocksDB's logs (*.log and MANIFEST) before RocksDB reads them.

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
from store.cid import CBOR_CID_PREFIX, Cid, has_digest
from store.trees.nodes import LINK_LENGTH, LINK_START, link_digests

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
