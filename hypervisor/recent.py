"""A thread-safe LRU cache with a size limit."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """An LRU cache of values with sizes; the newest value stays even if it exceeds the limit alone."""

    __slots__ = ("_entries", "_lock", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and mark it as most recently used; None if it is not cached."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def keep(self, key: K, value: V, size: int) -> V:
        """Cache a value unless another thread did so first, and return the cached value."""
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                return known[0]
            self._entries[key] = value, size
            self._room -= size
            while self._room < 0 and len(self._entries) > 1:
                self._room += self._entries.popitem(last=False)[1][1]
        return value
