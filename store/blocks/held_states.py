"""Reference-counted blocks of states: a block is dropped when no held root leads to it any more.

States share most of their blocks, so the cost of adding or dropping one depends on the difference to the others, not on
the size or number of states. Links to absent blocks (of a state that is fetched block by block) are not followed; a
block that arrives later is added together with what it links to.

Readers need no lock, writers need one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from store.cid import CBOR_CID_PREFIX, DAG_CBOR, RAW_CID_PREFIX, Cid
from store.codec import LINK_HEAD
from store.links import links_of, state_codec, targets

_TAG: Final = LINK_HEAD[:2]
_END_OF_LONGER_TAG: Final = b"\0" + LINK_HEAD[1:2]
"""Last bytes of a link tag that is not minimally encoded."""
_USUAL_LINK: Final = re.compile(
    re.escape(LINK_HEAD) + b"((?:" + re.escape(CBOR_CID_PREFIX) + b"|" + re.escape(RAW_CID_PREFIX) + b").{32})",
    re.DOTALL,
)
_MIN_DROPPED: Final = 500
"""Minimum number of links to process in one call of `drop` (less than a millisecond)."""


class HeldStates:
    """Blocks by CID. `find` looks up blocks in another store when a state links to them."""

    def __init__(self, find: Callable[[Cid], bytes | None]) -> None:
        self._find = find
        self.blocks: dict[Cid, bytes] = {}
        """Stored blocks, for reading."""
        self._links: dict[Cid, int] = {}
        """Reference count of each block: links from stored blocks, with repetitions, and holds."""
        self._released: deque[Cid] = deque()
        """Released roots whose reference counts are not decremented yet."""
        self._dead: list[Cid] = []
        """Blocks without references that are not removed yet; their own links are still counted."""
        self._added = 0
        """Number of links counted since the last `drop`."""

    def __len__(self) -> int:
        return len(self.blocks)

    def hold(self, roots: Iterable[Cid], new: Mapping[Cid, bytes]) -> None:
        """Hold all blocks reachable from `roots`, adding missing ones from `new`."""
        self._count(_blocks_of(roots), new)

    def release(self, roots: Iterable[Cid]) -> None:
        """Release roots once. Blocks that become unreachable are removed gradually by `drop`."""
        self._released.extend(_blocks_of(roots))

    def take(self, new: Mapping[Cid, bytes]) -> list[tuple[bytes, bytes]]:
        """Add the blocks of `new` that states link to, and return the remaining ones."""
        others: list[tuple[bytes, bytes]] = []
        for cid, data in new.items():
            if cid not in self._links:
                others.append((cid, data))
            elif cid not in self.blocks:
                self.blocks[cid] = data
                self._count(_links(cid, data), new)
        return others

    @property
    def is_settled(self) -> bool:
        """True if nothing is left to drop."""
        return not self._released and not self._dead

    def drop(self) -> None:
        """Remove some unreachable blocks; the work is proportional to the links added since the last call."""
        counts, dead, left = self._links, self._dead, _MIN_DROPPED + 2 * self._added
        self._added = 0
        while left > 0 and (dead or self._released):
            if dead:
                cid = dead.pop()
                data = None if cid in counts else self.blocks.pop(cid, None)  # it may have been referenced again
                links = [] if data is None else _links(cid, data)
            else:
                links = [self._released.popleft()]
            left -= 1 + len(links)
            for link in links:
                count = counts[link] - 1
                if count:
                    counts[link] = count
                else:
                    del counts[link]
                    dead.append(link)

    def _count(self, todo: Sequence[Cid], new: Mapping[Cid, bytes]) -> None:
        counts, blocks = self._links, self.blocks
        while todo:
            self._added += len(todo)
            below: list[Cid] = []
            for cid in todo:
                count = counts.get(cid, 0)
                counts[cid] = count + 1
                if not count and cid not in blocks:
                    data = new.get(cid)
                    if data is None:
                        data = self._find(cid)
                    if data is not None:
                        blocks[cid] = data
                        # `_links` inlined for the usual block
                        found = _USUAL_LINK.findall(data) if cid.startswith(CBOR_CID_PREFIX) else None
                        is_usual = found is not None and len(found) == data.count(_TAG)
                        below += found if found and is_usual and _END_OF_LONGER_TAG not in data else _links(cid, data)
            todo = below


def _blocks_of(roots: Iterable[Cid]) -> list[Cid]:
    """Return the blocks that roots stand for (see `targets`)."""
    found: list[Cid] = []
    for root in roots:
        found += (root,) if root.startswith(CBOR_CID_PREFIX) else targets(root)
    return found


def _links(cid: Cid, data: bytes) -> list[Cid]:
    """Return the links of a state's block like `links_of`, with repetitions, but much faster for usual links.

    The regular expression finds all links if each link tag starts a usual link. A match inside a string would only keep
    a block longer than necessary.
    """
    if not cid.startswith(CBOR_CID_PREFIX):
        return [] if cid.startswith(RAW_CID_PREFIX) else links_of(data, state_codec(cid))
    found: list[Cid] = _USUAL_LINK.findall(data)
    if len(found) == data.count(_TAG) and _END_OF_LONGER_TAG not in data:
        return found
    return links_of(data, DAG_CBOR)
