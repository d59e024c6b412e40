"""A store that counts reads and writes, to test lazy loading and minimal flushes without timing."""

from collections.abc import Iterable

from store.blocks.memory import MemoryStore
from store.cid import Cid


class CountingStore(MemoryStore):
    """A store whose `reads` and `writes` list the CIDs in order of access."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Cid] = []
        self.writes: list[Cid] = []

    def get(self, cid: Cid) -> bytes:
        self.reads.append(cid)
        return super().get(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        self.writes.append(cid)
        super().put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        for cid, data in blocks:
            self.put(cid, data)

    def forget(self) -> None:
        """Clear the counts."""
        self.reads.clear()
        self.writes.clear()
