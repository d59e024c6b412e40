"""How much ABI-encoded data unfold to, found out before anything is made of them.

An offset may point anywhere, so values may share their bytes: in 2 KB each of ten lists can hold the same ten lists,
eight levels deep, which are a hundred million numbers. No compiler writes such data; what one writes is read once.
Of shapes other than that nothing is refused here: whether values are well-formed is the decoder's business
(`bridge.abi`). Rules: the Solidity ABI specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNFOLDS: Final = 4
"""Data may unfold to this multiple of their size: a little sharing does no harm."""

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a type's encoding looks like. `head`: its bytes in the head of what it is a part of.

    `parts`: of a tuple its types, of a list the type of its items; `length`: of a list, None where the data say it.
    """

    head: int
    dynamic: bool
    parts: tuple[_Shape, ...] = ()
    is_list: bool = False
    length: int | None = None


def check_unfolding(items: Sequence[Mapping[str, Any]], data: bytes) -> None:
    """ValueError unless values of the types of an ABI's items are about as large as their data, and within them."""
    walk = _Walk(data, UNFOLDS * len(data))
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
    """Counts the bytes that a decoder would read, and stops where they become too many."""

    def __init__(self, data: bytes, room: int) -> None:
        self._data = data
        self._room = room

    def parts(self, shapes: Sequence[_Shape], start: int) -> None:
        """Values whose heads follow each other; offsets count from the first one."""
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
            raise ValueError("more items than there can be")
        for place in range(length):
            self._value(item, first + place * _WORD, first)

    def _number(self, at: int) -> int:
        self._take(at, _WORD)
        return int.from_bytes(self._data[at : at + _WORD], "big")

    def _take(self, at: int, count: int) -> None:
        if at + count > len(self._data):
            raise ValueError(f"{count} bytes from byte {at} on, of {len(self._data)}")
        self._room -= count
        if self._room < 0:
            raise ValueError(f"values that share their bytes: more than {UNFOLDS} times the data")
