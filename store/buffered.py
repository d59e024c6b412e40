"""Writes held back in memory over another blockstore, until a new root says which of them are worth keeping.

The machine writes every block of an execution here, also those of calls that are later reverted; `reachable` then
finds the part that the new state root links to, and only that part is committed (ref-fvm `blockstore/buffered.rs`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from store.blockstore import Blockstore
from store.cid import DAG_CBOR, USUAL_PREFIX, USUAL_RAW_PREFIX, Cid
from store.links import links_of
from store.rewritten_block import RewrittenBlock
from store.walk import state_codec, targets

_PREFIX: Final = len(USUAL_PREFIX)
_USUAL: Final = (USUAL_PREFIX, USUAL_RAW_PREFIX)
"""How links begin of which nothing needs to be checked: what the prefix says of the digest, `links_of` has seen."""


class BufferedStore:
    """A `Blockstore` that reads through to `base` and never writes to it."""

    def __init__(self, base: Blockstore) -> None:
        self.base = base
        self.pending: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """The block, from the buffer or the base; BlockNotFound if neither has it."""
        data = self.pending.get(cid)
        return self.base.get(cid) if data is None else data

    def has(self, cid: Cid) -> bool:
        """Whether the buffer or the base has the block."""
        return cid in self.pending or self.base.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Hold one block in the buffer."""
        self.pending.setdefault(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Hold blocks in the buffer."""
        # The first of two stays: what a revised block was made from came before it, and so is not forgotten before it.
        for cid, data in blocks:
            self.pending.setdefault(cid, data)

    def reachable(self, root: Cid) -> list[tuple[Cid, bytes]]:
        """The buffered blocks that `root` leads to, each once, depth first from the root.

        A block that is not in the buffer is taken to be in the base with all it links to; so of a block that was made
        from such a one only the fresh links are followed. Raises StoreCorrupt for a link that no state may hold
        (another codec or hash) and CodecError for a malformed block.
        """
        found: dict[Cid, bytes] = {}
        todo = [cid for cid in targets(root)[::-1] if state_codec(cid)]
        pending = self.pending
        while todo:
            cid = todo.pop()
            data = pending.get(cid)
            if data is None or cid in found:
                continue
            if type(data) is RewrittenBlock:
                based = data.before is not None and data.before not in pending
                links = data.fresh_links() if based else links_of(data, DAG_CBOR)
                data = bytes(data)  # without what it remembers
            else:
                links = links_of(data, state_codec(cid))
            found[cid] = data
            for link in reversed(links):
                if link in pending:
                    todo.append(link)
                elif link[:_PREFIX] not in _USUAL:
                    state_codec(link)
        return list(found.items())

    def forget_after(self, count: int) -> None:
        """Forget the blocks that came after the first `count` ones; blocks stay in the order of their first `put`."""
        while len(self.pending) > count:
            self.pending.popitem()

    def clear(self) -> None:
        """Forget what is buffered."""
        self.pending.clear()
