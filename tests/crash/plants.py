"""Stores with a planted defect, which the crash tests must find.

The defects are: no sync, no batch, no marks of a commit, and ignored errors.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from rocksdict import Rdict

from store.blockstore import NOTHING, StoreError
from store.cid import Cid
from store.rocks.database import RocksStore
from store.rocks.marks import Marks
from store.rocks.options import Batch


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


class MarksWithoutHold:
    """The marks of a store, of which a commit adds none. An attribute of a compiled class cannot be replaced."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._marks, name)

    def hold(self, *_: object) -> None:
        """Mark nothing."""


class NoMarks(RocksStore):
    """Does not mark what a commit stores while a collection is in progress."""

    def _resume(self, database: Rdict, acknowledged: int) -> None:
        super()._resume(database, acknowledged)
        if self._marks is not None:
            self._marks = cast(Marks, MarksWithoutHold(self._marks))


class IgnoresErrors(RocksStore):
    """Acknowledges commits that could not be written."""

    def _write(self, batch: Batch) -> None:
        with suppress(StoreError):
            super()._write(batch)


PLANTS: dict[str, type[RocksStore]] = {
    "none": RocksStore,
    "no-sync": NoSync,
    "no-batch": NoBatch,
    "no-marks": NoMarks,
    "ignores-errors": IgnoresErrors,
}
