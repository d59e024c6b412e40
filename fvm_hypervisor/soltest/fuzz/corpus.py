"""Corpus of inputs that reached new edges, stored in memory and on disk, and mutated.

With `corpus_dir` a fuzz or invariant test first runs the inputs in its folder; then most of its inputs are mutations of
corpus inputs (mutations.py). The seed and the folder's inputs determine every run. Keys and defaults: the Foundry book;
files: corpus_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from fvm_hypervisor.soltest.call_outcome import CallOutcome
from fvm_hypervisor.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from fvm_hypervisor.soltest.execution.stage import is_rejected
from fvm_hypervisor.soltest.fuzz.edges import EdgeMap, EdgeTracer, SkippingEdgeTracer
from fvm_hypervisor.soltest.jump_coverage import JumpCoverage
from fvm_hypervisor.soltest.project.project import CorpusSettings
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import StepTracer

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.execution.executor import TestExecutor

INPUT_MUTATION_SHARE: Final = 0.7
"""Share of a fuzz test's inputs that are mutations of corpus inputs."""
SEQUENCE_MUTATION_SHARE: Final = 0.3
"""Share of invariant sequences that are mutations; other sequences may start with calls that reached a new state."""
_NEWEST: Final = 0.5
"""Probability of choosing the newest input, which usually reaches deepest."""
_MAX_INPUTS: Final = 1024
"""Maximum number of inputs in memory, unless `corpus_min_size` is larger."""

_MAX_PATHS: Final = 1 << 16
"""Maximum number of summaries of calls."""
_REASON_BYTES: Final = 36
"""Size in bytes of the revert data in a summary: a selector and a word, such as the code of a panic."""

Input = TypeVar("Input")


@dataclass(slots=True)
class CorpusInput(Generic[Input]):
    """An input, and its number of mutations since one last reached something new."""

    input: Input
    changes: int = 0


