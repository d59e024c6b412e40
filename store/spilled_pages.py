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
        try:
            length = int.from_bytes(os.pread(self._descriptor, _LENGTH, place), "big")
            page = os.pread(self._descriptor, length, place + _LENGTH)
        except OSError as error:
            raise StoreIOError(f"the temporary file of old blocks cannot be read: {error}; restart the node") from error
        if not page or len(page) < length:
            raise StoreIOError(f"the temporary file of old blocks ends before byte {place + length}; restart the node")
        return page

    def read_part(self, place: int, start: int, end: int) -> bytes:
        """Return the bytes of a page from `start` to `end`. Raises StoreIOError."""
        first = place + _LENGTH + start
        try:
            part = os.pread(self._descriptor, end - start, first)
        except OSError as error:
            raise StoreIOError(f"the temporary file of old blocks cannot be read: {error}; restart the node") from error
        if len(part) < end - start:
            raise StoreIOError(
                f"the temporary file of old blocks ends before byte {first + end - start}; restart the node"
            )
        return part
