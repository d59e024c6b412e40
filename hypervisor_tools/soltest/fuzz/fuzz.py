"""Fuzz tests: a test runs with many inputs, each from the state after `setUp`; a failing input is shrunk.

Rules: forge's. Inputs rejected by an assumption do not count as runs, and too many of them fail the test. The seed and
the test's name determine every input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import Final, TypeGuard

from bridge.ethereum.block import ETHEREUM
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.execution.discovery import TestFunction
from hypervisor_tools.soltest.execution.executor import (
    ExecutorSettings,
    ExecutorSnapshot,
    RawCallResult,
    TestExecutor,
    is_rejected,
)
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, CounterExample, TestResult
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.execution.values import Dictionary, parameter_messages, types
from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
from hypervisor_tools.soltest.fuzz.coverage import Coverage, coverage_plan
from hypervisor_tools.soltest.fuzz.fixtures import find_fixtures, unused_fixtures
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.project.project import FuzzSettings
from hypervisor_tools.soltest.trace.frames import FrameTracer, acts_as, frames_by_end, is_reverted_call
from hypervisor_tools.soltest.value_text import arguments_text
from runtimes.evm.revm import LEAST_GAS, Campaign, CampaignPlan, CampaignStep, CampaignTarget

_MAX_SHRINKS: Final = 5000
_SHRINK_GAS: Final = 20_000_000_000
"""Gas that shrinking a failure may use: some seconds of the fast engine. A limit in time would depend on the load."""
_SLOW_SHRINK_GAS: Final = 40_000_000
"""The same for the engine `py-evm`."""
_FILECOIN_SHRINK_GAS, _SLOW_FILECOIN_SHRINK_GAS = 20_000_000_000, 2_000_000_000
"""The same under Filecoin's rules, whose gas of a call is a hundred to a thousand times as much."""
_PROGRESS_SECONDS: Final = 0.5


class ShrinkLimit:
    """Limit of the gas that shrinking one failure uses."""

    def __init__(self, setting: ExecutorSettings) -> None:
        fast, slow = _SHRINK_GAS, _SLOW_SHRINK_GAS
        if setting.rules != ETHEREUM:
            fast, slow = _FILECOIN_SHRINK_GAS, _SLOW_FILECOIN_SHRINK_GAS
        self._left = slow if setting.evm == "py-evm" else fast

    def count(self, gas: int) -> None:
        """Count the gas of calls, at least LEAST_GAS each."""
        self._left -= gas

    def is_over(self) -> bool:
        """Return True if shrinking must end."""
        return self._left <= 0


class Deadline:
    """Timer of a long test: reports progress at the start and then about twice a second, and ends it at the timeout."""

    def __init__(self, timeout: float | None = None) -> None:
        self._next = monotonic()
        self._end = None if timeout is None else self._next + timeout

    def is_over(self) -> bool:
        """Return True if the timeout has passed."""
        return self._end is not None and monotonic() >= self._end

    def is_progress_due(self) -> bool:
        """Return True if progress is to be reported. Cheap to call."""
        time = monotonic()
        if time < self._next:
            return False
        self._next = time + _PROGRESS_SECONDS
        return True