@dataclass(slots=True)
class Corpus(Generic[Input]):
    """The corpus of one test. `write` stores an input on disk."""

    settings: CorpusSettings
    machine: Hypervisor
    share: float
    """Share of inputs that are mutations of the corpus."""
    write: Callable[[Input], None]
    cheatcodes: Cheatcodes
    jumps: JumpCoverage | None = None
    """Coverage of recorded jumps, which is used instead of traced edges."""
    edges: EdgeMap = field(default_factory=EdgeMap)
    _inputs: list[CorpusInput[Input]] = field(default_factory=list)
    _tracer: EdgeTracer | None = None
    _paths: set[Hashable] = field(default_factory=set)
    """Summaries of calls that were traced (`should_trace`)."""
    _has_new_jumps: bool = False
    _repeatable: set[Hashable] = field(default_factory=set)
    """Functions whose calls have had no effects outside the machine, and so can be repeated."""

    @classmethod
    def of(
        cls, settings: CorpusSettings, executor: TestExecutor, share: float, write: Callable[[Input], None]
    ) -> Corpus[Input]:
        """Return an empty corpus for calls on an executor.

        Jumps are recorded only in calls whose instructions are not traced: not with shown edges, or a `StepTracer`.
        """
        machine, contracts = executor.machine, executor.cheatcodes.settings.contracts
        is_traced = settings.show_edge_coverage or isinstance(machine.tracer, StepTracer)
        jumps = None if is_traced else JumpCoverage.of(machine, contracts)
        return cls(settings, machine, share, write, executor.cheatcodes, jumps)

    @property
    def stores_inputs(self) -> bool:
        """True if inputs are stored; otherwise edges are only counted."""
        return self.settings.corpus_dir is not None

    def __len__(self) -> int:
        return len(self._inputs)

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace executed instructions, in addition to the machine's current tracer."""
        before = self.machine.tracer
        if self._tracer is None:
            kind = EdgeTracer if isinstance(before, StepTracer) else SkippingEdgeTracer
            self._tracer = kind(self.cheatcodes.settings.contracts, before)
        self.machine.tracer = self._tracer
        try:
            yield
        finally:
            self.machine.tracer = before

    def trace(
        self, function: Hashable, call: Callable[[], CallOutcome], undo: Callable[[], None] = lambda: None
    ) -> CallOutcome:
        """Execute a call of a function, and record its edges if they may be new; return its outcome.

        If jumps are recorded, the call runs once, without a tracer. Otherwise it runs without a tracer first. If it is
        to be traced, `undo` restores the state, and the call is repeated. The first call of a function is traced at
        once, because it could have effects outside the machine, such as those of `vm.ffi`. Once a call of a function
        had any, each further one is traced at once.
        """
        if self.jumps is not None:
            self.jumps.begin_call()
            outcome = call()
            if not is_rejected(outcome) and self.jumps.reached_new_pairs():
                self._has_new_jumps = True
            return outcome
        before = self.cheatcodes.outside_calls
        if function not in self._repeatable:
            with self.tracing():
                outcome = call()
            if not is_rejected(outcome) and self.cheatcodes.outside_calls == before:
                self._repeatable.add(function)
                self.should_trace(function, outcome)
            return outcome
        outcome = call()
        if self.cheatcodes.outside_calls != before:
            self._repeatable.remove(function)
            return outcome
        if is_rejected(outcome) or not self.should_trace(function, outcome):
            return outcome
        undo()
        with self.tracing():
            return call()

    def should_trace(self, function: Hashable, outcome: CallOutcome) -> bool:
        """Return True if the call is to be traced, and record its summary.

        Calls with the same result and gas have almost always executed the same edges. Tracing takes several times as
        long as the call itself, so a call is executed without a tracer first.
        """
        end = len(outcome.output) if outcome.success else outcome.output[:_REASON_BYTES]
        path = function, outcome.success, outcome.execution_gas, len(outcome.events), end
        if path in self._paths:
            return False
        if len(self._paths) >= _MAX_PATHS:
            self._paths.clear()
        self._paths.add(path)
        return True

    def reached_new_edges(self) -> bool:
        """Return True if calls since the last check reached new edges, or new pairs of jumps."""
        if self.jumps is not None:
            found, self._has_new_jumps = self._has_new_jumps, False
            return found
        return self._tracer is not None and self.edges.add(self._tracer.take_edges())

    def discard_edges(self) -> None:
        """Discard the calls since the last check."""
        if self._tracer is not None:
            self._tracer.take_edges()

    def add(self, input_: Input, of: CorpusInput[Input] | None = None, *, written: bool = True) -> None:
        """Add an input that reached something new; `of` is the input that it was mutated from."""
        if not self.stores_inputs:
            return
        if of is not None:
            of.changes = 0
        if len(self._inputs) >= max(_MAX_INPUTS, self.settings.corpus_min_size):
            self._evict_one()
        self._inputs.append(CorpusInput(input_))
        if written:
            self.write(input_)

    def choose(self, rng: Random) -> CorpusInput[Input] | None:
        """Return an input to mutate, or None if the run needs a fresh one or the corpus is empty."""
        if not self._inputs or rng.random() >= self.share:
            return None
        found = self._inputs[-1] if rng.random() < _NEWEST else rng.choice(self._inputs)
        found.changes += 1
        return found

    def figures(self) -> tuple[int, int, int] | None:
        """Return the numbers of edges, edge features and inputs, or None if they are not shown."""
        shown = self.settings.show_edge_coverage
        return (len(self.edges.seen), self.edges.features, len(self._inputs)) if shown else None

    def other(self, rng: Random) -> Input:
        """Return a random input. The corpus must not be empty."""
        return rng.choice(self._inputs).input

    def _evict_one(self) -> None:
        """Remove the oldest input with enough unsuccessful mutations, otherwise the oldest input."""
        enough = self.settings.corpus_min_mutations
        del self._inputs[next((at for at, one in enumerate(self._inputs) if one.changes >= enough), 0)]
