"""A mapping with a log of what it overwrote, so that nested transactions can take their writes back.

Marks are lengths of the log. The call manager opens a mark with each transaction and rolls back to it on failure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_Key = TypeVar("_Key", contravariant=True)

_ABSENT = object()


class _Get(Protocol[_Key, V]):
    def __call__(self, key: _Key, default: V | None = None, /) -> V | None: ...


class UndoMap(Generic[K, V]):
    """A dict whose writes since a mark can be undone."""

    __slots__ = ("_entries", "_log", "forget_log", "get", "mark")

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        """A map with some entries, which no rollback takes back."""
        self._entries: dict[K, V] = dict(entries or {})
        self._log: list[tuple[K, object]] = []
        self.get: _Get[K, V] = self._entries.get  # type: ignore[assignment]  # its overloads come to the same
        """The value under a key, else a default: the dict's own, because nothing is asked more often."""
        self.mark: Callable[[], int] = self._log.__len__
        """A point to roll back to."""
        self.forget_log: Callable[[], None] = self._log.clear
        """Make everything so far permanent; only outside any transaction."""

    def set(self, key: K, value: V) -> None:
        """Write, remembering what was there."""
        self._log.append((key, self._entries.get(key, _ABSENT)))
        self._entries[key] = value

    def set_all(self, entries: Iterable[tuple[K, V]]) -> None:
        """Write many, each as `set` does."""
        before, remember = self._entries.get, self._log.append
        for key, value in entries:
            remember((key, before(key, _ABSENT)))
            self._entries[key] = value

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def items(self) -> Iterator[tuple[K, V]]:
        """The entries in the order of first writing."""
        return iter(self._entries.items())

    def written_since(self, mark: int) -> Iterator[K]:
        """The keys that were written since `mark`, in the order of writing; a key comes as often as it was written."""
        return (self._log[at][0] for at in range(mark, len(self._log)))

    def rollback(self, mark: int) -> None:
        """Undo every write since `mark`."""
        while len(self._log) > mark:
            key, old = self._log.pop()
            if old is _ABSENT:
                del self._entries[key]
            else:
                self._entries[key] = old  # type: ignore[assignment]  # the log holds only values that were in the map

    def clear(self) -> None:
        """Drop entries and log."""
        self._entries.clear()
        self._log.clear()
