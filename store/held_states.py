"""The blocks of states, each for as long as a root that is held leads to it: links to it are counted.

States share most of their blocks. What a new one adds, and what the end of an old one drops, costs as much as the two
differ, whatever the size of a state and however many are held. Blocks that are not here (of a state that is read block
by block from elsewhere) count as ends; one that comes later is taken with what it links to.

Readers need no lock, writers need one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from store.cid import DAG_CBOR, USUAL_PREFIX, USUAL_RAW_PREFIX, Cid
from store.codec import LINK_HEAD
from store.links import links_of
from store.walk import state_codec, targets

_TAG: Final = LINK_HEAD[:2]
_END_OF_LONGER_TAG: Final = b"\0" + LINK_HEAD[1:2]
"""How a tag ends whose number takes more bytes than it needs."""
_USUAL_LINK: Final = re.compile(
    re.escape(LINK_HEAD) + b"((?:" + re.escape(USUAL_PREFIX) + b"|" + re.escape(USUAL_RAW_PREFIX) + b").{32})",
    re.DOTALL,
)
_LEAST_DROPPED: Final = 500
"""Links that are looked at when a little is dropped: less than a millisecond."""


class HeldStates:
    """Blocks by CID. `find` gives a block that is elsewhere, where a state links to one."""

    def __init__(self, find: Callable[[Cid], bytes | None]) -> None:
        self._find = find
        self.blocks: dict[Cid, bytes] = {}
        """The blocks that are here, to read."""
        self._links: dict[Cid, int] = {}
        """How many blocks that are here link to a block, each as often as it does, and how often it is held itself."""
        self._released: deque[Cid] = deque()
        """Roots that are held once less, and still counted."""
        self._dead: list[Cid] = []
        """Blocks that nothing counted leads to, and that are still here; what they link to still counts."""
        self._added = 0
        """Links that were counted since a little was dropped."""

    def __len__(self) -> int:
        return len(self.blocks)

    def hold(self, roots: Iterable[Cid], new: Mapping[Cid, bytes]) -> None:
        """Keep what some roots lead to; what is not here yet is taken of `new`."""
        self._count(_blocks_of(roots), new)

    def release(self, roots: Iterable[Cid]) -> None:
        """Hold roots once less than until now. What only they lead to goes bit by bit (`drop`)."""
        self._released.extend(_blocks_of(roots))

    def take(self, new: Mapping[Cid, bytes]) -> list[tuple[bytes, bytes]]:
        """Take the blocks that states link to and that were not here until now; the others of `new`, of no state."""
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
        """Whether there is nothing to drop."""
        return not self._released and not self._dead

    def drop(self) -> None:
        """Drop some of the blocks that nothing leads to any more: as many links as were added lately, and more."""
        counts, dead, left = self._links, self._dead, _LEAST_DROPPED + 2 * self._added
        self._added = 0
        while left > 0 and (dead or self._released):
            if dead:
                cid = dead.pop()
                data = None if cid in counts else self.blocks.pop(cid, None)  # a new state may lead to it again
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
                        below += _links(cid, data)
            todo = below


def _blocks_of(roots: Iterable[Cid]) -> list[Cid]:
    """The blocks that roots stand for."""
    found: list[Cid] = []
    for root in roots:
        found += (root,) if root.startswith(USUAL_PREFIX) else targets(root)
    return found


def _links(cid: Cid, data: bytes) -> list[Cid]:
    """The links of a block of a state, repeated where it repeats them; those of `links_of`, in a fraction of its time.

    Where every tag of a link begins one of the usual ones, these are all. What looks like one within a string would
    only keep a block for longer.
    """
    if not cid.startswith(USUAL_PREFIX):
        return [] if cid.startswith(USUAL_RAW_PREFIX) else links_of(data, state_codec(cid))
    found: list[Cid] = _USUAL_LINK.findall(data)
    if len(found) == data.count(_TAG) and _END_OF_LONGER_TAG not in data:
        return found
    return links_of(data, DAG_CBOR)
