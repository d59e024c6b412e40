"""A store that remembers what was read through it: the blocks that a proof or an export needs."""

from __future__ import annotations

from collections.abc import Iterable

from store.blockstore import Blockstore
from store.cid import Cid


class RecordingBlockstore:
    """A read-only view of a store; each block is remembered when it is read for the first time."""

    def __init__(self, store: Blockstore) -> None:
        self._store = store
        self._seen: set[Cid] = set()
        self._new: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound, and what else the store raises."""
        data = self._store.get(cid)
        if cid not in self._seen:
            self._seen.add(cid)
            self._new[cid] = data
        return data

    def take(self) -> list[tuple[Cid, bytes]]:
        """What was read since the last time, in the order of the first reads."""
        new = list(self._new.items())
        self._new.clear()
        return new

    def has(self, cid: Cid) -> bool:
        """Whether the store has the block; asking is no reading."""
        return self._store.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Nothing can be written here."""
        raise NotImplementedError

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Nothing can be written here."""
        raise NotImplementedError
