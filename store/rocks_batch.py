"""RocksDB write batch that retains no column family handles.

rocksdict keeps the database folder locked while a column family handle exists, even after `close`. A traceback keeps
local variables alive, so no method keeps a handle in a local variable when it raises.
"""

from __future__ import annotations

from collections.abc import Iterable

from rocksdict import Rdict, WriteBatch, WriteOptions


class Batch:
    """Puts and deletes that are written atomically."""

    def __init__(self, database: Rdict) -> None:
        self._database = database
        self._batch = WriteBatch(raw_mode=True)

    def put(self, family: str, key: bytes, value: bytes) -> None:
        self._batch.put(bytes(key), value, self._database.get_column_family_handle(family))

    def put_all(self, family: str, entries: Iterable[tuple[bytes, bytes]]) -> None:
        handle = self._database.get_column_family_handle(family)
        try:
            for key, value in entries:
                self._batch.put(bytes(key), value, handle)
        finally:
            del handle

    def delete(self, family: str, key: bytes) -> None:
        self._batch.delete(key, self._database.get_column_family_handle(family))

    def clear(self, family: str, end: bytes) -> None:
        """Delete every key before `end`."""
        self._batch.delete_range(b"", end, self._database.get_column_family_handle(family))

    def note(self, key: bytes, value: bytes | None) -> None:
        """Store a value in RocksDB's default column family, or delete it if None."""
        if value is None:
            self._batch.delete(key)
        else:
            self._batch.put(key, value)

    def write(self, options: WriteOptions | None = None) -> None:
        self._database.write(self._batch, options)
