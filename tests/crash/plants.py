"""Stores with a planted defect, which the crash tests must find: no sync, no batch, or no marks of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rocksdict import Rdict

from store.blockstore import NOTHING
from store.cid import Cid
from store.rocks import RocksStore
from store.rocks_batch import Batch


class NoSync(RocksStore):
    """Acknowledges commits without syncing them to disk."""

    def _write(self, batch: Batch) -> None:
        self._write_options.sync = False
        super()._write(batch)
        if self._count is not None:
            self._count.write(self.commits)


class NoBatch(RocksStore):
    """Writes blocks, metadata and index separately."""

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


class NoMarks(RocksStore):
    """Does not mark what a commit stores while a collection is in progress."""

    def _resume(self, database: Rdict, acknowledged: int) -> None:
        super()._resume(database, acknowledged)
        if self._marks is not None:
            setattr(self._marks, "hold", lambda *_: None)  # noqa: B010 - not a form that a type checker takes


PLANTS: dict[str, type[RocksStore]] = {"none": RocksStore, "no-sync": NoSync, "no-batch": NoBatch, "no-marks": NoMarks}
