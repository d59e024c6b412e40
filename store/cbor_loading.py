"""CBOR decoding with cbor2 6, or with cbor2 5 and the same results.

cbor2 6 takes decoders for tags and a nesting limit. cbor2 5 takes neither, so its input is checked first, in Python.
Packages such as vyper require cbor2 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

import cbor2
from cbor2 import loads

TAKES_LIMITS: Final = hasattr(cbor2, "shareable_decoder")
"""True under cbor2 6, whose `loads` takes `semantic_decoders` and `max_depth`."""

FOREIGN_TAGS: Final = frozenset(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
)
"""Tags that cbor2 decodes to other types: dates, bignums, shared references, patterns, sets and so on."""

_BREAK: Final = 0xFF
_INDEFINITE: Final = 1 << 70
"""Value of `left` for an array or string of indefinite length; larger than the number of items in any input."""
_INDEFINITE_MAP: Final = 1 << 72
"""Value of `left` for a map of indefinite length.

It counts keys and values, so it is odd after a key without a value.
"""


class LoadingError(ValueError):
    """Raised for a disallowed tag, too many nesting levels, or a break or simple value that is not well-formed."""


def loader(max_depth: int) -> Callable[[bytes], Any]:
    """Return a function that decodes the first CBOR item of its argument.

    The function raises ValueError, OverflowError or CBORDecodeError. It rejects tags in `FOREIGN_TAGS` and more than
    `max_depth` levels of arrays, maps and tags.
    """
    if TAKES_LIMITS:
        refused = {tag: partial(_refuse_tag, tag) for tag in FOREIGN_TAGS}
        return partial(loads, semantic_decoders=refused, max_depth=max_depth)

    def load(data: bytes) -> Any:
        check(data, max_depth)
        return loads(data)

    return load


def check(data: bytes, max_depth: int) -> None:
    """Raise LoadingError if cbor2 5 accepts the first item of `data` and cbor2 6 refuses it.

    Input that both versions reject, such as a truncated item, may pass.
    """
    position, end = 0, len(data)
    outer: list[int] = []
    """Number of items left in each enclosing container."""
    left = 1
    while True:
        while left == 0:
            if not outer:
                return
            left = outer.pop()
        if position >= end:
            return
        head = data[position]
        if head == _BREAK and left > _INDEFINITE // 2:
            if left > _INDEFINITE and left % 2:
                raise LoadingError("a map ends after a key")
            left = 0
            position += 1
            continue
        left -= 1
        size = _SIZES[head]
        if size:
            position += size
            continue
        argument, position = _argument(data, position)
        major = head >> 5
        if major in (2, 3) and argument != _INDEFINITE:
            position += argument
            continue
        if major == 6 and argument in FOREIGN_TAGS:
            _refuse_tag(argument)
        if major == 7:
            if argument < 32 or argument == _INDEFINITE:
                raise LoadingError("a break or a simple value is not well-formed")
            continue
        outer.append(left)
        left = _items(major, argument)
        if major > 3 and len(outer) > max_depth:
            raise LoadingError(f"more than {max_depth} levels of arrays, maps and tags")


def _items(major: int, argument: int) -> int:
    """Return the number of items in an array, a map, a tag, or a string in parts."""
    if major == 6:
        return 1
    if major == 5:
        return _INDEFINITE_MAP if argument == _INDEFINITE else 2 * argument
    return argument


def _argument(data: bytes, position: int) -> tuple[int, int]:
    """Return the argument of the head at `position`, and the position after the head."""
    information = data[position] & 31
    position += 1
    if information < 24:
        return information, position
    if information == 31:
        return _INDEFINITE, position
    end = position + (1 << (information & 3))
    return int.from_bytes(data[position:end]), end


def _size(head: int) -> int:
    """Return the encoded size of an item without nested items, or 0 if its first byte does not determine it."""
    major, information = head >> 5, head & 31
    if major in (2, 3) and information < 24:
        return 1 + information
    if major in (0, 1) or (major == 7 and information not in (24, 31)):
        return 1 + (1 << (information - 24) if 24 <= information < 28 else 0)
    return 0


def _refuse_tag(tag: int, *_: object) -> NoReturn:
    raise LoadingError(f"tag {tag} is not allowed: DAG-CBOR has only tag 42")


_SIZES: Final = bytes(_size(head) for head in range(256))
