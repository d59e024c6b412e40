"""Limits the decoded size of ABI-encoded data before the data are decoded.

Offsets may point anywhere, so values may share bytes. For example, ten lists that each contain the same ten lists,
eight levels deep, encode a hundred million numbers in 2 KB. Compilers do not produce such data. Only the size is
checked here; the decoder checks that values are well-formed (`bridge.abi.abi`). Source: the Solidity ABI specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_UNFOLD_RATIO: Final = 4
"""Maximum ratio of the decoded size to the size of the data; small overlaps are harmless."""

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class _Shape:
    """Layout of a type's encoding; `head` is its size in bytes in the enclosing head.

    `parts` are the types of a tuple, or the item type of a list; `length` is that of a fixed-size list, else None.
    """

    head: int
    dynamic: bool
    parts: tuple[_Shape, ...] = ()
    is_list: bool = False
    length: int | None = None


def check_unfolding(items: Sequence[Mapping[str, Any]], data: bytes) -> None:
    """Raise ValueError if ABI items exceed their data, or are much larger than it when decoded."""
    walk = _Walk(data, MAX_UNFOLD_RATIO * len(data))
    walk.parts([_shape(item["type"], item) for item in items], 0)


def _shape(kind: str, item: Mapping[str, Any]) -> _Shape:
    if kind.endswith("]"):
        inner, _, digits = kind[:-1].rpartition("[")
        return _list(_shape(inner, item), int(digits) if digits else None)
    if kind == "tuple":
        parts = tuple(_shape(part["type"], part) for part in item["components"])
        dynamic = any(part.dynamic for part in parts)
        return _Shape(_WORD if dynamic else sum(part.head for part in parts), dynamic, parts)
    return _Shape(_WORD, kind in ("bytes", "string"))


def _list(item: _Shape, length: int | None) -> _Shape:
    dynamic = length is None or item.dynamic
    return _Shape(_WORD if dynamic else item.head * (length or 0), dynamic, (item,), True, length)


class _Walk:
    """Counts the bytes that a decoder would read, up to the limit."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = data
        self._remaining = limit

    def parts(self, shapes: Sequence[_Shape], start: int) -> None:
        """Count values with consecutive heads; offsets are relative to the first one."""
        at = start
        for shape in shapes:
            self._value(shape, at, start)
            at += shape.head

    def _value(self, shape: _Shape, at: int, base: int) -> None:
        if not shape.dynamic:
            self._take(at, shape.head)
            return
        start = base + self._number(at)
        if shape.is_list:
            self._list(shape, start)
        elif shape.parts:
            self.parts(shape.parts, start)
        else:
            self._take(start + _WORD, self._number(start))

    def _list(self, shape: _Shape, start: int) -> None:
        (item,) = shape.parts
        length, first = (shape.length, start) if shape.length is not None else (self._number(start), start + _WORD)
        if not item.dynamic:
            self._take(first, length * item.head)
            return
        if first + length * _WORD > len(self._data):
            raise ValueError("the list has more items than the data can hold")
        for index in range(length):
            self._value(item, first + index * _WORD, first)

    def _number(self, at: int) -> int:
        self._take(at, _WORD)
        return int.from_bytes(self._data[at : at + _WORD], "big")

    def _take(self, at: int, count: int) -> None:
        if at + count > len(self._data):
            raise ValueError(f"{count} bytes at offset {at} exceed the {len(self._data)} bytes of data")
        self._remaining -= count
        if self._remaining < 0:
            raise ValueError(f"overlapping values: the decoded size exceeds {MAX_UNFOLD_RATIO} times the data")
