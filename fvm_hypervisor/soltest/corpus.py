"""A corpus: inputs that reached edges which no earlier input had reached, kept in memory and on disk, and mutated.

With `corpus_dir` a fuzz or invariant test first runs the inputs in its folder; then most of its inputs are mutations of
kept ones (mutations.py). The seed and the folder's inputs decide every run. Keys and their defaults: the Foundry book;
files: corpus_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, TypeVar

from fvm_hypervisor.soltest.edges import ContractOf, EdgeMap, EdgeTracer
from fvm_hypervisor.soltest.project import CorpusSettings
from hypervisor.machine import Hypervisor

CHANGED_INPUTS: Final = 0.7
"""The share of a fuzz test's inputs that are mutations of the corpus."""
CHANGED_SEQUENCES: Final = 0.3
"""The same share of sequences: others begin with calls that reached a new state."""
_NEWEST: Final = 0.5
"""The share of draws that take the newest input, which has mostly reached furthest."""
_MOST: Final = 1024
"""Inputs in memory, if `corpus_min_size` is not more."""

Input = TypeVar("Input")


@dataclass(slots=True)
class CorpusInput(Generic[Input]):
    """An input, and how often it was mutated since a mutation last reached something new."""

    input: Input
    changes: int = 0


@dataclass(slots=True)
class Corpus(Generic[Input]):
    """The inputs of one test. `write` keeps one on disk; `contract_of` names the contract of a code."""

    settings: CorpusSettings
    machine: Hypervisor
    share: float
    """Of inputs that are mutations of it."""
    write: Callable[[Input], None]
    contract_of: ContractOf
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
        """Listen to which instructions run, beside the tracer that is there."""
        before = self.machine.tracer
        if self._tracer is None:
            self._tracer = EdgeTracer(self.contract_of, before)
        self.machine.tracer = self._tracer
        try:
            yield
        finally:
            self.machine.tracer = before

    def came_new(self) -> bool:
        """Whether the calls since the last question reached new edges."""
        return self._tracer is not None and self.edges.learn(self._tracer.taken())

    def forget(self) -> None:
        """Ignore the calls since the last question."""
        if self._tracer is not None:
            self._tracer.taken()

    def keep(self, input_: Input, of: CorpusInput[Input] | None = None, *, written: bool = True) -> None:
        """Keep an input that reached something new; `of` is the one that it was mutated from."""
        if not self.guides:
            return
        if of is not None:
            of.changes = 0
        if len(self._kept) >= max(_MOST, self.settings.corpus_min_size):
            self._evict_one()
        self._kept.append(CorpusInput(input_))
        if written:
            self.write(input_)

    def choose(self, rng: Random) -> CorpusInput[Input] | None:
        """An input to mutate; None where the run shall have a fresh one, or the corpus is empty."""
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

    def _evict_one(self) -> None:
        """Drop the oldest input that was mutated often enough without success; where there is none, the oldest."""
        enough = self.settings.corpus_min_mutations
        del self._kept[next((at for at, kept in enumerate(self._kept) if kept.changes >= enough), 0)]
