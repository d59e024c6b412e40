"""RLP, the encoding of Ethereum's transactions: byte strings and lists of them, in canonical form.

Numbers are big-endian byte strings without leading zeros. Source: Ethereum yellow paper, appendix B.

The package `rlp` is not used because every transaction is encoded here: it encodes a transaction about ten times slower
and decodes it about three times slower.
"""

from __future__ import annotations

from collections.abc import Sequence

Item = bytes | list["Item"]
"""A decoded item: a byte string, or a list of items."""

MAX_DEPTH = 16
_SHORT = 55
_NUMBER = 32
"""Maximum length of a number in bytes."""
_LONG_LIST = 0xF7
"""Largest first byte of a list whose length is in that byte."""
_EMPTY_LIST = 0x40
"""Encoding of an empty list, less that of an empty byte string."""
_STRING_HEADS = tuple(bytes([0x80 + length]) for length in range(_SHORT + 1))


class RlpError(ValueError):
    """Raised for bytes that are not canonical RLP of the expected type."""


def encode(item: bytes | Sequence[Item]) -> bytes:
    """Encode a byte string or a list of items."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _head(0x80, len(item)) + item
    parts = []
    for part in item:
        if not isinstance(part, bytes):
            parts.append(encode(part))
        elif len(part) == 1 and part[0] < 0x80:
            parts.append(part)
        else:
            parts.append((_STRING_HEADS[len(part)] if len(part) <= _SHORT else _head(0x80, len(part))) + part)
    body = b"".join(parts)
    return _head(0xC0, len(body)) + body


def decode(data: bytes) -> Item:
    """Decode a single item. Raises RlpError for trailing bytes and non-canonical encodings."""
    item, end = _item(data, 0, len(data), MAX_DEPTH)
    if end != len(data):
        raise RlpError(f"{len(data) - end} trailing bytes after the item")
    return item


def number(value: int) -> bytes:
    """Return the byte string of a number."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def read_number(item: Item, length: int = 32) -> int:
    """Return the number in a byte string of at most `length` bytes. Raises RlpError."""
    data = item if isinstance(item, bytes) else read_bytes(item)
    if data[:1] == b"\0":
        raise RlpError(f"number 0x{data[:33].hex()} has leading zeros")
    if len(data) > length:
        raise RlpError(f"number has {len(data)} bytes, at most {length} are allowed")
    return int.from_bytes(data, "big")


def read_numbers(items: Sequence[Item]) -> list[int]:
    """Return the numbers in byte strings, each like `read_number`. Raises RlpError."""
    found = []
    for item in items:
        if not isinstance(item, bytes) or len(item) > _NUMBER or item[:1] == b"\0":
            read_number(item)
        else:
            found.append(int.from_bytes(item, "big"))
    return found


def without_last(data: bytes, items: Sequence[bytes]) -> bytes:
    """Return the encoding of a list without its last items; `data` is the list, in canonical form."""
    start = 1 if data[0] <= _LONG_LIST else 1 + data[0] - _LONG_LIST
    size = 0
    for item in items:
        size += 1 if len(item) == 1 and item < b"\x80" else 1 + len(item)
    body = data[start : len(data) - size]
    return _head(0xC0, len(body)) + body


def read_bytes(item: Item) -> bytes:
    """Return the item if it is a byte string. Raises RlpError."""
    if not isinstance(item, bytes):
        raise RlpError("expected a byte string, found a list")
    return item


def read_list(item: Item, length: int | None = None) -> list[Item]:
    """Return the item if it is a list, of exactly `length` items if given. Raises RlpError."""
    if not isinstance(item, list):
        raise RlpError("expected a list, found a byte string")
    if length is not None and len(item) != length:
        raise RlpError(f"expected a list of {length} items, found {len(item)}")
    return item


def _head(offset: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = number(length)
    return bytes([offset + _SHORT + len(size)]) + size


def _item(data: bytes, at: int, end: int, depth: int) -> tuple[Item, int]:
    """Return the item at a position before `end`, and the position after it."""
    if at >= end:
        raise RlpError("the item is truncated")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    offset = 0x80 if first < 0xC0 else 0xC0
    start, stop = _extent(data, at, end, first - offset)
    if offset == 0x80:
        if stop - start == 1 and data[start] < 0x80:
            raise RlpError("not canonical: a single byte below 0x80 must not have a head")
        return data[start:stop], stop
    if depth == 0:
        raise RlpError(f"lists are nested deeper than {MAX_DEPTH} levels")
    items: list[Item] = []
    while start < stop:
        short = data[start] - 0x80
        if short < 0:  # short items, the common case, are read without a function call
            items.append(data[start : start + 1])
            start += 1
        elif short != 1 and short <= _SHORT and start + short < stop:
            items.append(data[start + 1 : start + 1 + short])
            start += 1 + short
        elif short == _EMPTY_LIST and depth > 1:  # as most access lists
            items.append([])
            start += 1
        else:
            item, start = _item(data, start, stop, depth - 1)
            items.append(item)
    return items, stop


def _extent(data: bytes, at: int, end: int, length: int) -> tuple[int, int]:
    """Return the start and end of the content of the item at `at`."""
    start = at + 1
    if length > _SHORT:
        size = data[start : start + length - _SHORT]
        start += length - _SHORT
        if start > end:
            raise RlpError("the item is truncated")
        length = int.from_bytes(size, "big")
        if size[0] == 0 or length <= _SHORT:
            raise RlpError("not canonical: the length is not minimally encoded")
    if start + length > end:
        raise RlpError("the item is truncated")
    return start, start + length
