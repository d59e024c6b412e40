"""The interesting values of a fuzz or invariant test: what conditions are likely to compare its inputs with.

From sources (numbers and texts), from the state after `setUp` (addresses, slots, words that code pushes), and from the
runs themselves (what calls return, emit and write). Which of these, and how many: forge's settings. Values themselves
are drawn in values.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from random import Random
from typing import Final

from bridge.events import entries_to_log
from devtools.soltest.project import DictionarySettings
from devtools.soltest.world import CallOutcome

MOST_WORDS: Final = 1 << 17
"""Words of a dictionary, whatever the settings ask for: some twenty megabytes."""
_MOST_FOUND: Final = 4096
"""Of them words that runs have come to."""
_MOST_OUTPUT: Final = 1024
"""Bytes of an answer, or of an event's data, that are looked at."""
_NEAR: Final = 0.2
"""The share of words from which one is taken away, or to which it is added: bounds are missed by one."""
_PUSH1, _PUSH32 = 0x60, 0x7F
_PLACE, _JUMPDEST = 2, b"\x5b"
_WORD: Final = 32
_TOP: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class StateWords:
    """What is there after `setUp`: addresses, the words that each contract's code pushes, slots with their words."""

    addresses: tuple[int, ...] = ()
    pushed: tuple[tuple[int, ...], ...] = ()
    storage: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceLiterals:
    """Numbers and texts that sources mention."""

    numbers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


class Dictionary:
    """Words and texts to draw from: half of the words are the sources' numbers, where there are some.

    Of the others half are what the runs have come to.
    """

    def __init__(
        self,
        words: Iterable[int] = (),
        literals: Iterable[int] = (),
        texts: Iterable[str] = (),
        most: int = MOST_WORDS,
        storage: bool = True,
    ) -> None:
        self._literals = list(dict.fromkeys(literals))[:MOST_WORDS]
        self._texts = list(dict.fromkeys(texts))[:MOST_WORDS]
        self._words = list(islice(dict.fromkeys(words), most))
        self._known = set(self._words)
        self._found: list[int] = []
        self._most_found = min(_MOST_FOUND, most - len(self._words))
        self.takes_storage = storage
        """Whether slots that calls write are remembered."""

    @classmethod
    def of(cls, settings: DictionarySettings, state: StateWords, sources: SourceLiterals) -> Dictionary:
        """That of a test with these settings."""
        pushed = state.pushed[: settings.max_fuzz_dictionary_addresses] if settings.include_push_bytes else ()
        storage = state.storage if settings.include_storage else ()
        most = settings.max_fuzz_dictionary_literals
        return cls(
            chain(state.addresses, storage, *pushed),
            sources.numbers[:most],
            sources.texts[:most],
            min(settings.max_fuzz_dictionary_values, MOST_WORDS),
            settings.include_storage,
        )

    def add(self, word: int) -> None:
        """Remember a word of a run."""
        if len(self._found) < self._most_found and word not in self._known:
            self._known.add(word)
            self._found.append(word)

    def add_outcome(self, outcome: CallOutcome) -> None:
        """Remember what a call has returned, emitted and written."""
        self._add_data(outcome.output)
        for event in outcome.events:
            log = entries_to_log(event.entries)
            if log is not None:
                for topic in log.topics[1:]:
                    self.add(int.from_bytes(topic, "big"))
                self._add_data(log.data)
        if self.takes_storage:
            for word in outcome.written:
                self.add(word)

    def _add_data(self, data: bytes) -> None:
        for at in range(0, min(len(data), _MOST_OUTPUT) - _WORD + 1, _WORD):
            self.add(int.from_bytes(data[at : at + _WORD], "big"))

    def forget_runs(self) -> None:
        """Forget what runs have come to: the next one begins elsewhere."""
        self._known.difference_update(self._found)
        self._found.clear()

    def choose(self, rng: Random) -> int | None:
        """One of the words, or a neighbour of one."""
        row: Sequence[int] = self._words
        if self._literals and (not (self._words or self._found) or rng.random() < 0.5):
            row = self._literals
        elif self._found and (not self._words or rng.random() < 0.5):
            row = self._found
        if not row:
            return None
        word = rng.choice(row)
        return (word + rng.choice((-1, 1))) % _TOP if rng.random() < _NEAR else word

    def choose_text(self, rng: Random) -> str | None:
        """One of the texts."""
        return rng.choice(self._texts) if self._texts else None

    def __len__(self) -> int:
        return len(self._words) + len(self._found)


def pushed(code: bytes) -> Iterator[int]:
    """The words that code pushes, but for places in it: two bytes that name a JUMPDEST."""
    at = 0
    while at < len(code):
        size = code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0
        if size:
            word = int.from_bytes(code[at + 1 : at + 1 + size], "big")
            if size != _PLACE or code[word : word + 1] != _JUMPDEST:
                yield word
        at += 1 + size
