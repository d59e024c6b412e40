"""A block that was made from another one of which it keeps most, with what is new in it.

So committing a tree again and again looks at no link twice (`store.buffered`).
"""

from __future__ import annotations

from store.cid import Cid
from store.links import links_of_values


class RewrittenBlock(bytes):
    """What it links to and the other block did not is in `fresh`. It counts as the bytes that it is."""

    before: Cid | None
    """The block that it was made from; None: from none, and all its values are fresh."""
    fresh: list[bytes]
    """Its values that the other block does not have, each encoded."""

    @classmethod
    def of(cls, data: bytes, before: Cid | None, fresh: list[bytes]) -> RewrittenBlock:
        """A block with what it was made from."""
        revised = cls(data)
        revised.before, revised.fresh = before, fresh
        return revised

    def fresh_links(self) -> list[Cid]:
        """The links of its fresh values, as `links_of` gives those of a block."""
        return links_of_values(self.fresh)
