"""A store that records the blocks read through it, for proofs and exports."""

from __future__ import annotations

from collections.abc import Iterable

from store.blockstore import Blockstore
from store.cid import Cid


class RecordingBlockstore:
    """A read-only view of a store that records each block on its first read."""

    def __init__(self, store: Blockstore) -> None:
        self._store = store
        self._seen: set[Cid] = set()
        self._new: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """Return the block and record it. Raises the errors of the store."""
        data = self._store.get(cid)
        if cid not in self._seen:
            self._seen.add(cid)
            self._new[cid] = data
        return data

    def take(self) -> list[tuple[Cid, bytes]]:
        """Return the blocks recorded since the last call, in the order of their first reads."""
        new = list(self._new.items())
        self._new.clear()
        return new

    def has(self, cid: Cid) -> bool:
        """Return True if the store has the block; this is not recorded."""
        return self._store.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise NotImplementedError: the view is read-only."""
        raise NotImplementedError

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise NotImplementedError: the view is read-only."""
        raise NotImplementedError
