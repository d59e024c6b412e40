"""Invariant tests: sequences of calls, shrinking, and maximizing. Rules: forge's.

The invariant is checked after each successful call that may have changed the state or that follows a delay. A sequence
that breaks it is shrunk by delta debugging: halves are removed, then quarters, down to single calls (Zeller and
Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).

A test that returns an `int256` is maximized: no return value makes it fail, and its result is the largest value found,
with the call sequence that produced it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import add
from typing import Final, Generic, TypeVar

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.console import log_topics
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, CREATE2_DEPLOYER, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode as decode_arguments
from hypervisor_tools.soltest.execution.discovery import TestFunction, has_special
from hypervisor_tools.soltest.execution.executor import ExecutorCall, ExecutorSnapshot, RawCallResult, is_rejected
from hypervisor_tools.soltest.execution.results import (
    BlockDelay,
    CallMetrics,
    CaseKind,
    CaseStatus,
    CounterExample,
    TestResult,
    apply_delay,
)
from hypervisor_tools.soltest.execution.stage import SuiteStage, is_failed_assertion
from hypervisor_tools.soltest.execution.values import Dictionary, parameter_messages
from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
from hypervisor_tools.soltest.fuzz.coverage import Coverage, coverage_plan
from hypervisor_tools.soltest.fuzz.fixtures import find_fixtures, unused_fixtures
from hypervisor_tools.soltest.fuzz.fuzz import Deadline, ShrinkLimit, opened_campaign, seed_of, take_outcome
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.fuzz.targets import FuzzTarget, NoTargets, TargetFilters, find_targets
from hypervisor_tools.soltest.project.project import InvariantSettings
from runtimes.evm.revm import LEAST_GAS, Campaign, CampaignPlan, CampaignStep, CampaignTarget

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class BestSequence(Generic[Step]):
    """The largest value that a test returned, and the call sequence that produced it."""

    value: int
    steps: Sequence[Step]


def is_maximizing(test: TestFunction) -> bool:
    """Return True if an invariant test's return value is to be maximized."""
    return [output["type"] for output in test.entry.get("outputs", ())] == ["int256"]


def returned_value(outcome: RawCallResult) -> int | None:
    """Return the value of a maximizing test's call; None if it reverted or returned less than 32 bytes."""
    if not outcome.success or len(outcome.output) < 32:
        return None
    return int.from_bytes(outcome.output[:32], "big", signed=True)


