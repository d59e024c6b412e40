"""Links between blocks: the links of one block, and walks over all blocks reachable from roots.

A block's links are found by a scan of its CBOR heads, for flushing, garbage collection and CAR export. The scan has the
rules of the FVM (ref-fvm fvm/src/ipld): it accepts integers that are not minimal and maps in any order, and rejects
indefinite lengths and trailing bytes. The kernel has its own scan, which charges gas.

If a walk stops at any point, everything reachable from the blocks returned so far has been returned too. Sector
commitments and identity CIDs do not name blocks and are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, path_text
from store.cid import (
    BLAKE2B_256,
    BLAKE2B_CID_LENGTH,
    CBOR,
    CBOR_CID_PREFIX,
    DAG_CBOR,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    RAW_CID_PREFIX,
    SHA2_256,
    Cid,
    CidError,
    show,
    split_cid,
)
from store.codec import LINK_HEAD, LINK_TAG, CodecError

STATE_CODECS: Final = frozenset((RAW, CBOR, DAG_CBOR))
"""Codecs of blocks that a state may contain."""

SECTOR_CODECS: Final = frozenset((FIL_COMMITMENT_UNSEALED, FIL_COMMITMENT_SEALED))
"""Codecs of sector commitments, which name data that is never in the store; such links are skipped."""

_LINK_STARTS: Final = (LINK_HEAD + CBOR_CID_PREFIX, LINK_HEAD + RAW_CID_PREFIX)
_LINK_TAG: Final = LINK_HEAD[1:2]
"""The last byte of a link's tag in every encoding."""
_TAG: Final = LINK_HEAD[:2]
_END_OF_LONGER_TAG: Final = b"\0" + LINK_HEAD[1:2]
"""Last bytes of a link tag that is not minimally encoded."""
_USUAL_LINK: Final = re.compile(
    re.escape(LINK_HEAD) + b"((?:" + re.escape(CBOR_CID_PREFIX) + b"|" + re.escape(RAW_CID_PREFIX) + b").{32})",
    re.DOTALL,
)
_SHORT_BYTES: Final = 0x58
"""First byte of a byte string with a length of one byte."""
_MAX_INLINE: Final = 16  # maximum nesting of identity CIDs; a digest of 64 bytes cannot hold that many


def links_of(data: bytes, codec: int) -> list[Cid]:
    """Return the CIDs that a block links to, in order and with repetitions.

    Sector commitments are omitted; identity CIDs are replaced by the links inside their digest. Only DAG-CBOR blocks
    have links. Raises CodecError if a DAG-CBOR block is malformed.
    """
    return scan_links(data) if codec == DAG_CBOR else []


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


def all_links(data: bytes, remaining: int = 1) -> list[Cid]:
    """Return the links of `remaining` consecutive values like `scan_links`, but much faster for usual links.

    The regular expression finds all links if each link tag starts a usual link. A match inside a string is returned,
    too, and only keeps a block longer than necessary.
    """
    if _LINK_TAG not in data:
        return []
    found: list[Cid] = _USUAL_LINK.findall(data)
    if len(found) == data.count(_TAG) and _END_OF_LONGER_TAG not in data:
        return found
    return scan_links(data, remaining)


def _long_step(data: bytes, at: int, links: list[Cid], inline: int) -> tuple[int, int]:
    """Read a head that `STEPS` does not cover; return the new offset and the change in values left to read.

    The offset returned is after the string or link that the head introduces.
    """
    first = data[at]
    number, at = _number(data, at + 1, first & 31) if first & 31 > 23 else (first & 31, at + 1)
    match first >> 5:
        case 2 | 3:
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


