"""Dictionary of a fuzz or invariant test: values that conditions are likely to compare its inputs with.

Values come from sources (numbers and texts), from the state after `setUp` (addresses, slots, pushed words), and from
the runs (return data, events and storage writes). Which of these are used, and how many, are forge's settings.
values.py draws the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from random import Random
from typing import Final

from bridge.filecoin.receipts import entries_to_log
from fvm_hypervisor.soltest.call_outcome import CallOutcome
from fvm_hypervisor.soltest.project.project import DictionarySettings

MAX_WORDS: Final = 1 << 17
"""Maximum number of words in a dictionary, whatever the settings request (about 20 MB)."""
_MAX_FOUND: Final = 4096
"""Maximum number of words from runs."""
_MAX_OUTPUT: Final = 1024
"""Maximum number of bytes examined of return data or an event's data."""
_NEAR: Final = 0.25
"""Probability that a chosen word is changed."""
_BESIDE: Final = 0.7
"""Share of changed words that are incremented or decremented (off-by-one bounds); the others are inverted bitwise."""
_SHARP, _LITERALS, _FOUND, _STATE, _PUSHED = 3, 1, 2, 2, 3
"""Weights: numbers in both sources and code, all numbers in sources, words from runs, state, pushed words."""
_RECENT: Final = 8
"""Half of the draws from the runs' words choose from this many latest ones, which reflect the current state."""
_TRIES: Final = 2
"""Maximum number of draws to find a word that fits the type."""
_PUSH1, _PUSH32 = 0x60, 0x7F
_PLACE, _JUMPDEST = 2, b"\x5b"
_WORD: Final = 32
_TOP: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class StateWords:
    """State after `setUp`: addresses, words that each contract's code pushes, and storage slots with their values."""

    addresses: tuple[int, ...] = ()
    pushed_words: tuple[tuple[int, ...], ...] = ()
    storage: tuple[int, ...] = ()
    libraries: frozenset[bytes] = frozenset()
    """Addresses of linked libraries, which are no inputs."""


def no_enums(_name: str) -> int | None:
    """Return None, as for an enum that no source defines."""
    return None


@dataclass(frozen=True, slots=True)
class SourceLiterals:
    """Number and string literals of the sources, and their enums."""

    numbers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    enum_size: Callable[[str], int | None] = field(default=no_enums, compare=False)
    """Returns the number of members of an enum by its name in ABIs, or None."""


class Dictionary:
    """Words and texts to draw from. Words are grouped in pools, each drawn from according to its weight.

    This keeps the few numbers that conditions compare with from being outnumbered by thousands of pushed words.
    """

    def __init__(
        self,
        words: Iterable[int] = (),
        literals: Iterable[int] = (),
        texts: Iterable[str] = (),
        limit: int = MAX_WORDS,
        storage: bool = True,
        state: Iterable[int] = (),
        enum_size: Callable[[str], int | None] = no_enums,
        libraries: frozenset[bytes] = frozenset(),
    ) -> None:
        """Fill the pools: `words` are pushed by code, `state` are addresses and slots.

        `limit` is the maximum total number of words, including those added by runs.
        """
        self._literals = list(dict.fromkeys(literals))[:MAX_WORDS]
        self._texts = list(dict.fromkeys(texts))[:MAX_WORDS]
        self._state = list(islice(dict.fromkeys(state), limit))
        self._words = list(islice(dict.fromkeys(words), limit - len(self._state)))
        self._known = {*self._words, *self._state}
        self._sharp = [number for number in self._literals if number in self._known]
        self._found: list[int] = []
        self._max_found = min(_MAX_FOUND, limit - len(self._words) - len(self._state))
        self._pools = self._nonempty_pools()
        self.enum_size = enum_size
        self.libraries = libraries
        self.takes_storage = storage
        """True if storage slots that calls write are remembered."""

    @classmethod
    def of(cls, settings: DictionarySettings, state: StateWords, sources: SourceLiterals) -> Dictionary:
        """Return the dictionary of a test with these settings."""
        pushed = state.pushed_words[: settings.max_fuzz_dictionary_addresses] if settings.include_push_bytes else ()
        storage = state.storage if settings.include_storage else ()
        limit = settings.max_fuzz_dictionary_literals
        return cls(
            chain.from_iterable(pushed),
            sources.numbers[:limit],
            sources.texts[:limit],
            min(settings.max_fuzz_dictionary_values, MAX_WORDS),
            settings.include_storage,
            chain(state.addresses, storage),
            sources.enum_size,
            state.libraries,
        )

    def _nonempty_pools(self) -> list[list[int]]:
        """Return the pools that are not empty, each repeated by its weight."""
        weighted = (
            (_SHARP, self._sharp or self._literals), (_LITERALS, self._literals), (_FOUND, self._found),
            (_STATE, self._state), (_PUSHED, self._words),
        )  # fmt: skip
        return [pool for weight, pool in weighted if pool for _ in range(weight)]

    def add(self, word: int) -> None:
        """Remember a word from a run."""
        if len(self._found) < self._max_found and word not in self._known:
            self._known.add(word)
            self._found.append(word)
            if len(self._found) == 1:
                self._pools = self._nonempty_pools()

    def add_outcome(self, outcome: CallOutcome) -> None:
        """Remember what a call returned, emitted and wrote."""
        self._add_data(outcome.output)
        for event in outcome.events:
            log = entries_to_log(event.entries)
            if log is not None:
                for topic in log.topics[1:]:
                    self.add(int.from_bytes(topic, "big"))
                self._add_data(log.data)
        if self.takes_storage:
            for word in outcome.touched_words:
                self.add(word)

    def _add_data(self, data: bytes) -> None:
        for at in range(0, min(len(data), _MAX_OUTPUT) - _WORD + 1, _WORD):
            self.add(int.from_bytes(data[at : at + _WORD], "big"))

    def forget_runs(self) -> None:
        """Forget words from runs, since the next run starts from another state."""
        self._known.difference_update(self._found)
        self._found.clear()
        self._pools = self._nonempty_pools()

    def choose(self, rng: Random, top: int = _TOP) -> int | None:
        """Return a word or a variation of one, preferably below `top`; None if there are no words."""
        if not self._pools:
            return None
        for _ in range(_TRIES):
            pool = rng.choice(self._pools)
            if pool is self._found and rng.random() < 0.5:
                word = pool[-rng.randint(1, min(_RECENT, len(pool)))]
            else:
                word = rng.choice(pool)
            if word < top:
                break
        if rng.random() >= _NEAR:
            return word
        return (word + rng.choice((-1, 1)) if rng.random() < _BESIDE else ~word) % _TOP

    def choose_text(self, rng: Random) -> str | None:
        """Return a random text, or None if there are none."""
        return rng.choice(self._texts) if self._texts else None

    def __len__(self) -> int:
        return len(self._words) + len(self._state) + len(self._found)


def pushed_words(code: bytes) -> Iterator[int]:
    """Yield the words that code pushes, except jump targets: two bytes that point to a JUMPDEST."""
    at = 0
    while at < len(code):
        size = code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0
        if size:
            word = int.from_bytes(code[at + 1 : at + 1 + size], "big")
            if size != _PLACE or code[word : word + 1] != _JUMPDEST:
                yield word
        at += 1 + size
