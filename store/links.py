"""The links of a block, by a scan of its CBOR headers: what flushing, garbage collection and CAR export follow.

The scan is the one the machine itself applies (facts of ref-fvm's `ipld` module): it reads headers only, accepts
integers that are not minimal and maps in any order, and refuses indefinite lengths and trailing bytes. The scan that
charges gas for the same walk is the kernel's.
"""

from __future__ import annotations

from typing import Final

from store.cid import (
    CBOR,
    DAG_CBOR,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    USUAL_LENGTH,
    USUAL_PREFIX,
    Cid,
    CidError,
    split_cid,
)
from store.codec import CodecError

STATE_CODECS: Final = frozenset((RAW, CBOR, DAG_CBOR))
"""The codecs of blocks that a state may hold."""

SECTOR_CODECS: Final = frozenset((FIL_COMMITMENT_UNSEALED, FIL_COMMITMENT_SEALED))
"""Codecs of sector commitments: they name data that is never in the store, and are skipped."""

_MAX_INLINE = 16  # identity CIDs inside identity CIDs: each level needs bytes of its own, 64 allow fewer than this


def links_of(data: bytes, codec: int) -> list[Cid]:
    """The CIDs that a block links to, in order, repeated where it repeats them.

    Sector commitments are left out; identity CIDs are replaced by the links inside their digest. Blocks of other
    codecs than DAG-CBOR have no links. CodecError if a DAG-CBOR block is malformed.
    """
    links: list[Cid] = []
    if codec == DAG_CBOR:
        _scan(data, links, _MAX_INLINE)
    return links


def _scan(data: bytes, links: list[Cid], inline: int) -> None:
    at = 0
    size = len(data)
    remaining = 1
    while remaining:
        remaining -= 1
        if at >= size:
            raise CodecError("not CBOR: the block ends inside a value")
        first = data[at]
        major = first >> 5
        number = first & 31
        at += 1
        if number > 23:
            number, at = _number(data, at, number)
        if major == 2 or major == 3:
            at += number
            if at > size:
                raise CodecError("not CBOR: the block ends inside a string")
        elif major == 4:
            remaining += number
        elif major == 5:
            remaining += 2 * number
        elif major == 6:
            if number == 42:
                at = _visit(data, at, links, inline)
            else:
                remaining += 1
        if remaining > size - at:
            raise CodecError("not CBOR: a length that the block cannot hold")
    if at != size:
        raise CodecError(f"not CBOR: {size - at} bytes follow the value")


def _number(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info > 27:
        raise CodecError(f"not DAG-CBOR: {'an indefinite length' if info == 31 else 'a reserved head'}")
    end = at + (1 << (info - 24))
    if end > len(data):
        raise CodecError("not CBOR: the block ends inside a head")
    return int.from_bytes(data[at:end], "big"), end


def _visit(data: bytes, at: int, links: list[Cid], inline: int) -> int:
    """Record the link whose byte string starts at `at`; returns the offset after it."""
    if at >= len(data) or data[at] >> 5 != 2:
        raise CodecError("a link that is not a byte string")
    length = data[at] & 31
    at += 1
    if length > 23:
        length, at = _number(data, at, length)
    end = at + length
    if end > len(data) or length == 0 or data[at] != 0:
        raise CodecError("a link that does not hold a CID")
    cid = Cid(data[at + 1 : end])
    if cid.startswith(USUAL_PREFIX) and len(cid) == USUAL_LENGTH:
        links.append(cid)
        return end
    try:
        parts = split_cid(cid)
    except CidError as error:
        raise CodecError(f"a link that does not hold a CID: {error}") from None
    if parts.codec in SECTOR_CODECS:
        return end
    if parts.hash_code == IDENTITY:
        if parts.codec == DAG_CBOR:
            if inline == 0:
                raise CodecError("identity CIDs nested too deeply")
            _scan(parts.digest, links, inline - 1)
        return end
    links.append(cid)
    return end
