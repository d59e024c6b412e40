"""A write buffer over another blockstore, from which only the blocks reachable from a new root are committed.

The machine writes every block of an execution here, including those of calls that are reverted later. `reachable` then
selects the blocks that the new state root links to. Source: ref-fvm `blockstore/buffered.rs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from store.blockstore import Blockstore, SpillStore
from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, RAW_CID_PREFIX, Cid
from store.linked_bytes import RewrittenBlock
from store.links import links_of, scan_links, state_codec, targets

_PREFIX: Final = len(CBOR_CID_PREFIX)
_USUAL: Final = (CBOR_CID_PREFIX, RAW_CID_PREFIX)
"""Prefixes of links that need no validation, since `links_of` has checked the digest length they announce."""


class BufferedStore:
    """A `Blockstore` that reads through to `base` and never writes to it."""

    def __init__(self, base: Blockstore) -> None:
        self.base = base
        self.pending: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """Return the block from the buffer or the base. Raises BlockNotFound."""
        data = self.pending.get(cid)
        return self.base.get(cid) if data is None else data

    def has(self, cid: Cid) -> bool:
        """Return True if the buffer or the base has the block."""
        return cid in self.pending or self.base.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Add one block to the buffer."""
        self.pending.setdefault(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Add blocks to the buffer."""
        # Keep the first insertion position: `forget_after` must not drop a block before the ones rewritten from it.
        for cid, data in blocks:
            self.pending.setdefault(cid, data)

    def reachable(self, root: Cid) -> list[tuple[Cid, bytes]]:
        """Return the buffered blocks reachable from `root`, each once, depth first.

        A block that is not in the buffer is assumed to be in the base together with everything it links to. For a
        rewritten version of such a block, only the new links are followed. Raises StoreCorrupt for a link that a state
        may not contain (unsupported codec or hash) and CodecError for a malformed block.
        """
        found: dict[Cid, bytes] = {}
        is_usual = root.startswith(CBOR_CID_PREFIX) and len(root) == BLAKE2B_CID_LENGTH
        todo = [root] if is_usual else [cid for cid in targets(root)[::-1] if state_codec(cid)]
        pending = self.pending
        while todo:
            cid = todo.pop()
            data = pending.get(cid)
            if data is None or cid in found:
                continue
            if type(data) is RewrittenBlock and data.before not in pending:
                links = data.links
            else:
                is_usual = cid.startswith(CBOR_CID_PREFIX)
                links = scan_links(data) if is_usual else links_of(data, state_codec(cid))
            found[cid] = data if type(data) is bytes else bytes(data)  # drop the rewrite information
            for link in reversed(links):
                if link in pending:
                    todo.append(link)
                elif link[:_PREFIX] not in _USUAL:
                    state_codec(link)
        return list(found.items())

    def spill(self, store: SpillStore) -> None:
        """Move all buffered blocks to a store, to bound memory while a state is rewritten.

        Every block that a buffered one links to must be in the buffer or in the base; `reachable` relies on it.
        """
        if self.pending:
            store.spill((cid, bytes(data)) for cid, data in self.pending.items())
            self.pending.clear()

    def forget_after(self, count: int) -> None:
        """Drop all but the first `count` blocks; blocks are ordered by their first `put`."""
        while len(self.pending) > count:
            self.pending.popitem()

    def clear(self) -> None:
        """Drop all buffered blocks."""
        self.pending.clear()
