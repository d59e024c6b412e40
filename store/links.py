"""Extraction of a block's links by a scan of its CBOR heads, for flushing, garbage collection and CAR export.

Applies the same rules as the FVM (ref-fvm fvm/src/ipld): reads heads only, accepts integers that are not minimal and
maps in any order, and rejects indefinite lengths and trailing bytes. The kernel has its own scan, which charges gas.
"""

from __future__ import annotations

from typing import Final

from store.cid import (
    CBOR,
    CBOR_CID_PREFIX,
    DAG_CBOR,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    RAW_CID_PREFIX,
    Cid,
    CidError,
    split_cid,
)
from store.codec import LINK_HEAD, LINK_TAG, CodecError

STATE_CODECS: Final = frozenset((RAW, CBOR, DAG_CBOR))
"""Codecs of blocks that a state may contain."""

SECTOR_CODECS: Final = frozenset((FIL_COMMITMENT_UNSEALED, FIL_COMMITMENT_SEALED))
"""Codecs of sector commitments, which name data that is never in the store; such links are skipped."""

_LINK_STARTS: Final = (LINK_HEAD + CBOR_CID_PREFIX, LINK_HEAD + RAW_CID_PREFIX)
_LINK: Final = LINK_HEAD[:2]
"""CBOR tag of a link."""
_SHORT_BYTES: Final = 0x58
"""First byte of a byte string with a length of one byte."""
_MAX_INLINE: Final = 16  # maximum nesting of identity CIDs; a digest of 64 bytes cannot hold that many


def links_of(data: bytes, codec: int) -> list[Cid]:
    """Return the CIDs that a block links to, in order and with repetitions.

    Sector commitments are omitted; identity CIDs are replaced by the links inside their digest. Only DAG-CBOR blocks
    have links. Raises CodecError if a DAG-CBOR block is malformed.
    """
    return scan_links(data) if codec == DAG_CBOR else []


def links_of_values(values: list[bytes]) -> list[Cid]:
    """Return the links of several encoded values, like `links_of` for a block."""
    data = b"".join(values)
    # the values were encoded by this program, so they are valid CBOR: without the tag there is no link
    return scan_links(data, len(values)) if _LINK in data else []


def _step(first: int) -> tuple[int, int]:
    """Return, for the first byte of a value, the bytes to skip and the change in the number of values left to read.

    Returns (0, 0) if the first byte is not sufficient: longer lengths, tags and invalid heads.
    """
    major, info = first >> 5, first & 31
    if major in (0, 1, 7) and info < 28:
        return (1 if info < 24 else 1 + (1 << (info - 24))), -1
    if info < 24 and major in (2, 3):
        return 1 + info, -1
    if info < 24 and major in (4, 5):
        return 1, info * (major - 3) - 1
    return 0, 0


STEPS: Final = tuple(_step(first) for first in range(256))
"""Result of `_step` for each first byte of a CBOR value."""


def scan_links(data: bytes, remaining: int = 1, inline: int = _MAX_INLINE) -> list[Cid]:
    """Return the links of `remaining` consecutive DAG-CBOR values, like `links_of`.

    `inline` is the number of identity CIDs that may still be nested.
    """
    links: list[Cid] = []
    at = 0
    steps = STEPS
    try:
        while remaining:
            step, change = steps[data[at]]
            if step:
                at += step
                remaining += change
            elif data[at] == _SHORT_BYTES:
                at += 2 + data[at + 1]
                remaining -= 1
            elif data.startswith(_LINK_STARTS, at):
                links.append(Cid(data[at + 5 : at + 43]))
                at += 43
                remaining -= 1
            else:
                at, change = _long_step(data, at, links, inline)
                remaining += change
    except IndexError:
        raise CodecError("not CBOR: truncated value") from None
    if at != len(data):
        raise CodecError("not CBOR: truncated value or trailing bytes")
    return links


def _long_step(data: bytes, at: int, links: list[Cid], inline: int) -> tuple[int, int]:
    """Read a head that `STEPS` does not cover; return the new offset and the change in values left to read.

    The offset returned is after the string or link that the head introduces.
    """
    first = data[at]
    number, at = _number(data, at + 1, first & 31) if first & 31 > 23 else (first & 31, at + 1)
    match first >> 5:
        case 2 | 3:
            if number > len(data) - at:  # compiled code cannot index at 2^63 or beyond
                raise CodecError("not CBOR: truncated value")
            return at + number, -1
        case 4:
            return at, number - 1
        case 5:
            return at, 2 * number - 1
        case _:  # a tag, which precedes one value
            return (_visit(data, at, links, inline), -1) if number == LINK_TAG else (at, 0)


def _number(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info > 27:
        raise CodecError(f"not DAG-CBOR: {'indefinite length' if info == 31 else 'reserved head'}")
    end = at + (1 << (info - 24))
    if end > len(data):
        raise CodecError("not CBOR: truncated head")
    return int.from_bytes(data[at:end], "big"), end


def _visit(data: bytes, at: int, links: list[Cid], inline: int) -> int:
    """Record the link whose byte string starts at `at`, and return the offset after it."""
    if at >= len(data) or data[at] >> 5 != 2:
        raise CodecError("invalid link: not a byte string")
    length = data[at] & 31
    at += 1
    if length > 23:
        length, at = _number(data, at, length)
    end = at + length
    if end > len(data) or length == 0 or data[at] != 0:
        raise CodecError("invalid link: not a CID")
    cid = Cid(data[at + 1 : end])
    try:
        parts = split_cid(cid)
    except CidError as error:
        raise CodecError(f"invalid link: not a CID: {error}") from None
    if parts.codec in SECTOR_CODECS:
        return end
    if parts.hash_code == IDENTITY:
        if parts.codec == DAG_CBOR:
            if inline == 0:
                raise CodecError("identity CIDs nested too deeply")
            links += scan_links(parts.digest, inline=inline - 1)
        return end
    links.append(cid)
    return end
