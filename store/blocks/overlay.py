"""A store on top of another one that keeps commits to itself, for cheap forks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from store.blocks.memory import MemoryStore
from store.blockstore import NOTHING, BlockNotFound, Store, StoreReadOnly, check_expected
from store.cid import Cid


class OverlayStore:
    """A `Store` that reads through to `base` and never writes to it. With `closes`, closing it also closes `base`."""

    def __init__(self, base: Store, *, closes: bool = False) -> None:
        self._base, self._closes = base, closes
        self._own = MemoryStore()
        self._metadata: dict[bytes, bytes | None] = {}
        self._index: dict[bytes, bytes | None] = {}
        self._lock = Lock()

    def get(self, cid: Cid) -> bytes:
        """Return the block from the overlay or the base. Raises BlockNotFound."""
        try:
            return self._own.get(cid)
        except BlockNotFound:
            return self._base.get(cid)

    def has(self, cid: Cid) -> bool:
        """Return True if the overlay or the base has the block."""
        return self._own.has(cid) or self._base.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        self._own.put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self._own.put_many(blocks)

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        new = dict(blocks)
        with self._lock:
            check_expected(self, expected)
            self._own.put_many(new.items())
            self._metadata.update(metadata)
            self._index.update(index)

    def metadata(self, key: bytes) -> bytes | None:
        """Return the metadata under `key`, preferring the overlay's."""
        return self._metadata[key] if key in self._metadata else self._base.metadata(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        """Return all metadata, preferring the overlay's, sorted by key."""
        merged: dict[bytes, bytes | None] = {**self._base.all_metadata(), **self._metadata}
        return {key: value for key, value in sorted(merged.items()) if value is not None}

    def index(self, key: bytes) -> bytes | None:
        """Return the index entry under `key`, preferring the overlay's."""
        return self._index[key] if key in self._index else self._base.index(key)

    def close(self) -> None:
        """Close the base if this store was created with `closes`."""
        if self._closes:
            self._base.close()


class ReadOnlyStore:
    """A `Store` that reads from another one, also while that one commits."""

    def __init__(self, base: Store) -> None:
        self.get, self.has = base.get, base.has
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot store blocks: the store was opened read-only")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot store blocks: the store was opened read-only")

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot commit: the store was opened read-only")

    def close(self) -> None:
        """Do nothing; the store belongs to the machine that commits."""
