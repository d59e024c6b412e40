"""Storage format of blocks on disk, in which nodes of links are compressed.

The upper nodes of a state consist of links only, and they are most of what a message writes to a large state. All their
links begin with the same eleven bytes, so the head of the node and the digests suffice:

    0xff, head of the node, 32-byte digests         a node of links (no CBOR and no head begins with 0xff)
    0xff, block                                     a block that itself begins with 0xff
    block                                           any other

Folders in older formats store every block unchanged; for a stored value that begins with 0xff, the hash tells which
format applies.
"""

from __future__ import annotations

from typing import Final

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
