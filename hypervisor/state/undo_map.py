"""Mappings with an undo log, so that nested transactions can roll back their writes; and a message's runtime state.

Marks are lengths of the log. The call manager takes a mark for each transaction and rolls back to it on failure.
Runtime state has the lifetime of a message and is rolled back together with the calls that wrote it: the EVM's warm
sets, original values, refunds, and created and touched accounts.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

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

    def before(self, mark: int, absent: V) -> Iterator[tuple[K, V]]:
        """Iterate over the writes since `mark`, in order: each key with its earlier value, or `absent`."""
        for key, old in self._log[mark:]:
            yield key, absent if old is _ABSENT else old  # type: ignore[misc]  # previous values of the map

    def rollback(self, mark: int) -> None:
        while len(self._log) > mark:
            key, old = self._log.pop()
            if old is _ABSENT:
                del self._entries[key]
            else:
                self._entries[key] = old  # type: ignore[assignment]  # the log contains only previous values of the map

    def clear(self) -> None:
        """Remove all entries and the log."""
        self._entries.clear()
        self._log.clear()


_TAKEN: Final = "taken"
"""Key that `take_changes` writes; its value is always None."""


class Journal:
    """A map with the lifetime of one message. Values must be immutable: only `set` can be undone."""

    __slots__ = ("_checkpoints", "_entries", "get", "mark", "set", "set_all")

    def __init__(self) -> None:
        self._entries: UndoMap[Hashable, Any] = UndoMap()
        self._checkpoints: dict[str, list[int]] = {}
        """Marks of `take_changes` calls by purpose; a rollback removes those above its mark."""
        self.get: Callable[..., Any] = self._entries.get
        """Return the value under a key (by convention a tuple starting with the runtime's name), or a default."""
        self.set: Callable[[Hashable, Any], None] = self._entries.set
        """Write a value; undone if the call that wrote it fails."""
        self.set_all: Callable[[Iterable[tuple[Hashable, Any]]], None] = self._entries.set_all
        """Write several values, each like `set`."""
        self.mark = self._entries.mark
        """Checkpoint to roll back to."""

    def items(self) -> Iterator[tuple[Hashable, Any]]:
        """Iterate over the entries in the order of first writing."""
        return self._entries.items()

    def image(self) -> dict[Hashable, Any]:
        """Return a copy of all entries, to restore with `restore_image`."""
        return dict(self._entries.items())

    def restore_image(self, image: Mapping[Hashable, Any]) -> None:
        """Restore an image; other keys become None. Undone like any other write."""
        for key in [key for key, _ in self._entries.items() if key not in image]:
            self._entries.set(key, None)
        for key, value in image.items():
            self._entries.set(key, value)

    def take_changes(self, purpose: str) -> list[Hashable]:
        """Return the keys written since the last call for this purpose, each once.

        A rollback also undoes this call: the next call returns these keys again.
        """
        marks = self._checkpoints.setdefault(purpose, [])
        written = dict.fromkeys(self._entries.changed_since(marks[-1] if marks else 0))
        written.pop(_TAKEN, None)
        self._entries.set(_TAKEN, None)  # so that the mark is above that of a call which has just begun
        marks.append(self.mark())
        return list(written)

    def rollback(self, mark: int) -> None:
        """Undo every write since the mark."""
        for marks in self._checkpoints.values():
            while marks and marks[-1] > mark:
                marks.pop()
        self._entries.rollback(mark)
