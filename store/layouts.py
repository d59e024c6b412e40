"""Advanced layouts by name: HAMT1 to HAMT8, AMT and KAMT5, with one interface for lookups and iteration.

Keys are bytes for the maps and an index for the array. Schemas (`advanced HAMT5`), paths and selectors use these names.
A digit after AMT is the bit width that its root must have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from store.blockstore import Blockstore
from store.cid import Cid
from store.trees.amt import MAX_INDEX, Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.nodes import MISSING

_NAME: Final = re.compile(r"(HAMT)([1-8])|(AMT)([1-8])?|(KAMT)5")


class LayoutError(ValueError):
    """Raised for an unknown layout, or for a key of the wrong type or length."""


class Layout:
    """An advanced layout by name. Raises LayoutError for an unknown name."""

    def __init__(self, name: str) -> None:
        match = _NAME.fullmatch(name)
        if match is None:
            raise LayoutError(f"unknown layout '{name}': expected HAMT1 to HAMT8, AMT or KAMT5")
        self.name = name
        self._kind = match[1] or match[3] or match[5]
        width = match[2] or match[4]
        self._width = None if width is None else int(width)

    @property
    def is_list(self) -> bool:
        """True if keys are indices and not bytes."""
        return self._kind == "AMT"

    def get(self, store: Blockstore, root: Cid, key: bytes | int) -> tuple[bool, Any]:
        """Return whether there is an entry, and its value.

        Raises LayoutError, BlockNotFound and TreeNodeError.
        """
        if isinstance(key, int):
            if not self.is_list:
                raise LayoutError(f"keys of {self.name} must be bytes, not numbers")
            if not 0 <= key <= MAX_INDEX:
                return False, None
            array = self._amt(store, root)
            return (key in array), array.get(key)
        if self.is_list:
            raise LayoutError(f"keys of {self.name} must be numbers, not bytes")
        if self._kind == "KAMT":
            return self._get_slot(store, root, key)
        tree = Hamt(store, root, self._bits)
        return (key in tree), tree.get(key)

    def items(
        self, store: Blockstore, root: Cid, after: bytes | int | None = None
    ) -> Iterator[tuple[bytes | int, Any]]:
        """Iterate over the entries in the order of the layout; with `after`, only those that follow this key.

        The key `after` need not be present. Raises LayoutError for a key of the wrong type.
        """
        if after is not None and isinstance(after, int) is not self.is_list:
            raise LayoutError(f"keys of {self.name} must be {'numbers' if self.is_list else 'bytes'}")
        if isinstance(after, int) or self.is_list:
            yield from self._amt(store, root).items(0 if after is None else int(after) + 1)
        elif self._kind == "HAMT":
            yield from Hamt(store, root, self._bits).items(after)
        else:
            for key, value in Kamt(store, root).items(0 if after is None else int.from_bytes(after, "big") + 1):
                yield _slot_bytes(key, 32), _slot_bytes(value)

    def differences(self, store: Blockstore, before: Cid, after: Cid) -> Iterator[tuple[bytes | int, Any, Any]]:
        """Iterate over (key, old value, new value) where two roots differ; an absent value is MISSING.

        Shared subtrees are not read.
        """
        if self.is_list:
            yield from self._amt(store, before).differences(self._amt(store, after))
        elif self._kind == "HAMT":
            yield from Hamt(store, before, self._bits).differences(Hamt(store, after, self._bits))
        else:
            for key, old, new in Kamt(store, before).differences(Kamt(store, after)):
                before_value, after_value = (MISSING if value == 0 else _slot_bytes(value) for value in (old, new))
                yield _slot_bytes(key, 32), before_value, after_value

    @property
    def _bits(self) -> int:
        return self._width or 5

    def _amt(self, store: Blockstore, root: Cid) -> Amt:
        return Amt(store, root, self._width)

    def _get_slot(self, store: Blockstore, root: Cid, key: bytes) -> tuple[bool, Any]:
        if len(key) > 32:
            raise LayoutError(f"keys of {self.name} must have at most 32 bytes, not {len(key)}")
        value = Kamt(store, root).get(int.from_bytes(key, "big"))
        return bool(value), _slot_bytes(value or 0)


def _slot_bytes(number: int, length: int | None = None) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 if length is None else length, "big")
