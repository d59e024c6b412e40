"""An append-mostly map for entries that are rarely read again: recent ones as they are, older ones in compressed pages.

A chain stores most data of a block several times: messages in their block and in the index, CIDs as keys and as links.
Entries added together share a page, so that compression removes the repetitions. The time of a lookup does not depend
on the size of the map: a small directory names the page, and recently read pages are cached. Once the
compressed pages reach a size limit, new pages go to a temporary file, or stay in memory if it cannot be written.

Readers need no lock, since an entry is added to a page before it is removed from the recent ones. Writers need one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from store.codec import decode, encode
from store.spilled_pages import SpilledPages

RECENT: Final = 1 << 20
"""Default size in bytes of the uncompressed recent entries (about 700 small blocks of a chain)."""
PAGE: Final = 32 << 10
"""Default size in bytes of a page before compression, the window size of zlib."""

MAX_PACKED: Final = 16 << 20
"""Default maximum size in bytes of compressed pages in memory (about 50,000 transactions)."""
OPEN_PAGES: Final = 64
"""Number of decompressed pages to cache (4 MB)."""
_LEVEL: Final = 1
"""Fastest compression level; higher ones make pages two percent smaller and take twice the time."""
_NAMES: Final = 9
"""Maximum length of keys whose entries are never compressed, since they are read frequently."""
_BUCKETS: Final = 4096
_MARK: Final = 2
_RECORD: Final = 5
"""Length in bytes of a directory record: a hash of the key and a page number.

The hash has two bytes: at 1,000,000 transactions, one lookup in 80 reads a page in vain.
"""
_ABSENT: Final = b"absent"
"""Marker for an absent entry, compared by identity."""


class PackedEntries:
    """A map from bytes to bytes. Replacing an entry does not free its space in a page.

    It has at most 2^24 pages, which are 512 GB of entries at the default size.
    """

    def __init__(self, recent: int = RECENT, page: int = PAGE, packed: int = MAX_PACKED) -> None:
        """Keep `recent` bytes of the newest entries uncompressed, and older ones in pages of `page` bytes.

        After the first `packed` bytes of compressed pages, further ones are in a temporary file.
        """
        self._max_recent, self._page, self._packed_left = recent, page, packed
        self._names: dict[bytes, bytes | None] = {}
        self._recent: dict[bytes, bytes | None] = {}
        self._size = 0
        self._pages: list[bytes | int] = []
        """Compressed pages, or their places in the temporary file."""
        self._spilled: SpilledPages | None = None
        self._large: set[int] = set()
        """Numbers of pages too large to cache, because of a single large entry."""
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._open_page = lru_cache(OPEN_PAGES)(self._read_page)

    def get(self, key: bytes) -> bytes | None:
        if len(key) <= _NAMES:
            return self._names.get(key)
        value = self._recent.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        return self._read_packed(key) if self._pages else None

    def put_all(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set the values of keys; None deletes."""
        recent, size = self._recent, self._size
        for key, value in entries:
            if len(key) <= _NAMES:
                self._names[key] = value
                continue
            size += len(value or b"")
            if key in recent:
                size -= len(recent[key] or b"")
            else:
                size += len(key)
            recent[key] = value  # replaced in place, so that a concurrent reader finds one of the two values
        self._size = size
        while self._size > self._max_recent + self._page:
            self._pack()

    def _pack(self) -> None:
        """Move the oldest recent entries into a new page."""
        oldest: list[tuple[bytes, bytes | None]] = []
        size = 0
        for key, value in self._recent.items():
            oldest.append((key, value))
            size += len(key) + len(value or b"")
            if size >= self._page:
                break
        number = len(self._pages)
        if size > 2 * self._page:
            self._large.add(number)
        self._pages.append(
            self._store_page(zlib.compress(encode([part for entry in oldest for part in entry]), _LEVEL))
        )
        for key, _ in oldest:
            position, mark = _bucket_of(key)
            bucket = self._buckets[position]
            if bucket is None:
                bucket = self._buckets[position] = bytearray()
            bucket += mark + number.to_bytes(_RECORD - _MARK, "big")
        for key, _ in oldest:
            del self._recent[key]
        self._size -= size

    def _store_page(self, page: bytes) -> bytes | int:
        """Return a compressed page, or its place in the temporary file."""
        if self._packed_left >= len(page):
            self._packed_left -= len(page)
            return page
        if self._spilled is None:
            try:
                self._spilled = SpilledPages()
            except OSError:  # no folder for temporary files
                return page
        place = self._spilled.add(page)
        return page if place is None else place

    def _read_packed(self, key: bytes) -> bytes | None:
        """Return the value of a key from the newest page that contains it."""
        position, mark = _bucket_of(key)
        bucket = self._buckets[position]
        if bucket is None:
            return None
        records = bytes(bucket)  # copied, since a writer may append to it
        at = records.rfind(mark)
        while at >= 0:
            if at % _RECORD == 0:
                number = int.from_bytes(records[at + _MARK : at + _RECORD], "big")
                page = self._read_page(number) if number in self._large else self._open_page(number)
                if key in page:
                    return page[key]
            at = records.rfind(mark, 0, at + _MARK - 1)
        return None

    def _read_page(self, number: int) -> dict[bytes, bytes | None]:
        page = self._pages[number]
        if isinstance(page, int):
            assert self._spilled is not None
            page = self._spilled.read(page)
        parts = decode(zlib.decompress(page))
        return dict(zip(parts[::2], parts[1::2], strict=True))


def _bucket_of(key: bytes) -> tuple[int, bytes]:
    """Return the directory bucket of a key and its hash there."""
    number = hash(key)
    return number % _BUCKETS, (number // _BUCKETS % (1 << 8 * _MARK)).to_bytes(_MARK, "big")
