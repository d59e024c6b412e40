"""A read-only view of a store, for machines that answer queries beside the one that commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from store.blockstore import NOTHING, Store, StoreReadOnly
from store.cid import Cid


class ReadOnlyStore:
    """A `Store` that reads from another one, also while that one commits."""

    def __init__(self, base: Store) -> None:
        self.get, self.has = base.get, base.has
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("blocks are not stored here: this store was opened for reading")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("blocks are not stored here: this store was opened for reading")

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot commit: the store was opened for reading")

    def close(self) -> None:
        """Do nothing; the store belongs to the machine that commits."""
