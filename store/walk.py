"""A resumable post-order walk over all blocks reachable from roots: each block once, after the blocks it links to.

If the walk stops at any point, everything reachable from the blocks returned so far has been returned too. Sector
commitments and identity CIDs do not name blocks and are skipped (`store.links`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, path_text
from store.cid import (
    BLAKE2B_256,
    BLAKE2B_CID_LENGTH,
    CBOR_CID_PREFIX,
    DAG_CBOR,
    IDENTITY,
    RAW,
    RAW_CID_PREFIX,
    SHA2_256,
    Cid,
    show,
    split_cid,
)
from store.codec import CodecError
from store.links import SECTOR_CODECS, STATE_CODECS, links_of


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
