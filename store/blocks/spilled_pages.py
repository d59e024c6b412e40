"""Pages in an unnamed temporary file, which the system deletes at the end of the process or of the object."""

from __future__ import annotations

import os
import weakref
from tempfile import mkstemp
from typing import Final

from store.blockstore import StoreIOError

_LENGTH: Final = 4
"""Length in bytes of a page's length in the file."""


class SpilledPages:
    """Append-only pages in a file of the folder for temporary files. Readers need no lock, writers need one."""

    def __init__(self) -> None:
        """Create the file. Raises OSError."""
        self._descriptor, name = mkstemp(prefix="hypervisor-pages-")
        weakref.finalize(self, os.close, self._descriptor)
        os.unlink(name)
        self._owner, self._end = os.getpid(), 0

    def add(self, page: bytes) -> int | None:
        """Append a page and return its place.

        Returns None on a full disk, and in a forked process, whose parent appends to the same file.
        """
        if os.getpid() != self._owner:
            return None
        data, place = len(page).to_bytes(_LENGTH, "big") + page, self._end
        try:
            if os.pwrite(self._descriptor, data, place) < len(data):
                return None
        except OSError:
            return None
        self._end += len(data)
        return place

    def read(self, place: int) -> bytes:
        """Return the page at a place. Raises StoreIOError."""
        length = int.from_bytes(self._read(place, _LENGTH), "big")
        return self._read(place + _LENGTH, length)

    def read_part(self, place: int, start: int, end: int) -> bytes:
        """Return the bytes of a page from `start` to `end`. Raises StoreIOError."""
        return self._read(place + _LENGTH + start, end - start)

    def _read(self, first: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, first)
        except OSError as error:
            raise StoreIOError(f"the temporary file of old blocks cannot be read: {error}; restart the node") from error
        if len(data) < length:
            raise StoreIOError(f"the temporary file of old blocks ends before byte {first + length}; restart the node")
        return data
