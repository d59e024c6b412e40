"""A cache of what was read and decoded, within a bound of memory, for threads that read at the same time."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """A cache that evicts the oldest entries first. Its lock is held during lookups, not while a value is computed."""

    def __init__(self, most: int) -> None:
        """Create a cache; `most` is the maximum total weight, in the unit of `keep`: bytes, or a number of values."""
        self._most = most
        self._held = 0
        self._kept: dict[K, tuple[V, int]] = {}
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Total weight of the values."""
        return self._held

    def get(self, key: K) -> V | None:
        """Return the value of a key, None if it is not cached."""
        with self._lock:
            found = self._kept.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Add a value with a weight, evicting others if necessary; a value above the maximum is not added."""
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self._held -= before[1]
            if weight > self._most:
                return
            self._kept[key] = value, weight
            self._held += weight
            while self._held > self._most:
                self._held -= self._kept.pop(next(iter(self._kept)))[1]
