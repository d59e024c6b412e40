"""Stores with a defect, which the suite must find: without the sync, and without the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from store.blockstore import NOTHING
from store.cid import Cid
from store.rocks import RocksStore
from store.rocks_batch import Batch


class NoSync(RocksStore):
    """Acknowledges commits that the disk has not been asked to keep."""

    def _write(self, batch: Batch) -> None:
        self._write_options.sync = False
        super()._write(batch)
        if self._count is not None:
            self._count.write(self.commits)


class NoBatch(RocksStore):
    """Writes blocks, metadata and index one after the other."""

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        super().commit(blocks, {}, expected=expected)
        super().commit((), metadata)
        super().commit((), {}, index)


PLANTS: dict[str, type[RocksStore]] = {"none": RocksStore, "no-sync": NoSync, "no-batch": NoBatch}