class Walk:
    """A walk that returns finished blocks in steps."""

    def __init__(self, store: Blockstore, roots: Iterable[Cid], seen: Callable[[Cid], bool]) -> None:
        """Walk from `roots`, skipping blocks for which `seen` returns True.

        `seen` must return True for every block that `step` has returned.
        """
        self._store = store
        self._roots = iter(roots)
        self._seen = seen
        self._path: dict[Cid, list[Cid]] = {}
        """Blocks from the root to the current one, each with its links that are not followed yet."""

    def step(self, limit: int) -> list[Cid]:
        """Finish and return up to `limit` blocks; an empty list means that the walk is complete.

        Raises BlockNotFound with the path to the missing block, and StoreCorrupt for a malformed block or a link that a
        state may not contain.
        """
        finished: dict[Cid, None] = {}
        while len(finished) < limit:
            if not self._path:
                root = next(self._roots, None)
                if root is None:
                    break
                for cid in targets(root):
                    self._enter(cid, finished)
                continue
            cid, links = next(reversed(self._path.items()))
            if links:
                self._enter(links.pop(), finished)
            else:
                del self._path[cid]
                finished[cid] = None
        return list(finished)

    def _enter(self, cid: Cid, finished: dict[Cid, None]) -> None:
        # A cycle requires a hash collision; skip the block in this case.
        if cid in finished or cid in self._path or self._seen(cid):
            return
        codec = state_codec(cid)
        if codec == DAG_CBOR:
            try:
                self._path[cid] = links_of(self._store.get(cid), codec)[::-1]
            except BlockNotFound:
                raise BlockNotFound(cid, tuple(self._path)) from None
            except CodecError as error:
                raise StoreCorrupt(f"block {show(cid)}{path_text(tuple(self._path))}: {error}") from None
        elif self._store.has(cid):
            finished[cid] = None
        else:
            raise BlockNotFound(cid, tuple(self._path))


def targets(root: Cid) -> list[Cid]:
    """Return the blocks at which a walk from a root starts.

    This is the root itself; nothing for a sector commitment; and the links in the digest of an identity CID.
    """
    if root.startswith(CBOR_CID_PREFIX) and len(root) == BLAKE2B_CID_LENGTH:
        return [root]
    parts = split_cid(root)
    if parts.hash_code == IDENTITY:
        return links_of(parts.digest, parts.codec)
    return [] if parts.codec in SECTOR_CODECS else [root]


def state_codec(cid: Cid) -> int:
    """Return the codec of a block that a state links to. Raises StoreCorrupt if a state may not contain the link."""
    if len(cid) == BLAKE2B_CID_LENGTH:
        if cid.startswith(CBOR_CID_PREFIX):
            return DAG_CBOR
        if cid.startswith(RAW_CID_PREFIX):
            return RAW
    parts = split_cid(cid)
    if parts.codec not in STATE_CODECS:
        raise StoreCorrupt(f"invalid link to {show(cid)}: codec {parts.codec:#x} is not allowed in a state")
    if parts.hash_code not in (BLAKE2B_256, SHA2_256) or len(parts.digest) != 32:
        raise StoreCorrupt(f"invalid link to {show(cid)}: hash {parts.hash_code:#x} is not allowed in a state")
    return parts.codec


def blocks_below(store: Blockstore, roots: Iterable[Cid]) -> Iterator[tuple[Cid, bytes]]:
    """Iterate over all blocks reachable from roots, each once, in pre-order as in CAR files.

    Uses about 100 bytes of memory per block. Raises BlockNotFound, StoreCorrupt and CodecError.
    """
    found: set[Cid] = set()
    todo = [cid for root in roots for cid in targets(root)][::-1]
    while todo:
        cid = todo.pop()
        if cid not in found:
            codec = state_codec(cid)
            data = store.get(cid)
            found.add(cid)
            yield cid, data
            todo += reversed(links_of(data, codec))


def reachable(store: Blockstore, roots: Iterable[Cid]) -> set[Cid]:
    """Return the CIDs of all blocks reachable from roots: the reference implementation of `Walk`."""
    return {cid for cid, _ in blocks_below(store, roots)}
