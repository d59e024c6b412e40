"""Tests of a Foundry project under two sets of rules: those whose outcome, gas or events differ, and why.

Each test runs once on either side with the same inputs. Only tests that differ run again, traced, with the inputs that
show the difference. Under Ethereum's rules their instructions are compared (`instructions`), under Filecoin's the
charges of their calls (`execution`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from statistics import mean
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.ethereum.block import ETHEREUM, SYSTEM_ADDRESS
from bridge.filecoin.receipts import Log
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.tracing import CallNode
from hypervisor.versions.changes import RuleChange, version_changes
from hypervisor.versions.network_versions import LATEST, network_version
from hypervisor_tools.bundles import build
from hypervisor_tools.jobs.run import run_all
from hypervisor_tools.laboratory.compare.explanation import Explanation, explain_steps
from hypervisor_tools.laboratory.compare.instructions import InstructionTracer, compare_steps
from hypervisor_tools.laboratory.compare.message_reasons import SourcePlaces, explain_charges
from hypervisor_tools.laboratory.compare.tally import CallNames, CostTracer
from hypervisor_tools.laboratory.sides import Side
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite, TestFunction
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot, evm_version_of
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, CounterExample, SuiteResult, TestResult
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.fuzz.invariants import call_sequence
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import EVM_VERSIONS, rules_of
from hypervisor_tools.soltest.run.serving import viewer_of
from hypervisor_tools.soltest.run.session import SuiteSession
from hypervisor_tools.soltest.run.staged_test import begin_test, staged_suite, suite_comments
from hypervisor_tools.soltest.trace.call_text import call_texts
from hypervisor_tools.soltest.trace.frames import creates
from hypervisor_tools.soltest.trace.trace_names import Names
from localnet.calls.time_limit import OutOfTime
from runtimes.evm.forks import fork_changes, fork_named
from store.blockstore import StoreError

OUTCOME, REASON, GAS, EVENTS = "outcome", "reason", "gas", "events"
_SET_UP: Final = ("setUp()", "constructor()")


def side_changes(side: Side, job: Job) -> dict[str, Any]:
    """Return the fields of a job that make its tests run on one side. Raises InvalidInput."""
    if side.hardfork:
        version = side.hardfork.lower()
        fork = rules_of(version) if version in EVM_VERSIONS else side.hardfork
        return {"project": replace(job.project, fork=fork)}
    bundle = side.bundle
    if side.actors:
        row = side.row(LATEST)
        bundle = Bundle.from_car(build(bundle or Bundle.for_actors(row.actors, row.rules), dict(side.actors)))
    return {"network": side.network, "overlay": side.overlay, "bundle": bundle}


def with_same_inputs(project: Project, sides: tuple[Side, Side]) -> Project:
    """Return the settings of a project for a comparison.

    Inputs of fuzz tests do not depend on results, and the code is that of the oldest EVM version.
    """
    own = evm_version_of(project)
    versions = [version for version in (own, *(side.hardfork.lower() for side in sides)) if version in EVM_VERSIONS]
    oldest = min(versions, key=EVM_VERSIONS.index, default=own)
    return replace(
        project,
        compiler=project.compiler if oldest == own else project.compiler._replace(evm_version=oldest),
        fuzz=replace(project.fuzz, learns=False, corpus_dir=None),
        invariant=replace(project.invariant, corpus_dir=None),
    )


_NO_EXPLANATION: Final = Explanation()
Emitted = tuple[EthAddress, Log]
"""A log with its emitter."""


@dataclass(frozen=True, slots=True)
class TestChange:
    """A test that differs: what differs, and its result, gas and number of events after `setUp` on both sides."""

    __test__ = False  # keeps pytest from collecting it

    suite: str
    test: str
    kinds: tuple[str, ...]
    ends: tuple[str, str]
    gas: tuple[int, int]
    events: tuple[int, int]
    logs: tuple[Emitted | None, Emitted | None] = (None, None)
    """The first log that differs, on both sides."""
    explanation: Explanation = _NO_EXPLANATION


@dataclass(frozen=True, slots=True)
class TestComparison:
    """Tests on both sides: their number, how many fail on both, and those that differ."""

    __test__ = False  # keeps pytest from collecting it

    labels: tuple[str, str]
    tests: tuple[tuple[str, str], ...]
    failing: int
    changes: tuple[TestChange, ...]
    seed: int
    """Seed of the inputs of fuzz tests."""

    @property
    def has_other_outcomes(self) -> bool:
        """True if a test passes, fails or is skipped on one side only."""
        return any(OUTCOME in change.kinds for change in self.changes)


def compare_suites(
    session: SuiteSession, sides: tuple[Side, Side], tolerance: float
) -> tuple[TestComparison, list[SuiteResult]]:
    """Run the tests of a prepared session on both sides, and compare them; also return the results of the second.

    Gas differs by more than `tolerance` percent.
    """
    job = replace(session.job(), options=session.options._replace(shows_logs=True, records_logs=True))
    changes = [side_changes(side, job) for side in sides]
    suites = [list(session.run(options=job.options, **each)) for each in changes]
    one, other = (results_of(each) for each in suites)
    job = replace(session.job(), options=job.options)  # now with the block of a fork
    jobs = replace(job, **changes[0]), replace(job, **changes[1])
    found = explained(compare_results(one, other, tolerance), session.suites, jobs, (one, other))
    failing = sum(
        test.status is CaseStatus.FAILURE and other[key].status is CaseStatus.FAILURE
        for key, test in one.items()
        if key in other
    )
    labels = sides[0].label, sides[1].label
    return TestComparison(labels, tuple({**one, **other}), failing, tuple(found), session.seed), suites[1]


Results = Mapping[tuple[str, str], TestResult]


def results_of(suites: Sequence[SuiteResult]) -> dict[tuple[str, str], TestResult]:
    """Return the results by suite and test."""
    return {(suite.name, test.signature): test for suite in suites for test in suite.tests}


def gas_of(test: TestResult | None) -> int:
    """Return the gas of a test: of its runs the mean."""
    if test is None:
        return 0
    return int(mean(test.gases)) if test.gases and test.kind is not CaseKind.UNIT else test.gas


def compare_results(one: Results, other: Results, tolerance: float) -> list[TestChange]:
    """Return the tests that differ; gas by more than `tolerance` percent."""
    found = []
    for key in {**one, **other}:
        mine, others = one.get(key), other.get(key)
        kinds = tuple(kind for kind, differs in _differ(mine, others, tolerance) if differs)
        if kinds:
            ends, gas = (_end(mine), _end(others)), (gas_of(mine), gas_of(others))
            events = _events(mine), _events(others)
            found.append(TestChange(*key, kinds, ends, gas, (len(events[0]), len(events[1])), _first_other(*events)))
    return found


def _first_other(one: Sequence[Emitted], other: Sequence[Emitted]) -> tuple[Emitted | None, Emitted | None]:
    """Return the first logs that differ, None for a missing one."""
    return next((pair for pair in zip_longest(one, other) if pair[0] != pair[1]), (None, None))


def _differ(one: TestResult | None, other: TestResult | None, tolerance: float) -> Iterator[tuple[str, bool]]:
    status = (None if test is None else test.status for test in (one, other))
    yield OUTCOME, len(set(status)) > 1
    if one is None or other is None:
        return
    yield REASON, one.status is other.status and one.reason != other.reason
    before, after = gas_of(one), gas_of(other)
    yield GAS, before != after and abs(after - before) * 100 > tolerance * before
    yield EVENTS, _events(one) != _events(other)


def _events(test: TestResult | None) -> Sequence[Emitted]:
    return () if test is None else test.emitted[test.emitted_before :]


def _end(test: TestResult | None) -> str:
    return "not run" if test is None else f"{test.status.value}{f': {test.reason}' if test.reason else ''}"


# --- explanations ----------------------------------------------------------------------------------------------------


class SuiteToExplain(NamedTuple):
    """Tests of a suite that differ, each with the calls that show it (none for a unit test); `setUp()` if it fails."""

    suite: Suite
    tests: tuple[tuple[TestFunction, tuple[CounterExample, ...]], ...]
    changes: tuple[TestChange, ...]


def explained(
    changes: Sequence[TestChange], suites: Sequence[Suite], jobs: tuple[Job, Job], results: tuple[Results, Results]
) -> list[TestChange]:
    """Return the changes with explanations, which are found in several processes."""
    todo = []
    for suite in suites:
        key = f"{suite.file}:{suite.contract}"
        ours = tuple(change for change in changes if change.suite == key)
        names = {change.test for change in ours}
        tests = tuple(
            (test, _calls(*(each.get((key, test.signature)) for each in results)))
            for test in suite.tests
            if test.signature in names
        )
        if ours:
            todo.append(SuiteToExplain(suite, tests, ours))
    found: dict[tuple[str, str], Explanation] = {}
    work = partial(explain_suite, jobs=jobs)
    for part in run_all(work, todo, jobs[0].options.workers, "suites", lost=_unexplained):
        found.update(part)
    return [replace(change, explanation=found.get((change.suite, change.test), _NO_EXPLANATION)) for change in changes]


def _unexplained(todo: SuiteToExplain, error: Exception) -> dict[tuple[str, str], Explanation]:
    return {(change.suite, change.test): Explanation(note=str(error)) for change in todo.changes}


def _calls(one: TestResult | None, other: TestResult | None) -> tuple[CounterExample, ...]:
    """Return the calls that show a difference: those that fail on one side, else those of the last run."""
    tests = [test for test in (other, one) if test is not None]
    failed = next((test.counterexample for test in tests if test.counterexample), ())
    return failed or next((test.last_run for test in tests if test.last_run), ())


def explain_suite(todo: SuiteToExplain, jobs: tuple[Job, Job]) -> dict[tuple[str, str], Explanation]:
    """Run tests of a suite on both sides with a tracer, and return the explanations by suite and test."""
    pair = _Pair(jobs, todo.suite)
    found = _explanations(todo, pair)
    return {
        (change.suite, change.test): pair.with_event(change, found.get(change.test, _NO_EXPLANATION))
        for change in todo.changes
    }


def _explanations(todo: SuiteToExplain, pair: _Pair) -> dict[str, Explanation]:
    suite, jobs, names = todo.suite, pair.jobs, [change.test for change in todo.changes]
    with ExitStack() as stack:
        if any(name in _SET_UP for name in names):
            tracers = pair.tracer(), pair.tracer()
            for job, tracer in zip(jobs, tracers, strict=True):
                with suppress(InvalidInput):
                    stack.enter_context(staged_suite(job, pair.artifacts, suite, suite.contract, tracer))
            found = pair.explain(None, tracers)
            return dict.fromkeys(names, found)
        try:
            stages = [stack.enter_context(staged_suite(job, pair.artifacts, suite, suite.contract)) for job in jobs]
        except (HypervisorError, StoreError) as error:
            return dict.fromkeys(names, Explanation(note=str(error)))
        ready = [stage.executor.snapshot() for stage in stages]
        comments = suite_comments(jobs[0], suite)
        return {
            test.signature: pair.explain_test((stages[0], stages[1]), (ready[0], ready[1]), comments, test, calls)
            for test, calls in todo.tests
        }


class _Pair:
    """A suite on both sides."""

    def __init__(self, jobs: tuple[Job, Job], suite: Suite) -> None:
        self.jobs, self.suite = jobs, suite
        first = jobs[0]
        self.artifacts = Artifacts(first.project.root, first.locations, first.sources, first.test_files)
        self.viewer, self.places = viewer_of(first, self.artifacts), SourcePlaces(self.artifacts)
        self.is_ethereum = first.options.rules == ETHEREUM
        self.forks = fork_named(first.project.fork), fork_named(jobs[1].project.fork)
        self.changes = self._changes()

    def _changes(self) -> Mapping[str, RuleChange]:
        if self.is_ethereum:
            return fork_changes(*self.forks)
        rows = (network_version(job.network or LATEST.number, job.overlay) for job in self.jobs)
        return version_changes(*rows)

    def with_event(self, change: TestChange, found: Explanation) -> Explanation:
        """Return an explanation with the first event that differs, and the change of rules that emits it."""
        if change.logs == (None, None):
            return found
        texts = ["no event" if log is None else self._event_text(*log) for log in change.logs]
        sent = any(log is not None and log[0] == SYSTEM_ADDRESS for log in change.logs)
        reasons = (self.changes["transfer_logs"],) if sent and "transfer_logs" in self.changes else ()
        return found._replace(event=" -> ".join(texts), reasons=tuple(dict.fromkeys((*found.reasons, *reasons))))

    def _event_text(self, emitter: EthAddress, log: Log) -> str:
        if emitter == SYSTEM_ADDRESS:
            return "Transfer of value"
        known = self.places.known.events.get((log.topics[0], len(log.topics))) if log.topics else None
        read = None if known is None else known.read_log(log)
        name = f"event {log.topics[0].hex()[:8]}..." if log.topics else "anonymous event"
        return f"{name if read is None else read[0]['name']} of {checksummed(emitter)}"

    def tracer(self) -> CostTracer:
        return InstructionTracer() if self.is_ethereum else CostTracer()

    def explain_test(
        self, stages: tuple[SuiteStage, SuiteStage], ready: tuple[ExecutorSnapshot, ExecutorSnapshot],
        comments: Mapping[str, list[str]], test: TestFunction, calls: Sequence[CounterExample],
    ) -> Explanation:  # fmt: skip
        """Run a test on both sides with a tracer, and compare."""
        if test.kind not in (CaseKind.UNIT, CaseKind.SYMBOLIC) and not calls:
            return Explanation(note="the test did not run")
        tracers = self.tracer(), self.tracer()
        used = []
        try:
            for job, stage, mark, tracer in zip(self.jobs, stages, ready, tracers, strict=True):
                used.append(_run(job, stage, mark, comments, test, calls, tracer))
        except OutOfTime as error:
            return Explanation(note=f"the test is too long to compare its instructions: stopped {error}")
        except (HypervisorError, StoreError) as error:
            return Explanation(note=str(error))
        ends = tuple(_after_call(tracer, gas) for tracer, gas in zip(tracers, used, strict=True))
        return self.explain(stages[0], tracers, (ends[0], ends[1]))

    def explain(
        self, stage: SuiteStage | None, tracers: tuple[CostTracer, CostTracer], ends: tuple[int, int] = (0, 0)
    ) -> Explanation:
        """Compare two traced runs; `ends` is the gas that was charged after each."""
        one, other = tracers
        names = None if stage is None else self.viewer.names(stage, by_code=True)
        if isinstance(one, InstructionTracer) and isinstance(other, InstructionTracer):
            found = compare_steps(one, other, self.changes, {**self.forks[0].precompiles, **self.forks[1].precompiles})
            return explain_steps(found, self.changes, ends, self.places.text)
        call_names = _TestNames(stage, names) if stage is not None and names is not None else None
        return explain_charges((one.take(), other.take()), call_names, self.changes)


def _run(
    job: Job, stage: SuiteStage, ready: ExecutorSnapshot, comments: Mapping[str, list[str]], test: TestFunction,
    calls: Sequence[CounterExample], tracer: CostTracer,
) -> int:  # fmt: skip
    """Run a test from the state after `setUp` with a tracer; return its gas, 0 for a sequence of calls."""
    stage.executor.restore(ready)
    begin_test(stage, job, comments, test)
    with stage.executor.machine.traced(tracer):
        if test.kind is CaseKind.INVARIANT:
            call_sequence(stage, test, job.project.invariant.fail_on_revert, calls)
            return 0
        return stage.call_test(calls[0].calldata if calls else selector(test.signature)).gas_used


def _after_call(tracer: CostTracer, used: int) -> int:
    """Return what a traced call of `used` gas was charged after it: refunds, or the minimum for its calldata."""
    if not isinstance(tracer, InstructionTracer) or not used or not tracer.frames:
        return 0
    end = tracer.frames[0].end
    return 0 if end is None else used - end.gas_used


class _TestNames(CallNames):
    """Names of calls by the contracts of the project."""

    def __init__(self, stage: SuiteStage, names: Names) -> None:
        super().__init__(stage.executor.machine.manifest)
        self._names = names

    def method(self, call: CallNode) -> str:
        """Return `Contract.function` or `new Contract`, or the name of a built-in actor's method."""
        if self._names.known.of(call) is None:
            return super().method(call)
        self._names.learn([call])
        if creates(call):
            return f"new {self._names.code_name(call)}"
        return f"{self._names.code_name(call)}.{call_texts(call, self._names)[0]}"