@dataclass(slots=True)
class FuzzRun:
    """A running fuzz test. `ready` is the state after `setUp`."""

    stage: SuiteStage
    test: TestFunction
    settings: FuzzSettings
    seed: int
    ready: ExecutorSnapshot
    dictionary: Dictionary
    progress: Callable[[TestResult], None] = lambda _: None
    stored: bytes | None = None
    """Calldata of an earlier failure, which is run first."""
    corpus_folder: CorpusFolder | None = None
    found: Sequence[bytes] = ()
    """Calldata to add to the corpus if it reaches something new."""
    last: bytes = b""
    """Calldata of the latest counted run."""
    first_stipend: int = 0
    """Intrinsic gas of the first run."""
    _coverage: Coverage | None = None
    _is_ready: bool = False
    """True if the current state is known to be that after `setUp`."""
    _campaign: Campaign = field(init=False)
    _selector: bytes = b""
    _types: tuple[str, ...] = ()
    _notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._selector, self._types = selector(self.test.signature), tuple(types(self.test.entry["inputs"]))

    def run(self) -> TestResult:
        """Execute runs until all are done or one fails."""
        stage, settings = self.stage, self.settings
        fixtures = find_fixtures(stage)
        self._notices = unused_fixtures(fixtures, [self.test.entry])
        stage.executor.restore(self.ready)
        parameters = parameter_messages(self.test.entry, self.dictionary.enum_size, fixtures)
        plan = CampaignPlan(
            seed_of(self.stage, self.test, self.seed), keeps=False, depth=settings.runs,
            targets=(CampaignTarget(stage.address, self._selector, parameters),), senders=(stage.sender,),
            dictionary=self.dictionary.message(), max_rejects=settings.max_test_rejects,
            weight=settings.dictionary_weight, learns=settings.learns, has_storage=self.dictionary.takes_storage,
            **coverage_plan(stage.executor, settings),
        )  # fmt: skip
        with opened_campaign(stage.executor, plan) as self._campaign:
            if settings.collects_edges:
                self._coverage = Coverage(stage.executor, self._campaign, settings)
            result = self._run()
            self._write_inputs()
            return result

    def _run(self) -> TestResult:
        campaign, deadline = self._campaign, Deadline(self.settings.timeout)
        campaign.begin()
        if self._is_input(self.stored):
            campaign.queue(self._step(self.stored))
            ended = self._run_next(alone=True) if self.settings.runs else None
            if ended is not None:
                return ended
        broken = self._run_corpus(deadline)
        if broken is not None:
            return broken
        while campaign.figures.calls < self.settings.runs and not deadline.is_over():
            if deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None))
            ended = self._run_next()
            self._write_inputs()
            if ended is not None:
                return ended
        return self._result(CaseStatus.SUCCESS, None)

    def _run_next(self, *, alone: bool = False) -> TestResult | None:
        """Execute the next run and, unless `alone`, others in the session; return the result if the test ends."""
        campaign = self._campaign
        data = self._next_data()
        if not self.first_stipend:
            self.first_stipend = self.stage.executor.intrinsic_gas(data)
        outcome = self._call(alone)
        if outcome is None:
            return None
        if outcome.is_counted:
            return self._rejected() if is_rejected(outcome) else None
        if campaign.is_lost:  # it has failed in one of the runs
            return self._result(*self.stage.verdict(outcome), outcome.gas_used)
        data = self._next_data()
        if self._coverage is not None:
            self._coverage.take(outcome)
        if is_rejected(outcome):
            take_outcome(campaign, outcome)
            return self._rejected()
        status, reason = self._verdict(data, outcome)
        if status is CaseStatus.FAILURE:
            return self._failure(data, outcome, reason)
        if status is CaseStatus.SKIPPED:
            return self._result(status, reason)
        take_outcome(campaign, outcome)
        return None

    def _next_data(self) -> bytes:
        """Return the calldata of the next run."""
        step = self._campaign.next()
        assert step is not None
        return step.data

    def _rejected(self) -> TestResult | None:
        """Return the result if too many inputs were rejected."""
        limit = self.settings.max_test_rejects
        if self._campaign.figures.rejects <= limit:
            return None
        return self._result(CaseStatus.FAILURE, f"`vm.assume` rejected too many inputs ({limit} allowed)")

    def _write_inputs(self) -> None:
        """Write the inputs that have reached something new."""
        if self._coverage is not None and self.corpus_folder is not None and not self._campaign.is_lost:
            for (step,) in self._campaign.end_sequence():
                self.corpus_folder.write([self._stored_call(step.data)])

    def _stored_call(self, data: bytes) -> StoredCall:
        return StoredCall(self.stage.sender, self.stage.address, data)

    def _run_corpus(self, deadline: Deadline) -> TestResult | None:
        """Run the corpus, which does not count as runs; return a result if one of its inputs fails."""
        folder, coverage, campaign = self.corpus_folder, self._coverage, self._campaign
        if folder is None or coverage is None:
            return None
        stored = ((calls[0].calldata if len(calls) == 1 else None, True) for calls in folder.read())
        for data, is_stored in chain(stored, ((data, False) for data in self.found)):
            if not self._is_input(data):
                continue
            if deadline.is_over():
                break
            campaign.begin([self._step(data)], is_replay=True)
            outcome = self._call(alone=True)
            assert outcome is not None
            if campaign.is_lost:
                return self._result(*self.stage.verdict(outcome), outcome.gas_used)
            coverage.take(outcome)
            if is_rejected(outcome):
                if is_stored:
                    folder.drop()
                continue
            has_new = campaign.figures.reached > 0
            if has_new and not is_stored:
                folder.write([self._stored_call(data)])
            elif is_stored and not has_new:
                folder.drop()
            status, reason = self._verdict(data, outcome)
            if status is CaseStatus.FAILURE:
                return self._failure(data, outcome, reason)
        campaign.begin()
        return None

    def _is_input(self, data: bytes | None) -> TypeGuard[bytes]:
        """Return True for calldata of this function."""
        if data is None or not self._types or data[:4] != self._selector:
            return False
        try:
            decode(self._types, data[4:])
        except CheatcodeFailure:
            return False
        return True

    def _step(self, data: bytes) -> CampaignStep:
        return CampaignStep(self.stage.sender, 0, data)

    def _call(self, alone: bool) -> RawCallResult | None:
        """Execute the next run, or runs."""
        self._restore()
        alone = alone or self.test.should_fail
        jumps = None if self._coverage is None else self._coverage.start()
        outcome = self.stage.executor.call_next(self._campaign, commit=False, alone=alone, jumps=jumps)
        self._is_ready = outcome is not None and not outcome.may_change_state
        return outcome

    def _called(self, data: bytes) -> RawCallResult:
        """Execute a run with calldata."""
        self._restore()
        outcome = self.stage.call(data, commit=False)
        self._is_ready = not outcome.may_change_state
        return outcome

    def _restore(self) -> None:
        if not self._is_ready:
            self.stage.executor.restore(self.ready)
        self._is_ready = False

    def _verdict(self, data: bytes, outcome: RawCallResult) -> tuple[CaseStatus, str | None]:
        """Return the status of a run, which succeeds if another contract reverted first, unless `fail_on_revert`.

        Rule: forge's.
        """
        status, reason = self.stage.verdict(outcome, self.test.should_fail)
        strict = self.settings.fail_on_revert or self.test.should_fail or outcome.success
        if status is CaseStatus.FAILURE and not strict and self._others_reverted(data):
            return CaseStatus.SUCCESS, None
        return status, reason

    def _others_reverted(self, data: bytes) -> bool:
        """Return True if the first call that reverted was not of the test contract; repeats the run to trace it."""
        machine, tracer = self.stage.executor.machine, FrameTracer(self.stage.executor.setting.rules)
        with machine.traced(tracer):
            self._called(data)
        first = next((frame for frame in frames_by_end(tracer.roots) if is_reverted_call(frame)), None)
        return first is not None and acts_as(first) not in (self.stage.address, VM_ADDRESS)

    def _failure(self, data: bytes, outcome: RawCallResult, reason: str | None) -> TestResult:
        """Return the failure with the simplest inputs that still fail."""
        simple, outcome, reason = self._shrink(data, outcome, reason)
        inputs, arguments = self.test.entry["inputs"], decode(self._types, simple[4:])
        text, raw = arguments_text(inputs, arguments), arguments_text(inputs, arguments, raw=True)
        example = CounterExample(simple, text, raw_arguments=raw)
        return self._result(CaseStatus.FAILURE, reason, outcome.gas_used, (example,))

    def _shrink(
        self, data: bytes, outcome: RawCallResult, reason: str | None
    ) -> tuple[bytes, RawCallResult, str | None]:
        campaign, limit = self._campaign, ShrinkLimit(self.stage.executor.setting)
        best, found = data, (outcome, reason)
        candidate = b"" if campaign.is_lost else campaign.simpler(0, data)
        for _ in range(_MAX_SHRINKS):
            if not candidate or limit.is_over():
                break
            tried = self._called(candidate)
            limit.count(max(tried.gas_used, LEAST_GAS))
            fails = not is_rejected(tried)
            if fails:
                status, why = self._verdict(candidate, tried)
                fails = status is CaseStatus.FAILURE
            if fails:
                best, found = candidate, (tried, why)
            candidate = b"" if campaign.is_lost else campaign.still_simpler(fails)
        return best, *found

    def _result(
        self, status: CaseStatus, reason: str | None, gas: int = 0, example: tuple[CounterExample, ...] = ()
    ) -> TestResult:
        campaign = self._campaign
        if campaign.is_lost:
            return TestResult(self.test.signature, CaseKind.FUZZ, status, reason, gas, counterexample=example)
        figures, gases, last = campaign.figures, campaign.gases, campaign.steps
        self.last = last[0].data if last else b""
        return TestResult(
            self.test.signature, CaseKind.FUZZ, status, reason, gas, gases, figures.calls, rejects=figures.rejects,
            seed=self.seed, counterexample=example,
            last_run=(CounterExample(self.last, ""),) if last and not example else (),
            edges=campaign.coverage if self.settings.show_edge_coverage else None, first_stipend=self.first_stipend,
            notices=(*self._notices, *(() if self.corpus_folder is None else self.corpus_folder.notices)),
        )  # fmt: skip


def seed_of(stage: SuiteStage, test: TestFunction, seed: int) -> str:
    """Return the seed of one test, from that of the run."""
    return f"{seed}:{stage.artifact.file}:{stage.artifact.name}:{test.signature}"


@contextmanager
def opened_campaign(executor: TestExecutor, plan: CampaignPlan) -> Iterator[Campaign]:
    """Open a campaign of a test for the context."""
    campaign = Campaign(executor.campaign_guest(), plan)
    try:
        yield campaign
    finally:
        campaign.close()


def take_outcome(campaign: Campaign, outcome: RawCallResult) -> None:
    """Give a campaign the outcome of its call."""
    campaign.take(
        success=outcome.success, rejected=is_rejected(outcome), gas=outcome.gas_used, output=outcome.output,
        logs=outcome.logs, words=outcome.touched_words,
    )  # fmt: skip
