"""A store in memory: for tests, for `:memory:` networks and for worker processes. Nothing survives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from store.blockstore import NOTHING, BlockNotFound, check_expected
from store.cid import Cid


class MemoryStore:
    """A `Store` over two dicts."""

    def __init__(self) -> None:
        self._blocks: dict[Cid, bytes] = {}
        self._metadata: dict[bytes, bytes] = {}
        self._index: dict[bytes, bytes] = {}
        self._lock = Lock()

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound if there is none."""
        data = self._blocks.get(cid)
        if data is None:
            raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        """Whether the block is stored."""
        return cid in self._blocks

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block."""
        self._blocks[cid] = data

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks."""
        self._blocks.update(blocks)

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Store blocks, set metadata and index (None deletes); HeadMoved where the metadata is not as `expected`."""
        new = dict(blocks)  # an iterable that raises half-way leaves the store as it was
        with self._lock:
            check_expected(self, expected)
            self._blocks.update(new)
            _change(self._metadata, metadata)
            _change(self._index, index)

    def metadata(self, key: bytes) -> bytes | None:
        """The metadata under `key`, or None."""
        return self._metadata.get(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        """All metadata, in the order of their keys."""
        return dict(sorted(self._metadata.items()))

    def index(self, key: bytes) -> bytes | None:
        """What the index has under `key`, or None."""
        return self._index.get(key)

    def close(self) -> None:
        """Nothing to release: the blocks stay readable as long as the object lives."""

    def __len__(self) -> int:
        return len(self._blocks)


def _change(entries: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
