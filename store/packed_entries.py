"""Entries by key that stay for ever and are seldom read again: the newest as they are, older ones in compressed pages.

What a chain keeps of a block says most things several times: the message in its block and in the index, CIDs as keys
and as links. Entries that came together share a page, so that a page says each of them once. A look-up takes the same
time whatever is kept: a small directory names the page, and the pages that were read last stay open.

Readers need no lock: what moves into a page is found there before it is gone from where it was. Writers need one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from store.codec import decode, encode

RECENT: Final = 1 << 20
"""Bytes of keys and values that stay as they are: some 700 small blocks of a chain."""
PAGE: Final = 32 << 10
"""Bytes of keys and values in a page: as far back as zlib looks for what it has seen."""

OPEN_PAGES: Final = 64
"""Pages that stay open: 4 MB."""
_LEVEL: Final = 1
"""The fastest: the others make pages that are two per cent smaller at twice the time."""
_NAMES: Final = 9
"""Keys of this length at most name single things, which are read again and again: their entries stay as they are."""
_BUCKETS: Final = 4096
_MARK: Final = 4
_RECORD: Final = 8
"""Bytes of a record in a bucket: a mark of the key, and the number of a page."""
_ABSENT: Final = b"absent"
"""Stands for no entry, by its identity."""


class PackedEntries:
    """Bytes by key. An entry that is put again hides the one before, whose room in a page is not used again."""

    def __init__(self, recent: int = RECENT, page: int = PAGE) -> None:
        """Keep `recent` bytes of the newest entries as they are, and fill pages of `page` bytes with older ones."""
        self._most, self._page = recent, page
        self._names: dict[bytes, bytes | None] = {}
        self._recent: dict[bytes, bytes | None] = {}
        self._size = 0
        self._pages: list[bytes] = []
        self._large: set[int] = set()
        """Pages that are too large to stay open: of an entry that fills more than one."""
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._open_page = lru_cache(OPEN_PAGES)(self._read_page)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None if it has none."""
        if len(key) <= _NAMES:
            return self._names.get(key)
        value = self._recent.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        return self._packed(key) if self._pages else None

    def put_all(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set the values of keys; with None a key has none any more."""
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
            recent[key] = value  # in its place: a reader finds the one value or the other
        self._size = size
        while self._size > self._most + self._page:
            self._pack()

    def _pack(self) -> None:
        """Move the oldest entries into a page."""
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
        self._pages.append(zlib.compress(encode([part for entry in oldest for part in entry]), _LEVEL))
        for key, _ in oldest:
            place, mark = _place(key)
            bucket = self._buckets[place]
            if bucket is None:
                bucket = self._buckets[place] = bytearray()
            bucket += mark + number.to_bytes(_RECORD - _MARK, "big")
        for key, _ in oldest:
            del self._recent[key]
        self._size -= size

    def _packed(self, key: bytes) -> bytes | None:
        """The value of a key in the newest page that has it."""
        place, mark = _place(key)
        bucket = self._buckets[place]
        if bucket is None:
            return None
        records = bytes(bucket)  # a writer may add to it
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
        parts = decode(zlib.decompress(self._pages[number]))
        return dict(zip(parts[::2], parts[1::2], strict=True))


def _place(key: bytes) -> tuple[int, bytes]:
    """The bucket of a key, and its mark there."""
    number = hash(key)
    return number % _BUCKETS, (number // _BUCKETS % (1 << 8 * _MARK)).to_bytes(_MARK, "big")
