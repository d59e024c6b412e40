"""A walk over everything below some roots: each block once, what it links to before the block itself.

So a caller that notes the blocks as they come may stop at any point: of what it has noted, everything below is noted.
Sector commitments and identity CIDs name no blocks and are passed over (`store.links`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, way_text
from store.cid import (
    BLAKE2B_256,
    DAG_CBOR,
    IDENTITY,
    RAW,
    SHA2_256,
    USUAL_LENGTH,
    USUAL_PREFIX,
    USUAL_RAW_PREFIX,
    Cid,
    show,
    split_cid,
)
from store.codec import CodecError
from store.links import SECTOR_CODECS, STATE_CODECS, links_of


class Walk:
    """A walk that goes on with `step` and comes back with the blocks that it has finished."""

    def __init__(self, store: Blockstore, roots: Iterable[Cid], seen: Callable[[Cid], bool]) -> None:
        """Walk below `roots`, not below blocks that were `seen`; finished blocks must be seen from then on."""
        self._store = store
        self._roots = iter(roots)
        self._seen = seen
        self._path: dict[Cid, list[Cid]] = {}  # from a root down: block -> the links that are still to be followed

    def step(self, most: int) -> list[Cid]:
        """Finish some blocks, `most` at the most; an empty list is the end.

        Raises BlockNotFound with the way that led there, StoreCorrupt for a block that cannot be read or a link that no
        state may hold.
        """
        finished: dict[Cid, None] = {}
        while len(finished) < most:
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
        # A block cannot lead to itself, unless the hash is broken: then it is passed over.
        if cid in finished or cid in self._path or self._seen(cid):
            return
        codec = state_codec(cid)
        if codec == DAG_CBOR:
            try:
                self._path[cid] = links_of(self._store.get(cid), codec)[::-1]
            except BlockNotFound:
                raise BlockNotFound(cid, tuple(self._path)) from None
            except CodecError as error:
                raise StoreCorrupt(f"block {show(cid)}{way_text(tuple(self._path))}: {error}") from None
        elif self._store.has(cid):
            finished[cid] = None
        else:
            raise BlockNotFound(cid, tuple(self._path))


def targets(root: Cid) -> list[Cid]:
    """The blocks that a root stands for: itself, nothing for a sector commitment, the links in an identity CID."""
    if root.startswith(USUAL_PREFIX) and len(root) == USUAL_LENGTH:
        return [root]
    parts = split_cid(root)
    if parts.hash_code == IDENTITY:
        return links_of(parts.digest, parts.codec)
    return [] if parts.codec in SECTOR_CODECS else [root]


def state_codec(cid: Cid) -> int:
    """The codec of a block that a state may link to; StoreCorrupt if no state may hold this link."""
    if len(cid) == USUAL_LENGTH:
        if cid.startswith(USUAL_PREFIX):
            return DAG_CBOR
        if cid.startswith(USUAL_RAW_PREFIX):
            return RAW
    parts = split_cid(cid)
    if parts.codec not in STATE_CODECS:
        raise StoreCorrupt(f"link to {show(cid)}: codec {parts.codec:#x} has no place in a state")
    if parts.hash_code not in (BLAKE2B_256, SHA2_256) or len(parts.digest) != 32:
        raise StoreCorrupt(f"link to {show(cid)}: hash {parts.hash_code:#x} has no place in a state")
    return parts.codec


def blocks_below(store: Blockstore, roots: Iterable[Cid]) -> Iterator[tuple[Cid, bytes]]:
    """Every block below some roots, once, depth first, a block before what it links to: the order of CAR files.

    Remembers the CIDs, some 100 bytes a block. Raises BlockNotFound, StoreCorrupt, CodecError.
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
    """The CIDs of every block below some roots: the plain reference of `Walk`."""
    return {cid for cid, _ in blocks_below(store, roots)}
