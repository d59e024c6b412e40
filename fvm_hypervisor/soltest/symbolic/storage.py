"""Storage of a contract: written words over the initial ones, with symbolic keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import z3

from fvm_hypervisor.soltest.symbolic.words import Condition, Word, choose, term

Same = Callable[[Word, Word], Condition]
"""Returns the condition under which two keys are equal."""


@dataclass(slots=True)
class Storage:
    """Words by key. `initial` are the words at the start of the test; with `array`, all other slots are symbolic."""

    initial: Mapping[int, int] = field(default_factory=dict)
    array: Any = None
    asked: list[Word] = field(default_factory=list)
    """Keys of the symbolic slots that were read, shared by all copies."""
    _written: dict[tuple[str, int], tuple[Word, Word]] = field(default_factory=dict)
    """Keys and words, oldest first, by the identity of the key."""

    def copy(self) -> Storage:
        """Return an independent copy."""
        return Storage(self.initial, self.array, self.asked, dict(self._written))

    def write(self, key: Word, word: Word) -> None:
        """Write a slot. An earlier word of the same key is dropped, since it cannot be read any more."""
        name = ("number", key) if isinstance(key, int) else ("term", key.get_id())
        self._written.pop(name, None)
        self._written[name] = (key, word)

    def read(self, key: Word, same: Same) -> Word:
        """Return the word of a slot: the newest one whose key may be equal, else an older one."""
        found: list[tuple[Condition, Word]] = []
        for written, word in reversed(self._written.values()):
            holds = same(key, written)
            if holds is True:
                return _chosen(found, word)
            if holds is not False:
                found.append((holds, word))
        return _chosen(found, self._initial(key, same))

    def _initial(self, key: Word, same: Same) -> Word:
        if self.array is not None:
            self.asked.append(key)
            return z3.Select(self.array, term(key))
        if isinstance(key, int):
            return self.initial.get(key, 0)
        found = [(same(key, slot), word) for slot, word in self.initial.items()]
        return _chosen([(holds, word) for holds, word in found if holds is not False], 0)


def _chosen(found: list[tuple[Condition, Word]], last: Word) -> Word:
    for holds, word in reversed(found):
        last = choose(holds, word, last)
    return last
