"""RLP, the encoding of Ethereum's transactions: byte strings and lists of them, in their one canonical form.

Rules: Ethereum yellow paper, appendix B. Numbers are big-endian byte strings without leading zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

Item = bytes | list["Item"]
"""A decoded item: a byte string, or a list of items."""

MAX_DEPTH = 16
_SHORT = 55
_STRING_HEADS = tuple(bytes([0x80 + length]) for length in range(_SHORT + 1))


class RlpError(ValueError):
    """Bytes that are not the canonical RLP of what was asked for."""


def encode(item: bytes | Sequence[Item]) -> bytes:
    """The encoding of a byte string or of a list of items."""
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
    """The one item that `data` is; RlpError for bytes left over and for every form but the shortest."""
    item, end = _item(data, 0, len(data), MAX_DEPTH)
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes behind the item")
    return item


def number(value: int) -> bytes:
    """The byte string of a number."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def read_number(item: Item, length: int = 32) -> int:
    """The number in a byte string of at most `length` bytes; RlpError."""
    data = item if isinstance(item, bytes) else read_bytes(item)
    if data[:1] == b"\0":
        raise RlpError(f"number 0x{data[:33].hex()} has leading zeros")
    if len(data) > length:
        raise RlpError(f"number of {len(data)} bytes, at most {length}")
    return int.from_bytes(data, "big")


def read_bytes(item: Item) -> bytes:
    """The item as a byte string; RlpError."""
    if not isinstance(item, bytes):
        raise RlpError("a list where a byte string is expected")
    return item


def read_list(item: Item, length: int | None = None) -> list[Item]:
    """The item as a list, of exactly `length` items where that is given; RlpError."""
    if not isinstance(item, list):
        raise RlpError("a byte string where a list is expected")
    if length is not None and len(item) != length:
        raise RlpError(f"a list of {len(item)} items where {length} are expected")
    return item


def _head(offset: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = number(length)
    return bytes([offset + _SHORT + len(size)]) + size


def _item(data: bytes, at: int, end: int, depth: int) -> tuple[Item, int]:
    """The item at a position and the position after it, all before `end`."""
    if at >= end:
        raise RlpError("the item is cut short")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    offset = 0x80 if first < 0xC0 else 0xC0
    start, stop = _extent(data, at, end, first - offset)
    if offset == 0x80:
        if stop - start == 1 and data[start] < 0x80:
            raise RlpError("a single byte below 0x80 with a head of its own")
        return data[start:stop], stop
    if depth == 0:
        raise RlpError(f"lists nest deeper than {MAX_DEPTH}")
    items: list[Item] = []
    while start < stop:
        short = data[start] - 0x80
        if short < 0:  # what most items of a transaction are is read without a call
            items.append(data[start : start + 1])
            start += 1
        elif short != 1 and short <= _SHORT and start + short < stop:
            items.append(data[start + 1 : start + 1 + short])
            start += 1 + short
        else:
            item, start = _item(data, start, stop, depth - 1)
            items.append(item)
    return items, stop


def _extent(data: bytes, at: int, end: int, length: int) -> tuple[int, int]:
    """Where the content of the item at `at` starts and stops."""
    start = at + 1
    if length > _SHORT:
        size = data[start : start + length - _SHORT]
        start += length - _SHORT
        if start > end:
            raise RlpError("the item is cut short")
        length = int.from_bytes(size, "big")
        if size[0] == 0 or length <= _SHORT:
            raise RlpError("a length that is not written in its shortest form")
    if start + length > end:
        raise RlpError("the item is cut short")
    return start, start + length
