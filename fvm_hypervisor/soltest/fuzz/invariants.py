"""Invariant tests: random sequences of calls, with the invariant checked between them.

Rules: forge's. The invariant is checked after each successful call that may have changed the state or that follows a
delay. By default (without `targetContracts` and the like) every state-changing function of every contract that
`setUp` created is called, by any sender. A sequence that breaks the invariant is shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.block_delays import NO_DELAY, BlockDelay, apply_delay, random_delay
from fvm_hypervisor.soltest.call_outcome import CallOutcome
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.values import decode as decode_arguments
from fvm_hypervisor.soltest.cheatcodes.values import encode
from fvm_hypervisor.soltest.corpus_files import CorpusFolder
from fvm_hypervisor.soltest.dictionary import Dictionary
from fvm_hypervisor.soltest.execution.discovery import TestFunction, has_special, signature
from fvm_hypervisor.soltest.execution.executor import ExecutorSnapshot
from fvm_hypervisor.soltest.execution.results import CallMetrics, CaseKind, CaseStatus, CounterExample, TestResult
from fvm_hypervisor.soltest.execution.stage import SuiteStage, is_failed_assertion, is_rejected, selector
from fvm_hypervisor.soltest.execution.values import Values
from fvm_hypervisor.soltest.fuzz.corpus import SEQUENCE_MUTATION_SHARE, Corpus, CorpusInput
from fvm_hypervisor.soltest.fuzz.fixtures import find_fixtures
from fvm_hypervisor.soltest.fuzz.fuzz import Deadline
from fvm_hypervisor.soltest.fuzz.mutations import mutate_arguments, mutate_sequence
from fvm_hypervisor.soltest.fuzz.stored_failures import StoredCall
from fvm_hypervisor.soltest.invariant_targets import FuzzTarget, NoTargets, TargetFilters, find_targets
from fvm_hypervisor.soltest.maximizing import BestSequence, is_maximizing, returned_value
from fvm_hypervisor.soltest.project.project import InvariantSettings
from fvm_hypervisor.soltest.shrinking import shrink
from fvm_hypervisor.soltest.value_text import arguments_text

_FAILED = "assertion failed"
_NO_SET_UP = "failed to set up invariant testing environment"
_END = "afterInvariant()"
_SENDERS: Final = 64
"""Number of random senders of a test without `targetSenders`.

Each gets an account in advance, which costs as much as a call.
"""
_PREFIX_SHARE: Final = 0.4
"""Share of sequences that begin with calls of an earlier one."""
_MAX_PREFIXES: Final = 64
_MAX_SEEN: Final = 4096
_NEW_SENDER_SHARE: Final = 0.05
"""Share of calls by a new random sender."""


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """One call of a sequence."""

    sender: EthAddress
    target: FuzzTarget
    arguments: tuple[Any, ...]
    delay: BlockDelay = NO_DELAY
    """Delay before the call."""

    @property
    def calldata(self) -> bytes:
        """Calldata of the call."""
        return self.target.selector + (encode(self.target.types, self.arguments) if self.arguments else b"")

    def example(self) -> CounterExample:
        """Return the call in the form of results."""
        return CounterExample(
            self.calldata,
            arguments_text(self.target.entry["inputs"], self.arguments),
            checksummed(self.sender),
            self.target.contract,
            checksummed(self.target.address),
            signature(self.target.entry),
            arguments_text(self.target.entry["inputs"], self.arguments, raw=True),
            delay=self.delay,
        )

    def with_delays_of(self, removed: Sequence[SequenceStep]) -> SequenceStep:
        """Return the step with the delays of removed steps added to its own."""
        delay = self.delay.plus([step.delay for step in removed])
        return self if delay == self.delay else replace(self, delay=delay)


class SequencePrefixes:
    """Prefixes for later sequences: calls that reached something new, so that multi-step states are found stepwise.

    Something new is a function that succeeds and writes values of other magnitudes than before.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[EthAddress, bytes, frozenset[int]]] = set()
        self._prefixes: list[tuple[SequenceStep, ...]] = []

    def add(self, rng: Random, steps: Sequence[SequenceStep], outcome: CallOutcome) -> None:
        """Store the calls, all of which succeeded, if the last one reached something new."""
        target = steps[-1].target
        key = (target.address, target.selector, frozenset(word.bit_length() for word in outcome.touched_words))
        if key in self._seen or len(self._seen) == _MAX_SEEN:
            return
        self._seen.add(key)
        if len(self._prefixes) < _MAX_PREFIXES:
            self._prefixes.append(tuple(steps))
        else:
            self._prefixes[rng.randrange(_MAX_PREFIXES)] = tuple(steps)

    def choose(self, rng: Random) -> tuple[SequenceStep, ...]:
        """Return the calls that a sequence begins with; usually none."""
        return rng.choice(self._prefixes) if self._prefixes and rng.random() < _PREFIX_SHARE else ()


