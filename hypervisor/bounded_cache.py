"""A thread-safe LRU cache with a limit on the total size of its values."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """An LRU cache of values with sizes. Its lock is held during lookups, not while a value is computed."""

    __slots__ = ("_entries", "_free", "_limit", "_lock")

    def __init__(self, limit: int) -> None:
        """Create a cache; `limit` is the maximum total size, in the unit of the sizes."""
        self._limit = self._free = limit
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

    def setdefault(self, key: K, value: V, size: int) -> V:
        """Cache a value unless another thread did so first, and return the cached value.

        The value stays even if it exceeds the limit alone.
        """
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                return known[0]
            self._entries[key] = value, size
            self._free -= size
            while self._free < 0 and len(self._entries) > 1:
                self._free += self._entries.popitem(last=False)[1][1]
        return value

    def put(self, key: K, value: V, size: int) -> None:
        """Cache a value in place of an older one; a value above the limit is not cached."""
        with self._lock:
            older = self._entries.pop(key, None)
            if older is not None:
                self._free += older[1]
            if size > self._limit:
                return
            self._entries[key] = value, size
            self._free -= size
            while self._free < 0:
                self._free += self._entries.popitem(last=False)[1][1]
