"""A corpus: inputs that came over edges which none before had come over, kept in memory and on disk, and changed.

With `corpus_dir` a fuzz or invariant test begins with what its folder has, and most of its inputs are changed ones of
the corpus (mutations.py). The seed and the folder's inputs decide every run. Keys and their defaults: the Foundry
book; files: corpus_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, TypeVar

from devtools.soltest.edges import EdgeMap, EdgeTracer
from devtools.soltest.project import CorpusSettings
from hypervisor.machine import Hypervisor

CHANGED_INPUTS: Final = 0.7
"""The share of a fuzz test's inputs that are made of the corpus."""
CHANGED_SEQUENCES: Final = 0.3
"""That of sequences, of which others begin with calls that came to a new state."""
_NEWEST: Final = 0.5
"""The share of draws that take the newest input, which mostly came furthest."""
_MOST: Final = 1024
"""Inputs in memory, as far as they were changed often enough to be left."""

Input = TypeVar("Input")


@dataclass(slots=True)
class CorpusInput(Generic[Input]):
    """An input with how often it was changed since something new came of it."""

    input: Input
    changes: int = 0


@dataclass(slots=True)
class Corpus(Generic[Input]):
    """The inputs of one test. `write` keeps one on disk."""

    settings: CorpusSettings
    machine: Hypervisor
    share: float
    """Of inputs that are made of it."""
    write: Callable[[Input], None]
    edges: EdgeMap = field(default_factory=EdgeMap)
    _kept: list[CorpusInput[Input]] = field(default_factory=list)
    _tracer: EdgeTracer | None = None

    @property
    def guides(self) -> bool:
        """Whether inputs are kept; else edges are counted only."""
        return self.settings.corpus_dir is not None

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to which instructions run, beside who listens already."""
        before = self.machine.tracer
        if self._tracer is None:
            self._tracer = EdgeTracer(before)
        self.machine.tracer = self._tracer
        try:
            yield
        finally:
            self.machine.tracer = before

    def came_new(self) -> bool:
        """Whether the calls since it was asked last came over new edges."""
        return self._tracer is not None and self.edges.learn(self._tracer.taken())

    def forget(self) -> None:
        """Take no notice of the calls since it was asked last."""
        if self._tracer is not None:
            self._tracer.taken()

    def keep(self, input_: Input, of: CorpusInput[Input] | None = None, *, written: bool = True) -> None:
        """Remember an input that came somewhere new; `of`: the one that it was made of."""
        if not self.guides:
            return
        if of is not None:
            of.changes = 0
        if len(self._kept) >= max(_MOST, self.settings.corpus_min_size):
            self._leave_one()
        self._kept.append(CorpusInput(input_))
        if written:
            self.write(input_)

    def choose(self, rng: Random) -> CorpusInput[Input] | None:
        """One of the inputs, to be changed; None in the other runs, and where there is none."""
        if not self._kept or rng.random() >= self.share:
            return None
        found = self._kept[-1] if rng.random() < _NEWEST else rng.choice(self._kept)
        found.changes += 1
        return found

    def figures(self) -> tuple[int, int, int] | None:
        """Edges, edges with their classes, and inputs; None where they are not to be shown."""
        shown = self.settings.show_edge_coverage
        return (len(self.edges.seen), self.edges.features, len(self._kept)) if shown else None

    def other(self, rng: Random) -> Input:
        """Any of the inputs; there has to be one."""
        return rng.choice(self._kept).input

    def _leave_one(self) -> None:
        """Leave the oldest input that has been changed often enough for nothing."""
        for place, kept in enumerate(self._kept):
            if kept.changes >= self.settings.corpus_min_mutations:
                del self._kept[place]
                return