def shrink(
    steps: Sequence[Step],
    reason: str,
    fails: Callable[[Sequence[Step]], tuple[int, str] | None],
    limit: int,
    merge: Callable[[Step, Sequence[Step]], Step] = lambda step, _: step,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[Sequence[Step], str]:
    """Return a shorter sequence that still fails, and the reason, within `limit` tries, until `is_over`.

    Given enough tries, no single step of it can be removed. `fails` returns the number of steps until a
    sequence fails and the reason, or None. `merge` returns the replacement of a step whose predecessors are removed.
    """
    tries = 0
    size = len(steps) // 2
    while size:
        at, before = 0, len(steps)
        while at < len(steps) and len(steps) > 1:
            if tries >= limit or is_over():
                return steps, reason
            tries += 1
            removed, rest = steps[at : at + size], steps[at + size :]
            candidate = [*steps[:at], *([merge(rest[0], removed), *rest[1:]] if rest else ())]
            failure = fails(candidate) if candidate else None
            if failure is None:
                at += size
            else:
                length, reason = failure
                steps = candidate[:length]
        again = size == 1 and len(steps) < before  # steps that only a removed step needed may be removable now
        size = size if again else min(size, len(steps)) // 2
    return steps, reason


_FAILED = "assertion failed"
_NO_SET_UP = "failed to set up invariant testing environment"
_END = "afterInvariant()"
_NEVER_SENDERS: Final = frozenset((
    VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER,
    *(EthAddress(number.to_bytes(20, "big")) for number in (*range(0x12), 0x100)),
))  # fmt: skip
"""Addresses that forge never uses as senders: 0, its own ones, and Ethereum's precompiles."""


def with_delays_of(step: CampaignStep, removed: Sequence[CampaignStep]) -> CampaignStep:
    """Return a step with the delays of removed steps added to its own."""
    delay = BlockDelay(step.seconds, step.blocks).plus([BlockDelay(each.seconds, each.blocks) for each in removed])
    return step._replace(seconds=delay.seconds, blocks=delay.blocks)


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
    corpus_folder: CorpusFolder | None = None
    runs: int = 0
    calls: int = 0
    reverts: int = 0
    targets: list[FuzzTarget] = field(default_factory=list)
    """Functions that sequences call."""
    senders: list[EthAddress] = field(default_factory=list)
    excluded: frozenset[EthAddress] = frozenset()
    _deadline: Deadline = field(default_factory=Deadline)
    _campaign: Campaign = field(init=False)
    _coverage: Coverage | None = None
    _notices: tuple[str, ...] = ()
    _best: BestSequence[CampaignStep] | None = None
    _is_maximizing: bool = False
    _check_call: ExecutorCall | None = None
    """The call of the invariant, which the executor may make together with a step; None for a maximizing test."""
    _holds: bool = False
    """True if the invariant was checked in the current state, or in one that no call has changed since."""
    _last: list[CampaignStep] = field(default_factory=list)
    """Successful calls of the latest sequence of a test that passes."""

    def run(self) -> TestResult:
        """Execute sequences until all runs are done or one breaks the invariant."""
        ended = self.begin()
        if ended is not None:
            return ended
        with self._opened() as self._campaign:
            for sender in () if self.senders else self._campaign.senders:  # an account costs as much as a call
                self.stage.executor.touch(sender)
            self.ready = self.stage.executor.snapshot()
            return self._run()

    @contextmanager
    def _opened(self) -> Iterator[Campaign]:
        """Open the test's campaign for the context, in the state after `setUp`."""
        stage, settings = self.stage, self.settings
        executor = stage.executor
        fixtures = find_fixtures(stage)
        self._notices = unused_fixtures(fixtures, [target.entry for target in self.targets])
        executor.restore(self.ready)
        targets = [
            CampaignTarget(
                target.address, target.selector,
                parameter_messages(target.entry, self.dictionary.enum_size, fixtures),
            )
            for target in self.targets
        ]  # fmt: skip
        plan = CampaignPlan(
            seed_of(stage, self.test, self.seed), keeps=True, depth=settings.depth, targets=targets,
            senders=self.senders,
            dictionary=self.dictionary.message(), max_rejects=settings.max_assume_rejects,
            weight=settings.dictionary_weight, has_storage=self.dictionary.takes_storage,
            max_seconds=settings.max_time_delay, max_blocks=settings.max_block_delay,
            fails_on_revert=settings.fail_on_revert, excluded=self.excluded,
            shows_logs=executor.cheatcodes.settings.shows_logs, shown=log_topics(), **coverage_plan(executor, settings),
        )  # fmt: skip
        with opened_campaign(executor, plan) as campaign:
            yield campaign

    def _run(self) -> TestResult:
        again = self._failure_of(self._steps_of(self.stored))
        if again is not None:
            return replace(again, runs=1, calls=1, reverts=1, is_replayed=True)  # forge's figures
        self._deadline = Deadline(self.settings.timeout)
        begun = self._replay_corpus()
        if begun is not None:
            return begun
        while self.runs < self.settings.runs and not self._deadline.is_over():
            failure = self._sequence()
            figures = self._campaign.figures
            self.reverts += figures.reverts
            if failure is not None:
                return self._failure(*failure)
            self.calls += figures.calls  # as in forge, the counts exclude the failing run
            self.runs += 1
        return self._result(CaseStatus.SUCCESS, None) if self._best is None else self._maximum(self._best)

    def begin(self) -> TestResult | None:
        """Find targets and senders, and check the invariant after `setUp`; return the result of a test that ends so."""
        stage = self.stage
        self._is_maximizing = is_maximizing(self.test)
        if not self._is_maximizing:
            self._check_call = ExecutorCall(stage.sender, stage.address, selector(self.test.signature))
        if self.test.entry["inputs"]:
            return self._ended(CaseStatus.FAILURE, f"{_NO_SET_UP}: Invariant test function should have no inputs")
        outcome = stage.call(selector(self.test.signature), commit=False)
        if stage.is_skip(outcome):
            self.runs = self.calls = self.reverts = 1  # forge's figures for a skipped test
            return self._ended(*stage.verdict(outcome))
        stage.executor.restore(self.ready)
        try:
            self.targets = find_targets(stage)
        except NoTargets as lack:
            return self._ended(CaseStatus.FAILURE, f"{_NO_SET_UP}: {lack}")
        filters = TargetFilters(stage)
        self.excluded = _NEVER_SENDERS.union(filters.addresses("excludeSenders"))
        self.senders = [sender for sender in filters.addresses("targetSenders") if sender not in self.excluded]
        stage.executor.restore(self.ready)
        broken = self._check()
        return None if broken is None else self._ended(CaseStatus.FAILURE, f"{_NO_SET_UP}: {broken}")

    def failure_of(self, calls: Sequence[StoredCall]) -> TestResult | None:
        """Return the failure of calls if they are calls of targets and break the invariant."""
        with self._opened() as self._campaign:
            return self._failure_of(self._steps_of(calls))

    def _failure_of(self, steps: Sequence[CampaignStep]) -> TestResult | None:
        found = self._replay(steps) if steps else None
        if found is None:
            return None
        count, why = found
        return self._result(CaseStatus.FAILURE, why, self._examples(steps[:count]), len(steps))

    def _replay_corpus(self) -> TestResult | None:
        """Run the corpus, which does not count as runs; return a result if a sequence fails."""
        settings, folder = self.settings, self.corpus_folder
        if folder is None or not settings.collects_edges:
            return None
        self._coverage = Coverage(self.stage.executor, self._campaign, settings)
        if self._is_maximizing:
            self._replay_best(self._steps_of(folder.read_best())[: settings.depth])
        for calls in folder.read():
            steps = self._steps_of(calls)[: settings.depth]
            if not steps:
                continue
            if self._deadline.is_over():
                break
            failure = self._replay(steps, is_covered=True)
            if not self._campaign.figures.reached:
                folder.drop()
            if failure is not None:
                return self._failure(steps[: failure[0]], failure[1])
        return None

    def _steps_of(self, calls: Sequence[StoredCall]) -> list[CampaignStep]:
        """Return stored calls as steps; empty if one of them is not a call of a target."""
        targets = {(target.address, target.selector): number for number, target in enumerate(self.targets)}
        steps = []
        for call in calls:
            number = targets.get((EthAddress(call.address), call.calldata[:4]))
            if number is None:
                return []
            try:
                decode_arguments(self.targets[number].types, call.calldata[4:])
            except CheatcodeFailure:
                return []
            steps.append(CampaignStep(EthAddress(call.sender), number, call.calldata, *call.delay))
        return steps

    def _sequence(self) -> tuple[list[CampaignStep], str] | None:
        """Execute a sequence; return its calls and the reason if it fails."""
        campaign = self._campaign
        self._begin_sequence()
        campaign.begin()
        why = None
        while why is None and not self._deadline.is_over() and (step := campaign.next()) is not None:
            if self._deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None, last=()))
            outcome = self._execute(step)
            if outcome is None:
                continue
            if is_rejected(outcome):
                limit = self.settings.max_assume_rejects
                if campaign.figures.rejects > limit:
                    return [], f"`vm.assume` rejected too many inputs ({limit} allowed)"
                continue
            why = self._end_reason(outcome)
        why = why or self._check_after_invariant()
        self._write_inputs()
        steps = campaign.steps
        self._last = [step for step in steps if step.success]
        return None if why is None else (steps, why)

    def _write_inputs(self) -> None:
        """Write the sequence if it has reached something new."""
        if self._coverage is None or self.corpus_folder is None:
            return
        for steps in self._campaign.end_sequence():
            self.corpus_folder.write(self._stored_calls(steps))

    def _stored_calls(self, steps: Sequence[CampaignStep]) -> list[StoredCall]:
        addresses = [target.address for target in self.targets]
        return [
            StoredCall(step.sender, addresses[step.target], step.data, BlockDelay(step.seconds, step.blocks))
            for step in steps
        ]

    def _begin_sequence(self) -> None:
        """Restore the state after `setUp`, in which the invariant holds."""
        self.stage.executor.restore(self.ready)
        self._holds = True

    def _execute(self, step: CampaignStep, *, is_replay: bool = False) -> RawCallResult | None:
        """Execute the campaign's next call, and those that follow it; return the last outcome if it needs attention.

        A rejected one changes neither the state, nor the block, nor what cheatcodes set.
        """
        executor, campaign, coverage = self.stage.executor, self._campaign, self._coverage
        is_alone = self._is_maximizing and not is_replay
        check, always = None if is_alone else self._check_call, not self._holds or bool(step.seconds or step.blocks)
        jumps = None if coverage is None else coverage.start()
        outcome = executor.call_next(campaign, commit=True, check=check, always=always, alone=is_alone, jumps=jumps)
        if outcome is None:
            self._holds = False
            return None
        if outcome.holds is not None:
            self._holds = outcome.holds
        elif not is_rejected(outcome):
            self._holds = self._holds and not outcome.may_change_state
        if not outcome.is_counted:
            value = self._value() if is_alone and outcome.success else None
            is_best = value is not None and (self._best is None or value > self._best.value)
            if coverage is not None:
                coverage.take(outcome, is_best=is_best)
            take_outcome(campaign, outcome)
            if value is not None and is_best:
                self._best = BestSequence(value, [step for step in campaign.steps if step.success])
            return outcome
        return outcome if is_rejected(outcome) else None

    def _end_reason(self, outcome: RawCallResult) -> str | None:
        """Return the reason to end the sequence, or None to continue."""
        if not outcome.success and (self.settings.fail_on_revert or is_failed_assertion(outcome)):
            return self.stage.reason(outcome)
        if self.stage.has_failed():
            return _FAILED
        if self._is_maximizing:
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
        here = None if executor.is_ethereum else executor.snapshot()
        try:
            return self._defect(executor.call(stage.sender, stage.address, data, commit=False))
        finally:
            del console.lines[lines:], console.logs[logs:]
            if here is not None:
                executor.drop(here)

    def _defect(self, outcome: RawCallResult) -> str | None:
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

    def _replay_best(self, steps: Sequence[CampaignStep]) -> None:
        """Begin with the best sequence of an earlier run, and add it to the corpus."""
        if steps:
            deque(self._replayed(steps, is_covered=True), 0)
            value = None if self.stage.has_failed() else self._value()
            self._best = None if value is None else BestSequence(value, steps)

    def _maximum(self, found: BestSequence[CampaignStep]) -> TestResult:
        """Return the result of a maximizing test, with its best sequence shortened."""
        best, limit = found, ShrinkLimit(self.stage.executor.setting)

        def reaches(steps: Sequence[CampaignStep]) -> tuple[int, str] | None:
            nonlocal best
            deque(self._replayed(steps), 0)
            value = None if self.stage.has_failed() else self._value()
            limit.count(self._campaign.figures.gas + LEAST_GAS)
            if value is None or value < best.value:
                return None
            best = BestSequence(value, tuple(steps))
            return len(steps), ""

        shrink(found.steps, "", reaches, self.settings.shrink_run_limit, with_delays_of, limit.is_over)
        if self.corpus_folder is not None:
            self.corpus_folder.write_best(best.value, self._stored_calls(best.steps))
        result = self._result(CaseStatus.SUCCESS, None, self._examples(best.steps), len(found.steps))
        return replace(result, best=best.value)

    # --- a failure ----------------------------------------------------------------------------------------------

    def _failure(self, steps: list[CampaignStep], reason: str) -> TestResult:
        limit, tries = ShrinkLimit(self.stage.executor.setting), self.settings.shrink_run_limit

        def fails(rest: Sequence[CampaignStep]) -> tuple[int, str] | None:
            found = self._replay(rest)
            limit.count(self._campaign.figures.gas)
            return found

        best, why = shrink(steps, reason, fails, tries, with_delays_of, limit.is_over)
        return self._result(CaseStatus.FAILURE, why, self._examples(best), len(steps))

    def _replay(self, steps: Sequence[CampaignStep], *, is_covered: bool = False) -> tuple[int, str] | None:
        """Replay a sequence; return the number of steps until it fails and the reason, or None."""
        for outcome in self._replayed(steps, is_covered):
            if self._campaign.figures.rejects:
                return None
            why = None if outcome is None else self._end_reason(outcome)
            if why is not None:
                return self._campaign.figures.calls, why
        why = self._check_after_invariant()
        return None if why is None else (len(steps), why)

    def _replayed(self, steps: Sequence[CampaignStep], is_covered: bool = False) -> Iterator[RawCallResult | None]:
        """Replay a sequence, and yield the outcomes of `_execute`."""
        self._begin_sequence()
        self._campaign.begin(steps, is_replay=True, is_covered=is_covered)
        while (step := self._campaign.next()) is not None:
            yield self._execute(step, is_replay=True)

    def _examples(self, steps: Sequence[CampaignStep]) -> tuple[CounterExample, ...]:
        return tuple([self.targets[step.target].example(step) for step in steps])

    def _ended(self, status: CaseStatus, reason: str | None) -> TestResult:
        """Return the result of a test that has ended before its first sequence."""
        return TestResult(
            self.test.signature, CaseKind.INVARIANT, status, reason, runs=self.runs, calls=self.calls,
            reverts=self.reverts, seed=self.seed,
            notices=(*self._notices, *(() if self.corpus_folder is None else self.corpus_folder.notices)),
        )  # fmt: skip

    def _result(
        self,
        status: CaseStatus,
        reason: str | None,
        example: tuple[CounterExample, ...] = (),
        steps: int = 0,
        last: Sequence[CampaignStep] | None = None,
    ) -> TestResult:
        """Return a result; `last` are the calls of its last sequence, by default the latest ones of a success."""
        if last is None:
            last = self._last if status is CaseStatus.SUCCESS else ()
        edges = self._campaign.coverage if self.settings.show_edge_coverage else None
        return replace(
            self._ended(status, reason), counterexample=example, shrunk_from=steps, metrics=self._table(),
            last_run=self._examples(last), edges=edges,
        )  # fmt: skip

    def _table(self) -> tuple[CallMetrics, ...]:
        """Return the numbers of calls by contract and name of the function."""
        found: dict[tuple[str, str], list[int]] = {}
        for target, figures in zip(self.targets, self._campaign.targets, strict=True):
            if figures.calls and self.settings.shows_metrics:
                row = found.setdefault((target.contract, str(target.entry["name"])), [0, 0, 0])
                row[:] = map(add, row, figures)
        return tuple(CallMetrics(*key, *counts) for key, counts in sorted(found.items()))