def call_sequence(
    stage: SuiteStage, test: TestFunction, fails_on_revert: bool, steps: Sequence[CounterExample]
) -> bool:
    """Repeat a failed sequence, check the invariant once at the end, and return True if it fails again."""
    fails = False
    for step in steps:
        sender, address = (EthAddress(bytes.fromhex(text[2:])) for text in (step.sender, step.address))
        apply_delay(stage.executor.machine, step.delay)
        outcome = stage.executor.call(sender, address, step.calldata)
        ends = fails_on_revert or is_failed_assertion(outcome)
        fails = not outcome.success and ends
    for name in (test.signature, _END) if _has_end(stage) else (test.signature,):
        if not stage.call(selector(name)).success or stage.has_failed():
            return True
    return fails


def _has_end(stage: SuiteStage) -> bool:
    return has_special(stage.artifact, "afterInvariant")


@dataclass(slots=True)
class InvariantRun:
    """A running invariant test. `ready` is the state after `setUp`."""

    stage: SuiteStage
    test: TestFunction
    settings: InvariantSettings
    seed: int
    ready: ExecutorSnapshot
    dictionary: Dictionary
    progress: Callable[[TestResult], None] = lambda _: None
    stored: Sequence[StoredCall] = ()
    """Sequence of an earlier failure, which is replayed first."""
    root: Path = Path()
    """The project's folder, which contains the corpus."""
    runs: int = 0
    calls: int = 0
    reverts: int = 0
    _targets: list[FuzzTarget] = field(default_factory=list)
    _senders: list[EthAddress] = field(default_factory=list)
    _new_sender_share: float = 0.0
    _deadline: Deadline = field(default_factory=Deadline)
    _prefixes: SequencePrefixes = field(default_factory=SequencePrefixes)
    _metrics: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _corpus: Corpus[tuple[SequenceStep, ...]] | None = None
    _corpus_folder: CorpusFolder | None = None
    _best: BestSequence[SequenceStep] | None = None
    _holds: bool = False
    """True if the invariant was checked in the current state, or in one that no call has changed since."""
    _last: list[SequenceStep] = field(default_factory=list)
    """Calls of the latest sequence that succeeded."""

    def run(self) -> TestResult:
        """Execute sequences until all runs are done or one breaks the invariant."""
        stage = self.stage
        if self.test.entry["inputs"]:
            return self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: Invariant test function should have no inputs")
        outcome = stage.call(selector(self.test.signature), commit=False)
        if stage.is_skip(outcome):
            self.runs = self.calls = self.reverts = 1  # forge's figures for a skipped test
            return self._result(*stage.verdict(outcome))
        stage.executor.restore(self.ready)
        try:
            self._targets = find_targets(stage)
        except NoTargets as lack:
            return self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: {lack}")
        filters = TargetFilters(stage)
        self._senders, excluded = filters.addresses("targetSenders"), set(filters.addresses("excludeSenders"))
        name = f"{self.seed}:{stage.artifact.file}:{stage.artifact.name}:{self.test.signature}"
        rng = Random(name)  # noqa: S311  # repeatable
        values = Values(rng, self.dictionary, self.settings.dictionary_weight, find_fixtures(stage))
        stage.executor.restore(self.ready)
        if not self._senders:
            self._senders, self._new_sender_share = [values.address() for _ in range(_SENDERS)], _NEW_SENDER_SHARE
            for sender in self._senders:
                stage.executor.touch(sender)
            self.ready = stage.executor.snapshot()
        broken = self._check()
        if broken is not None:
            return self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: {broken}")
        again = self._replayed_failure()
        if again is not None:
            return again
        self._deadline = Deadline(self.settings.timeout)
        begun = self._begin_corpus()
        if begun is not None:
            return begun
        while self.runs < self.settings.runs and not self._deadline.is_over():
            self._begin_sequence()
            self.dictionary.forget_runs()
            stage.executor.records_slots = self.dictionary.takes_storage
            calls = self.calls
            try:
                failure = self._sequence(rng, values, excluded)
            finally:
                stage.executor.records_slots = False
            if failure is not None:
                self.calls = calls  # as in forge, the counts exclude the failing run
                return self._failure(*failure)
            self.runs += 1
        return self._result(CaseStatus.SUCCESS, None) if self._best is None else self._maximum(self._best)

    def _replayed_failure(self) -> TestResult | None:
        """Return the failure of an earlier run if its calls are still possible and still break the invariant."""
        steps = self._steps_of(self.stored)
        found = self._replay(steps) if steps else None
        if found is None:
            return None
        self.runs = self.calls = self.reverts = 1  # forge's figures for a replayed failure
        count, why = found
        examples = tuple(step.example() for step in steps[:count])
        return replace(self._result(CaseStatus.FAILURE, why, examples, len(steps)), is_replayed=True)

    def _begin_corpus(self) -> TestResult | None:
        """Run the corpus, which does not count as runs; return a result if a sequence fails."""
        settings, stage = self.settings, self.stage
        if not settings.collects_edges:
            return None
        folder = self._corpus_folder = CorpusFolder(self.root, settings, stage.artifact.name, self.test.signature)

        def write(steps: tuple[SequenceStep, ...]) -> None:
            folder.write([StoredCall(step.sender, step.target.address, step.calldata, step.delay) for step in steps])

        corpus = self._corpus = Corpus.of(settings, stage.executor, SEQUENCE_MUTATION_SHARE, write)
        for calls in folder.read():
            steps = self._steps_of(calls)[: settings.depth]
            if not steps:
                continue
            if self._deadline.is_over():
                break
            failure = self._replay(steps)
            if corpus.reached_new_edges():
                corpus.add(tuple(steps), written=False)
            if failure is not None:
                return self._failure(steps[: failure[0]], failure[1])
        return None

    def _steps_of(self, calls: Sequence[StoredCall]) -> list[SequenceStep]:
        """Return stored calls as steps; empty if one of them is not a call of a target."""
        targets = {(target.address, target.selector): target for target in self._targets}
        steps = []
        for call in calls:
            target = targets.get((EthAddress(call.address), call.calldata[:4]))
            if target is None:
                return []
            try:
                arguments = tuple(decode_arguments(target.types, call.calldata[4:]))
            except CheatcodeFailure:
                return []
            steps.append(SequenceStep(EthAddress(call.sender), target, arguments, call.delay))
        return steps

    def _sequence(
        self, rng: Random, values: Values, excluded: set[EthAddress]
    ) -> tuple[list[SequenceStep], str] | None:
        steps: list[SequenceStep] = []
        rejects = 0
        corpus = self._corpus
        of = None if corpus is None else corpus.choose(rng)
        begun = iter(self._prefixes.choose(rng) if of is None else self._mutate(rng, values, excluded, of))
        done: list[SequenceStep] = []
        newest: tuple[SequenceStep, ...] = ()
        while len(steps) < self.settings.depth and not self._deadline.is_over():
            if self._deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None, last=()))
            step = next(begun, None) or self._step(rng, values, excluded)
            outcome = self._execute(step)
            self._count(step, outcome)
            if is_rejected(outcome):
                rejects += 1
                if corpus is not None:
                    corpus.discard_edges()
                if rejects > self.settings.max_assume_rejects:
                    return [], f"`vm.assume` rejected too many inputs ({self.settings.max_assume_rejects} allowed)"
                continue
            steps.append(step)
            self.calls += 1
            self.reverts += not outcome.success
            if outcome.success:
                self.dictionary.add_outcome(outcome)
                done.append(step)
                self._prefixes.add(rng, done, outcome)
                self._record_best(done)
            if corpus is not None and corpus.reached_new_edges():
                newest = tuple(done) if outcome.success else (*done, step)
            why = self._end_reason(outcome)
            if why is not None:
                break
        else:
            why = self._check_after_invariant()
        if newest and corpus is not None:
            corpus.add(newest, of)
        self._last = done
        return None if why is None else (steps, why)

    def _mutate(
        self, rng: Random, values: Values, excluded: set[EthAddress], of: CorpusInput[tuple[SequenceStep, ...]]
    ) -> list[SequenceStep]:
        """Return a mutated sequence of the corpus."""
        assert self._corpus is not None

        def change(step: SequenceStep) -> SequenceStep:
            if not step.arguments:
                return self._step(rng, values, excluded)
            inputs = step.target.entry["inputs"]
            found = mutate_arguments(rng, values, inputs, step.arguments, values.arguments(inputs))
            return replace(step, arguments=tuple(found))

        return mutate_sequence(rng, of.input, self._corpus.other(rng), change, self.settings.depth)

    def _step(self, rng: Random, values: Values, excluded: set[EthAddress]) -> SequenceStep:
        target = rng.choice(self._targets)
        sender = values.address() if rng.random() < self._new_sender_share else rng.choice(self._senders)
        while sender in excluded or not any(sender):
            sender = EthAddress(rng.randbytes(20))
        arguments = tuple(values.arguments(target.entry["inputs"]))
        delay = random_delay(rng, self.settings.max_time_delay, self.settings.max_block_delay)
        return SequenceStep(sender, target, arguments, delay)

    def _begin_sequence(self) -> None:
        """Restore the state after `setUp`, in which the invariant holds."""
        self.stage.executor.restore(self.ready)
        self._holds = True

    def _execute(self, step: SequenceStep) -> CallOutcome:
        """Execute a step; a rejected one changes neither the state, nor the block, nor what cheatcodes set."""
        machine = self.stage.executor.machine
        block = machine.context
        apply_delay(machine, step.delay)
        outcome = self._call(step)
        if is_rejected(outcome):
            machine.context = block
        else:
            self._holds = self._holds and step.delay == NO_DELAY and not outcome.may_change_state
        return outcome

    def _call(self, step: SequenceStep) -> CallOutcome:
        """Execute a step's call, and record its edges for the corpus; if it is rejected, restore the state before it.

        A call as one tree needs no snapshot, because it reaches no cheatcode.
        """
        executor, corpus = self.stage.executor, self._corpus
        call = step.sender, step.target.address, step.calldata
        if corpus is None:
            outcome = executor.call_as_tree(*call)
            if outcome is not None:
                return outcome
        here = executor.snapshot()
        if corpus is None:
            outcome = executor.call(*call, tried_as_tree=True)
        else:
            function = step.target.address, step.target.selector
            outcome = corpus.trace(function, lambda: executor.call(*call), lambda: executor.restore(here))
        if is_rejected(outcome):
            executor.drop(here)
        else:
            executor.commit_snapshot()
        return outcome

    def _count(self, step: SequenceStep, outcome: CallOutcome) -> None:
        counts = self._metrics.setdefault((step.target.contract, str(step.target.entry["name"])), [0, 0, 0])
        is_discarded = is_rejected(outcome)
        counts[0] += 1
        counts[1] += not outcome.success and not is_discarded
        counts[2] += is_discarded

    def _end_reason(self, outcome: CallOutcome) -> str | None:
        """Return the reason to end the sequence, or None to continue."""
        if not outcome.success and (self.settings.fail_on_revert or is_failed_assertion(outcome)):
            return self.stage.reason(outcome)
        if self.stage.has_failed():
            return _FAILED
        if is_maximizing(self.test):
            return None  # its return value or revert is not a failure
        if self._holds or not outcome.success:  # as in forge, since a reverted call changes no state
            return None
        why = self._check()
        self._holds = why is None
        return why

    def _check(self, name: str | None = None) -> str | None:
        """Return the reason if the invariant does not hold; the state stays unchanged."""
        stage, data = self.stage, selector(name or self.test.signature)
        executor, console = stage.executor, stage.executor.cheatcodes.console
        lines, logs = len(console.lines), len(console.logs)
        outcome = executor.call_as_tree(stage.sender, stage.address, data, commit=False)
        if outcome is not None:
            del console.lines[lines:], console.logs[logs:]
            return self._defect(outcome)
        here = executor.snapshot()
        try:
            return self._defect(executor.call(stage.sender, stage.address, data, commit=False, tried_as_tree=True))
        finally:
            executor.drop(here)

    def _defect(self, outcome: CallOutcome) -> str | None:
        """Return the reason if the outcome of a check is a failure."""
        status, reason = self.stage.verdict(outcome)
        if status is CaseStatus.SKIPPED:
            return self.stage.reason(outcome)
        return reason or _FAILED if status is CaseStatus.FAILURE else None

    def _check_after_invariant(self) -> str | None:
        """Call `afterInvariant` if the contract has it."""
        return self._check(_END) if _has_end(self.stage) else None

    # --- the largest value ---------------------------------------------------------------------------------------

    def _value(self) -> int | None:
        """Return what the test returns in this state; None if it reverts."""
        here = self.stage.executor.snapshot()
        try:
            return returned_value(self.stage.call(selector(self.test.signature), commit=False))
        finally:
            self.stage.executor.drop(here)

    def _record_best(self, steps: Sequence[SequenceStep]) -> None:
        """Remember these calls if a maximizing test now returns its largest value."""
        value = self._value() if is_maximizing(self.test) else None
        if value is not None and (self._best is None or value > self._best.value):
            self._best = BestSequence(value, tuple(steps))

    def _maximum(self, found: BestSequence[SequenceStep]) -> TestResult:
        """Return the result of a maximizing test, with its best sequence shortened."""
        best = found

        def reaches(steps: Sequence[SequenceStep]) -> tuple[int, str] | None:
            nonlocal best
            self._begin_sequence()
            for number, step in enumerate(steps, 1):
                outcome = self._execute(step)
                value = self._value() if outcome.success and not self.stage.has_failed() else None
                if value is not None and value >= best.value:
                    best = BestSequence(value, tuple(steps[:number]))
                    return number, ""
            return None

        shrink(found.steps, "", reaches, self.settings.shrink_run_limit, SequenceStep.with_delays_of)
        examples = tuple(step.example() for step in best.steps)
        return replace(self._result(CaseStatus.SUCCESS, None, examples, len(found.steps)), best=best.value)

    # --- a failure ----------------------------------------------------------------------------------------------

    def _failure(self, steps: list[SequenceStep], reason: str) -> TestResult:
        best, why = shrink(steps, reason, self._replay, self.settings.shrink_run_limit, SequenceStep.with_delays_of)
        return self._result(CaseStatus.FAILURE, why, tuple(step.example() for step in best), len(steps))

    def _replay(self, steps: Sequence[SequenceStep]) -> tuple[int, str] | None:
        """Replay a sequence; return the number of steps until it fails and the reason, or None."""
        self._begin_sequence()
        for number, step in enumerate(steps, 1):
            outcome = self._execute(step)
            if is_rejected(outcome):
                return None
            why = self._end_reason(outcome)
            if why is not None:
                return number, why
        why = self._check_after_invariant()
        return None if why is None else (len(steps), why)

    def _result(
        self,
        status: CaseStatus,
        reason: str | None,
        example: tuple[CounterExample, ...] = (),
        steps: int = 0,
        last: Sequence[SequenceStep] | None = None,
    ) -> TestResult:
        """Return a result; `last` are the calls of its last sequence, by default the latest ones of a success."""
        if last is None:
            last = self._last if status is CaseStatus.SUCCESS else ()
        return TestResult(
            self.test.signature, CaseKind.INVARIANT, status, reason, runs=self.runs, calls=self.calls,
            reverts=self.reverts, seed=self.seed, counterexample=example, shrunk_from=steps, metrics=self._table(),
            last_run=tuple(step.example() for step in last),
            edges=None if self._corpus is None else self._corpus.figures(),
            notices=() if self._corpus_folder is None else self._corpus_folder.notices,
        )  # fmt: skip

    def _table(self) -> tuple[CallMetrics, ...]:
        shown = self._metrics if self.settings.shows_metrics else {}
        return tuple(CallMetrics(*key, *counts) for key, counts in sorted(shown.items()))
