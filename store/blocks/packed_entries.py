"""An append-mostly map for entries that are rarely read again: recent ones as they are, older ones in compressed pages.

A chain stores most data of a block several times: messages in their block and in the index, CIDs as keys and as links.
Entries added together share a page, so that compression removes the repetitions. A directory names the page of a key,
and recently read pages are cached. Once the compressed pages reach a size limit, new pages go to a temporary file, or
stay in memory if it cannot be written. When the directory reaches `MAX_DIRECTORY` bytes, it moves to that file as a
segment. A lookup of an old or absent key reads one bucket of each segment, newest first, which takes about 1 us each.

Readers need no lock: an entry is in a page before it leaves the recent entries, and records are in a segment before the
buckets are replaced. Writers need one.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate
from typing import Final

from store.blocks.spilled_pages import SpilledPages
from store.codec import decode, encode

RECENT: Final = 1 << 20
"""Default size in bytes of the uncompressed recent entries (about 700 small blocks of a chain)."""
PAGE: Final = 32 << 10
"""Default size in bytes of a page before compression, the window size of zlib."""

MAX_PACKED: Final = 16 << 20
"""Default maximum size in bytes of compressed pages in memory (about 50,000 transfers in blocks of 95)."""
MAX_DIRECTORY: Final = 4 << 20
"""Default size in bytes of the directory's records at which they move to the temporary file (200,000 transfers)."""
OPEN_PAGES: Final = 64
"""Number of decompressed pages to cache (4 MB)."""
_LEVEL: Final = 1
"""Fastest compression level; higher ones make pages two percent smaller and take twice the time."""
_NAMES: Final = 9
"""Maximum length of keys whose entries are never compressed, since they are read frequently."""
_BUCKETS: Final = 4096
_MARK: Final = 3
_RECORD: Final = 6
"""Length in bytes of a directory record: a hash of the key and a page number."""
_ABSENT: Final = b"absent"
"""Marker for an absent entry, compared by identity."""


class _Segment:
    """A part of the directory that gets no more records, stored as one page."""

    def __init__(self, buckets: list[bytearray | None], store_page: Callable[[bytes], bytes | int]) -> None:
        self._ends = array("I", accumulate(0 if bucket is None else len(bucket) for bucket in buckets))
        self._page = store_page(b"".join(bucket for bucket in buckets if bucket is not None))

    def bucket(self, position: int, spilled: SpilledPages | None) -> bytes:
        """Return the records of a bucket. Raises StoreIOError."""
        start, end = self._ends[position - 1] if position else 0, self._ends[position]
        if isinstance(self._page, bytes):
            return self._page[start:end]
        assert spilled is not None
        return spilled.read_part(self._page, start, end)


class PackedEntries:
    """A map from bytes to bytes. Replacing an entry does not free its space in a page.

    It has at most 2^24 pages, which are 512 GB of entries at the default size.
    """

    def __init__(
        self, recent: int = RECENT, page: int = PAGE, packed: int = MAX_PACKED, directory: int = MAX_DIRECTORY
    ) -> None:
        """Keep `recent` bytes of the newest entries uncompressed, and older ones in pages of `page` bytes.

        Compressed pages beyond `packed` bytes go to a temporary file. The directory goes there in segments of
        `directory` bytes, independent of `packed`.
        """
        self._max_recent, self._page, self._packed_left, self._max_directory = recent, page, packed, directory
        self._names: dict[bytes, bytes | None] = {}
        self._recent: dict[bytes, bytes | None] = {}
        self._size = 0
        self._pages: list[bytes | int] = []
        """Compressed pages, or their places in the temporary file."""
        self._spilled: SpilledPages | None = None
        self._large: set[int] = set()
        """Numbers of pages too large to cache, because of a single large entry."""
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._directory = 0
        """Size in bytes of the buckets."""
        self._segments: tuple[_Segment, ...] = ()
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
        self._directory += _RECORD * len(oldest)
        if self._directory >= self._max_directory:
            self._segments = (*self._segments, _Segment(self._buckets, self._spill))
            self._buckets, self._directory = [None] * _BUCKETS, 0
        for key, _ in oldest:
            del self._recent[key]
        self._size -= size

    def _store_page(self, page: bytes) -> bytes | int:
        """Return a compressed page, or its place in the temporary file."""
        if self._packed_left >= len(page):
            self._packed_left -= len(page)
            return page
        return self._spill(page)

    def _spill(self, page: bytes) -> bytes | int:
        """Return the place of a page in the temporary file, or the page if it cannot be written."""
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
        if bucket is not None:
            value = self._read_from(bytes(bucket), mark, key)  # copied, since a writer may append to it
            if value is not _ABSENT:
                return value
        for segment in reversed(self._segments):
            value = self._read_from(segment.bucket(position, self._spilled), mark, key)
            if value is not _ABSENT:
                return value
        return None

    def _read_from(self, records: bytes, mark: bytes, key: bytes) -> bytes | None:
        """Return the value of a key from the newest page that these records name, or `_ABSENT`."""
        at = records.rfind(mark)
        while at >= 0:
            if at % _RECORD == 0:
                number = int.from_bytes(records[at + _MARK : at + _RECORD], "big")
                page = self._read_page(number) if number in self._large else self._open_page(number)
                if key in page:
                    return page[key]
            at = records.rfind(mark, 0, at + _MARK - 1)
        return _ABSENT

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
