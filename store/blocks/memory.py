"""A volatile store in memory, for tests, `:memory:` networks and worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from store.blockstore import NOTHING, BlockNotFound, check_expected
from store.cid import Cid


class MemoryStore:
    """A `Store` over dicts."""

    def __init__(self) -> None:
        self._blocks: dict[Cid, bytes] = {}
        self._metadata: dict[bytes, bytes] = {}
        self._index: dict[bytes, bytes] = {}
        self._lock = Lock()

    def get(self, cid: Cid) -> bytes:
        data = self._blocks.get(cid)
        if data is None:
            raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        return cid in self._blocks

    def put(self, cid: Cid, data: bytes) -> None:
        self._blocks[cid] = data

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self._blocks.update(blocks)

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        new = dict(blocks)  # consume the iterables first: if one raises, the store is unchanged
        new.update(chain)
        with self._lock:
            check_expected(self, expected)
            self._blocks.update(new)
            _change(self._metadata, metadata)
            _change(self._index, index)

    def metadata(self, key: bytes) -> bytes | None:
        return self._metadata.get(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        return dict(sorted(self._metadata.items()))

    def index(self, key: bytes) -> bytes | None:
        return self._index.get(key)

    def close(self) -> None:
        """Do nothing; the blocks stay readable as long as the object exists."""

    def __len__(self) -> int:
        return len(self._blocks)


def _change(entries: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
