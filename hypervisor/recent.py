"""A cache of a bounded size that drops what was used longest ago. It may serve several threads."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, each with a size, as many as fit; the newest stays whatever its size."""

    __slots__ = ("_entries", "_lock", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which now is the one used last; None where there is none (any more)."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def keep(self, key: K, value: V, size: int) -> V:
        """Keep a value unless another thread was faster; the value that is kept."""
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                return known[0]
            self._entries[key] = value, size
            self._room -= size
            while self._room < 0 and len(self._entries) > 1:
                self._room += self._entries.popitem(last=False)[1][1]
        return value
