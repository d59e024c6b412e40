"""A block rewritten from another one, with the parts that are new.

When a tree is committed repeatedly, only the new links need to be scanned (`store.blocks.buffered`).
"""

from __future__ import annotations

from store.cid import Cid


class RewrittenBlock(bytes):
    """A block that records which values are not in the block it was rewritten from. Behaves as its bytes."""

    before: Cid | None
    """CID of the original block; None if there is none, and all values are fresh."""
    fresh: list[bytes]
    """Encoded values that the original block does not have."""
