"""State of a runtime that lives exactly as long as a message, and is taken back with the calls that wrote it.

Warm sets, original values, refunds, created and touched accounts of the EVM live here and nowhere else.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final

from hypervisor.undo_map import UndoMap

_TAKEN: Final = "taken"
"""The key that `take_written` writes, always None."""


class Journal:
    """Keys and values in the scope of one message. Values must be immutable: only `set` can be undone."""

    __slots__ = ("_checkpoints", "_entries", "get", "mark", "set", "set_all")

    def __init__(self) -> None:
        self._entries: UndoMap[Hashable, Any] = UndoMap()
        self._checkpoints: dict[str, list[int]] = {}
        """The marks at which `take_written` was asked, by what for; a rollback takes back those above its mark."""
        self.get: Callable[..., Any] = self._entries.get
        """The value under a key (by convention a tuple that starts with the runtime's name), else a default."""
        self.set: Callable[[Hashable, Any], None] = self._entries.set
        """Write a value, undone if the call that wrote it fails."""
        self.set_all: Callable[[Iterable[tuple[Hashable, Any]]], None] = self._entries.set_all
        """Write many values, each as `set` does."""
        self.mark = self._entries.mark
        """A point to roll back to."""

    def items(self) -> Iterator[tuple[Hashable, Any]]:
        """Every entry, in the order of first writing."""
        return self._entries.items()

    def image(self) -> dict[Hashable, Any]:
        """Every entry as it is now, to come back to with `go_back_to`."""
        return dict(self._entries.items())

    def go_back_to(self, image: Mapping[Hashable, Any]) -> None:
        """Write what an image holds, None under every other key: a change like any other, undone as those are."""
        for key in [key for key, _ in self._entries.items() if key not in image]:
            self._entries.set(key, None)
        for key, value in image.items():
            self._entries.set(key, value)

    def take_written(self, purpose: str) -> list[Hashable]:
        """The keys that were written since this was asked last for a purpose, each once.

        A rollback takes back this question with the writes before it: they are the next one's again.
        """
        marks = self._checkpoints.setdefault(purpose, [])
        written = dict.fromkeys(self._entries.written_since(marks[-1] if marks else 0))
        written.pop(_TAKEN, None)
        self._entries.set(_TAKEN, None)  # so that its mark lies above that of a call which began just before
        marks.append(self.mark())
        return list(written)

    def rollback(self, mark: int) -> None:
        """Undo every write since the mark."""
        for marks in self._checkpoints.values():
            while marks and marks[-1] > mark:
                marks.pop()
        self._entries.rollback(mark)
