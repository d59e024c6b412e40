"""A mapping with an undo log, so that nested transactions can roll back their writes.

Marks are lengths of the log. The call manager takes a mark for each transaction and rolls back to it on failure.
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
        """Create a map with initial entries, which no rollback removes."""
        self._entries: dict[K, V] = dict(entries or {})
        self._log: list[tuple[K, object]] = []
        self.get: _Get[K, V] = self._entries.get  # type: ignore[assignment]  # its overloads are equivalent
        """Return the value under a key, or a default; the dict's own method, since this is the hottest operation."""
        self.mark: Callable[[], int] = self._log.__len__
        """Return a checkpoint for `rollback`."""
        self.forget_log: Callable[[], None] = self._log.clear
        """Make all writes permanent; only outside transactions."""

    def set(self, key: K, value: V) -> None:
        """Write a value, and log the previous one."""
        self._log.append((key, self._entries.get(key, _ABSENT)))
        self._entries[key] = value

    def set_all(self, entries: Iterable[tuple[K, V]]) -> None:
        """Write several values, each like `set`."""
        before, remember = self._entries.get, self._log.append
        for key, value in entries:
            remember((key, before(key, _ABSENT)))
            self._entries[key] = value

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def items(self) -> Iterator[tuple[K, V]]:
        """Iterate over the entries in the order of first writing."""
        return iter(self._entries.items())

    def changed_since(self, mark: int) -> Iterator[K]:
        """Iterate over the keys written since `mark`, in order and with repetitions."""
        return (self._log[at][0] for at in range(mark, len(self._log)))

    def rollback(self, mark: int) -> None:
        while len(self._log) > mark:
            key, old = self._log.pop()
            if old is _ABSENT:
                del self._entries[key]
            else:
                self._entries[key] = old  # type: ignore[assignment]  # the log contains only previous values of the map

    def begin(self, entries: Iterable[tuple[K, V]]) -> None:
        """Replace everything by initial entries, which no rollback removes."""
        self.clear()
        self._entries.update(entries)

    def clear(self) -> None:
        """Remove all entries and the log."""
        self._entries.clear()
        self._log.clear()
