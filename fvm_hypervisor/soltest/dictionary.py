"""The interesting values of a fuzz or invariant test: what conditions are likely to compare its inputs with.

From sources (numbers and texts), from the state after `setUp` (addresses, slots, words that code pushes), and from the
runs themselves (what calls return, emit and write). Which of these, and how many: forge's settings. Values themselves
are drawn in values.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from random import Random
from typing import Final

from bridge.events import entries_to_log
from fvm_hypervisor.soltest.project import DictionarySettings
from fvm_hypervisor.soltest.world import CallOutcome

MOST_WORDS: Final = 1 << 17
"""Words of a dictionary, whatever the settings ask for: some twenty megabytes."""
_MOST_FOUND: Final = 4096
"""Of them words that were seen in runs."""
_MOST_OUTPUT: Final = 1024
"""Bytes of an answer, or of an event's data, that are looked at."""
_NEAR: Final = 0.25
"""The share of words that are not drawn as they are."""
_BESIDE: Final = 0.7
"""Of those the share that has one more or less, since bounds are missed by one; of the others all bits are turned."""
_SHARP, _LITERALS, _FOUND, _STATE, _PUSHED = 3, 1, 2, 2, 3
"""Weights: numbers in both sources and code, all numbers in sources, words seen in runs, state, pushed words."""
_RECENT: Final = 8
"""Half of the draws from words seen in runs take one of this many latest, which reflect the current state."""
_TRIES: Final = 2
"""Draws until a word fits the type that it is for."""
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
    """Words and texts to draw from. Words lie in wells, each of which is drawn from as often as its weight says.

    So the few numbers that conditions compare with are not lost among the thousands that code pushes.
    """

    def __init__(
        self,
        words: Iterable[int] = (),
        literals: Iterable[int] = (),
        texts: Iterable[str] = (),
        most: int = MOST_WORDS,
        storage: bool = True,
        state: Iterable[int] = (),
    ) -> None:
        """`words` are those that code pushes, `state` are addresses and slots; `most` of both and of what runs add."""
        self._literals = list(dict.fromkeys(literals))[:MOST_WORDS]
        self._texts = list(dict.fromkeys(texts))[:MOST_WORDS]
        self._state = list(islice(dict.fromkeys(state), most))
        self._words = list(islice(dict.fromkeys(words), most - len(self._state)))
        self._known = {*self._words, *self._state}
        self._sharp = [number for number in self._literals if number in self._known]
        self._found: list[int] = []
        self._most_found = min(_MOST_FOUND, most - len(self._words) - len(self._state))
        self._wells = self._full_wells()
        self.takes_storage = storage
        """Whether slots that calls write are remembered."""

    @classmethod
    def of(cls, settings: DictionarySettings, state: StateWords, sources: SourceLiterals) -> Dictionary:
        """That of a test with these settings."""
        pushed = state.pushed[: settings.max_fuzz_dictionary_addresses] if settings.include_push_bytes else ()
        storage = state.storage if settings.include_storage else ()
        most = settings.max_fuzz_dictionary_literals
        return cls(
            chain.from_iterable(pushed),
            sources.numbers[:most],
            sources.texts[:most],
            min(settings.max_fuzz_dictionary_values, MOST_WORDS),
            settings.include_storage,
            chain(state.addresses, storage),
        )

    def _full_wells(self) -> list[list[int]]:
        """Wells that are not empty, each as often as its weight."""
        weighted = (
            (_SHARP, self._sharp or self._literals), (_LITERALS, self._literals), (_FOUND, self._found),
            (_STATE, self._state), (_PUSHED, self._words),
        )  # fmt: skip
        return [well for weight, well in weighted if well for _ in range(weight)]

    def add(self, word: int) -> None:
        """Remember a word of a run."""
        if len(self._found) < self._most_found and word not in self._known:
            self._known.add(word)
            self._found.append(word)
            if len(self._found) == 1:
                self._wells = self._full_wells()

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
        """Forget words seen in runs: the next run begins from another state."""
        self._known.difference_update(self._found)
        self._found.clear()
        self._wells = self._full_wells()

    def choose(self, rng: Random, top: int = _TOP) -> int | None:
        """One of the words, or a neighbour of one; mostly one below `top`, if there are such."""
        if not self._wells:
            return None
        for _ in range(_TRIES):
            well = rng.choice(self._wells)
            if well is self._found and rng.random() < 0.5:
                word = well[-rng.randint(1, min(_RECENT, len(well)))]
            else:
                word = rng.choice(well)
            if word < top:
                break
        if rng.random() >= _NEAR:
            return word
        return (word + rng.choice((-1, 1)) if rng.random() < _BESIDE else ~word) % _TOP

    def choose_text(self, rng: Random) -> str | None:
        """One of the texts."""
        return rng.choice(self._texts) if self._texts else None

    def __len__(self) -> int:
        return len(self._words) + len(self._state) + len(self._found)


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
