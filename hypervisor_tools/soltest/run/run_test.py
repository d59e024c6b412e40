"""Execution of one contract's tests, of any kind: unit, table, fuzz, invariant or symbolic.

`setUp` runs once, then each test from the state after it. Rules: forge's. Modules for other kinds than unit tests are
imported when such a test runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.tracing import Tracer
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact
from hypervisor_tools.soltest.execution.discovery import Suite, TestFunction, special_functions, suite_defect
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot, TestExecutor, set_created_values
from hypervisor_tools.soltest.execution.inline import configure, inline_settings
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, TestResult, is_invariant
from hypervisor_tools.soltest.execution.stage import SetUpFailed, SuiteStage
from hypervisor_tools.soltest.execution.values import (
    MAX_WORDS,
    Dictionary,
    SourceLiterals,
    StateWords,
    own_literals,
    packed_words,
    pushed_words,
)
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall, load_failing_input, load_failing_sequence
from hypervisor_tools.soltest.project.project import FuzzSettings, InvariantSettings, Project
from localnet.calls.time_limit import OutOfTime
from store.blockstore import StoreError

if TYPE_CHECKING:
    from hypervisor_tools.soltest.fuzz.corpus import StoreFile
    from hypervisor_tools.soltest.trace.endless import LoopTracer


_REMOVED: Final = (
    "`testFail*` has been removed. Consider changing to test_Revert[If|When]_Condition and expecting a revert"
)
"""Failure reason of tests named `testFail*`, in forge's words, unless `Project.allow_test_fail` is set."""


class Viewer(Protocol):
    """Creates traces and stacks of tests: provides the tracers, and turns what they recorded into text."""

    def wants(self, result: TestResult) -> bool:
        """Return True if the test must be repeated with a tracer."""

    def tracer(self, result: TestResult) -> Tracer:
        """Return a new tracer for the test with this result."""

    def calls_tracer(self) -> Tracer:
        """Return a new tracer of calls only, for a test that is too long for the other one."""

    def set_up_tracer(self, suite: Suite) -> Tracer | None:
        """Return a tracer for the constructor and `setUp`, or None if they are not shown."""

    def show(self, stage: SuiteStage, set_up: Tracer | None, tracer: Tracer | None, result: TestResult) -> TestResult:
        """Return the result with trace and stack; without a `tracer` the test itself did not run."""

    def loop_tracer(self, shown: Tracer | None = None, result: TestResult | None = None) -> LoopTracer | None:
        """Return a tracer that locates an endless loop or, after `shown`, the end of a test without gas."""

    def stack_of_loop(self, stage: SuiteStage, tracer: LoopTracer) -> tuple[str, ...]:
        """Return the stack at the position that `loop_tracer` found."""


class CaseCollector(Protocol):
    """Collects data of all tests for a report."""

    def set_up_tracer(self) -> Tracer:
        """Return the tracer of the constructor and `setUp`."""

    def test_tracer(self, test: TestFunction, address: EthAddress, /) -> Tracer | None:
        """Return the tracer of all runs of a test, for the contract at an address.

        If it raises OutOfTime, the test is repeated untraced.
        """

    def replay_tracer(self, test: TestFunction, /) -> Tracer | None:
        """Return the tracer of the repetition that represents all runs of a test; None for no repetition."""

    def cut_short(self, name: str) -> None:
        """Record that the rest of a test, or of `setUp()`, runs without tracing."""


@dataclass(slots=True)
class ContractRunner:
    """Runs a contract's tests.

    `started` is called with each name before the test runs, `progress` about twice a second with the interim results of
    fuzz and invariant tests, and `known` with the result of a test before it is repeated with a tracer.
    """

    executor: TestExecutor
    artifacts: Artifacts
    project: Project
    suite: Suite
    seed: int
    started: Callable[[str], None] = lambda _: None
    known: Callable[[TestResult], None] = lambda _: None
    viewer: Viewer | None = None
    collector: CaseCollector | None = None
    progress: Callable[[TestResult], None] = lambda _: None
    ends_at_failure: bool = False
    store: StoreFile | None = None
    """Function that takes new files of corpora, which are written otherwise (`CorpusFolder`)."""

    def run(self) -> Iterator[TestResult]:
        """Yield a result for each test, or one for the failure that prevents all of them."""
        begin = perf_counter()
        executor = self.executor
        base, setting = executor.snapshot(), executor.setting
        try:
            try:
                artifact = self.artifacts.get(self.suite.file, self.suite.contract)
                defect = suite_defect(artifact)
                if defect is not None:
                    yield TestResult(defect[0], CaseKind.UNIT, CaseStatus.FAILURE, defect[1])
                    return
                stage = SuiteStage(executor, self.artifacts, artifact)
                executor.cheatcodes.settings = replace(
                    executor.cheatcodes.settings, errors=stage.errors, seed=self.seed, file=self.suite.file,
                    contract=self.suite.contract,
                    first_actor=stage.first_actor, libraries=stage.libraries,
                )  # fmt: skip
                comments = inline_settings(self._text(), self.suite.contract)
                project = configure(executor, self.project, comments, "")
                self.started("setUp()")
                seen = self._set_up_tracer()
                try:
                    self._set_up(stage, seen)
                except OutOfTime:
                    self._stop_tracing("setUp()", base)
                    seen = None if self.collector or not self.viewer else self.viewer.calls_tracer()
                    stage = SuiteStage(executor, self.artifacts, artifact)
                    self._set_up(stage, seen)
            except SetUpFailed as failure:
                for result in self._failed_set_up(stage, failure, perf_counter() - begin):
                    yield replace(self._view_set_up(base, artifact, result), gas=0)  # as in forge
                return
            except (HypervisorError, KeyError, ValueError) as error:
                executor.cheatcodes.inputs.add("nodes")  # perhaps the node of a fork
                yield _error_result("setUp()", CaseKind.UNIT, error)
                return
            yield from self._tests(stage, seen, comments, project)
        finally:
            executor.drop(base)
            executor.setting = setting

    def loop_stack(self, name: str) -> tuple[str, ...]:
        """Return the stack at which `setUp()` or a test without inputs loops endlessly; empty if unknown."""
        test = next((test for test in self.suite.tests if test.signature == name), None)
        tracer = None if self.viewer is None else self.viewer.loop_tracer()
        if self.viewer is None or tracer is None or (test is not None and test.kind is not CaseKind.UNIT):
            return ()
        base = self.executor.snapshot()
        stage = SuiteStage(self.executor, self.artifacts, self.artifacts.get(self.suite.file, self.suite.contract))
        try:
            with suppress(OutOfTime, SetUpFailed):
                self._set_up(stage, tracer if test is None else None)
                if test is not None:
                    with self.executor.machine.traced(tracer):
                        stage.call(selector(test.signature))
            return self.viewer.stack_of_loop(stage, tracer)
        finally:
            self.executor.drop(base)

    def _set_up_tracer(self) -> Tracer | None:
        if self.collector is not None:
            return self.collector.set_up_tracer()
        return None if self.viewer is None else self.viewer.set_up_tracer(self.suite)

    def _set_up(self, stage: SuiteStage, tracer: Tracer | None) -> None:
        with self.executor.machine.traced(tracer):
            if any(test.kind is CaseKind.SYMBOLIC for test in self.suite.tests):
                stage.prepare_symbolic()
            else:
                stage.build()
                stage.set_up()

    def _view_set_up(self, base: ExecutorSnapshot, artifact: ContractArtifact, result: TestResult) -> TestResult:
        """Repeat a failed `setUp` with a tracer, if the result is to be shown."""
        viewer = self.viewer
        if viewer is None or not viewer.wants(result):
            return result
        self.known(result)
        self.executor.restore(base)
        stage, tracer = SuiteStage(self.executor, self.artifacts, artifact), viewer.tracer(result)
        try:
            try:
                self._set_up(stage, tracer)
            except OutOfTime:
                self.executor.restore(base)
                stage, tracer = SuiteStage(self.executor, self.artifacts, artifact), viewer.calls_tracer()
                self._set_up(stage, tracer)
        except SetUpFailed:
            shown = viewer.show(stage, None, tracer, result)
        else:
            return result
        loop = viewer.loop_tracer(tracer, result)
        if loop is not None:
            self.executor.restore(base)
            stage = SuiteStage(self.executor, self.artifacts, artifact)
            with suppress(OutOfTime, SetUpFailed):
                self._set_up(stage, loop)
            shown = replace(shown, stack=viewer.stack_of_loop(stage, loop) or shown.stack)
        return shown

    def _tests(
        self, stage: SuiteStage, seen: Tracer | None, comments: Mapping[str, list[str]], own: Project
    ) -> Iterator[TestResult]:
        """Run the tests; `own` has the settings of the contract's comments, which are applied."""
        removed = [test for test in self.suite.tests if test.should_fail and not self.project.allow_test_fail]
        if removed:
            yield from (TestResult(test.signature, CaseKind.UNIT, CaseStatus.FAILURE, _REMOVED) for test in removed)
            return
        ready, setting, cheats = self.executor.snapshot(), self.executor.setting, self.executor.cheatcodes
        settings, has_preparation = cheats.settings, bool(special_functions(stage.artifact, "beforeTestSetup"))
        emitted_before = len(cheats.console.logs)
        warned: set[str] = set()
        state: StateWords | None = None
        sources = SourceLiterals()
        try:
            for test in self.suite.tests:
                self.started(test.signature)
                cheats.forget_outcomes()
                begin = perf_counter()
                self.executor.restore(ready)
                self.executor.setting, cheats.settings = setting, settings
                if test.kind is not CaseKind.UNIT and state is None:
                    state, sources = self._state_words(stage), own_literals(self.project, self.suite.file)
                collector = self.collector
                self.executor.machine.tracer = None if collector is None else collector.test_tracer(test, stage.address)
                try:
                    project = own
                    if test.name in comments:
                        project = configure(self.executor, self.project, comments, test.name)
                    fuzz, invariant = project.fuzz, project.invariant
                    begun = ready if self.executor.setting == setting else self.executor.snapshot()
                    here = begun
                    if has_preparation and not is_invariant(test.name):
                        if not stage.before_test(test):
                            yield TestResult(test.signature, CaseKind.UNIT, CaseStatus.FAILURE)
                            continue
                        here = self.executor.snapshot()
                    run = self._runner_of(stage, test, fuzz, invariant, here, state or StateWords(), sources)
                    try:
                        result = run()
                    except OutOfTime:
                        self._stop_tracing(test.signature, here)
                        result = run()
                    result = replace(
                        result, duration=perf_counter() - begin, measured=self._measure(), labels=self._labels()
                    )
                    replayed = None if collector is None else collector.replay_tracer(test)
                    if replayed is not None and (result.counterexample or result.last_run):
                        self._repeat(stage, test, here, result, invariant.fail_on_revert, replayed)
                    result = self._with_output(stage, test, here, seen, result, invariant.fail_on_revert)
                    unknown = [warning for warning in project.unknown_keys if warning not in warned]
                    warned.update(unknown)
                    result = replace(
                        result, emitted_before=emitted_before if result.emitted else 0,
                        notices=(*unknown, *result.notices), duration=perf_counter() - begin,
                    )  # fmt: skip
                except (HypervisorError, StoreError) as error:
                    cheats.inputs.add("nodes")  # perhaps the node of a fork
                    result = self._with_logs(_error_result(test.signature, test.kind, error))
                    result = replace(result, duration=perf_counter() - begin)
                yield result
                if self.ends_at_failure and result.status is CaseStatus.FAILURE:
                    return
        finally:
            self.executor.machine.tracer = None
            self.executor.drop(ready)

    def _measure(self) -> tuple[tuple[str, str, int], ...]:
        found = self.executor.cheatcodes.state.measured
        return tuple((group, name, value) for (group, name), value in found.items())

    def _labels(self) -> tuple[tuple[EthAddress, str], ...]:
        return tuple(self.executor.cheatcodes.state.labels.items())

    def _with_logs(self, result: TestResult) -> TestResult:
        """Return the result with the test's output, and with all logs if they are shown."""
        cheats = self.executor.cheatcodes
        emitted = tuple(cheats.console.logs) if cheats.settings.shows_logs else ()
        if not emitted and not cheats.console.lines:
            return result
        return replace(result, logs=result.logs or cheats.console.shown, emitted=result.emitted or emitted)

    def _stop_tracing(self, name: str, ready: ExecutorSnapshot) -> None:
        if self.collector is not None:
            self.collector.cut_short(name)
        self.executor.machine.tracer = None
        self.executor.restore(ready)

    def _runner_of(
        self, stage: SuiteStage, test: TestFunction, fuzz: FuzzSettings, invariant: InvariantSettings,
        ready: ExecutorSnapshot, state: StateWords, sources: SourceLiterals,
    ) -> Callable[[], TestResult]:  # fmt: skip
        """Return the function that runs a test of this kind."""
        if test.kind is CaseKind.UNIT:
            return lambda: self._unit(stage, test)
        if test.kind is CaseKind.TABLE:
            from hypervisor_tools.soltest.fuzz.table import TableRun

            return TableRun(stage, test, ready, self.progress).run
        if test.kind is CaseKind.SYMBOLIC:
            return lambda: self._symbolic(stage, test, fuzz, invariant, ready)
        from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
        from hypervisor_tools.soltest.fuzz.fuzz import FuzzRun
        from hypervisor_tools.soltest.fuzz.invariants import InvariantRun

        contract, name = self.suite.contract, test.signature
        used = fuzz if test.kind is CaseKind.FUZZ else invariant
        if used.timeout is not None:
            self.executor.cheatcodes.inputs.add("time limits")
        if used.corpus_dir is not None:
            self.executor.cheatcodes.inputs.add("files")
        stored: bytes | None = None
        sequence: tuple[StoredCall, ...] = ()
        notices: tuple[str, ...] = ()
        try:
            if test.kind is CaseKind.FUZZ:
                stored = load_failing_input(self.project, contract, name)
            else:
                sequence = load_failing_sequence(self.project, contract, name)
        except InvalidInput as damaged:  # only a replay is lost
            notices = (str(damaged),)

        def run() -> TestResult:
            corpus = CorpusFolder(self.project.root, used, contract, name, self.store)
            dictionary = Dictionary.of(used, state, sources)
            own = None if fuzz.seed == self.project.fuzz.seed else fuzz.seed
            common = (self.seed if own is None else own, ready, dictionary, self.progress)
            result = (
                FuzzRun(stage, test, fuzz, *common, stored, corpus).run()
                if test.kind is CaseKind.FUZZ
                else InvariantRun(stage, test, invariant, *common, sequence, corpus).run()
            )
            return replace(result, notices=(*notices, *result.notices)) if notices else result

        return run

    def _symbolic(
        self, stage: SuiteStage, test: TestFunction, fuzz: FuzzSettings, invariant: InvariantSettings,
        ready: ExecutorSnapshot,
    ) -> TestResult:  # fmt: skip
        """Run a symbolic test. Inputs of a fuzz test that reach something new are added to its corpus."""
        from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
        from hypervisor_tools.soltest.fuzz.fuzz import FuzzRun
        from hypervisor_tools.soltest.symbolic.invariants import SymbolicInvariantRun  # z3 is optional
        from hypervisor_tools.soltest.symbolic.run import SymbolicRun

        runner = SymbolicInvariantRun if is_invariant(test.name) else SymbolicRun
        run = runner(stage, test, replace(self.project, fuzz=fuzz, invariant=invariant), ready)
        result = run.run()
        if fuzz.corpus_dir is None or not test.name.startswith("test") or stage.defers_set_up:
            return result
        folder = CorpusFolder(self.project.root, fuzz, self.suite.contract, test.signature, self.store)
        settings = replace(fuzz, runs=0)
        concrete = FuzzRun(stage, test, settings, 0, ready, Dictionary(), corpus_folder=folder, found=run.inputs).run()
        self.executor.restore(ready)
        if result.status is CaseStatus.UNDECIDED and concrete.status is CaseStatus.FAILURE:
            return replace(concrete, kind=CaseKind.SYMBOLIC, runs=result.runs, seed=None)
        return result

    def _unit(self, stage: SuiteStage, test: TestFunction) -> TestResult:
        outcome = stage.call(selector(test.signature))
        status, reason = stage.verdict(outcome, test.should_fail)
        gas = 0 if status is CaseStatus.SKIPPED else outcome.gas_used
        return TestResult(test.signature, CaseKind.UNIT, status, reason, gas)

    def _with_output(
        self, stage: SuiteStage, test: TestFunction, ready: ExecutorSnapshot, seen: Tracer | None, result: TestResult,
        fails_on_revert: bool,
    ) -> TestResult:  # fmt: skip
        """Return the result with logs, traces and stack.

        As in forge, the logs are those of all rows for a table test, of the last sequence for an invariant test, and of
        `setUp` for a skipped test.
        """
        has_sequence = result.is_sequence and bool(result.counterexample or result.last_run)
        if result.kind is CaseKind.TABLE:
            result = self._with_logs(result)
        is_repeated = self.viewer is not None and self.viewer.wants(result)
        if has_sequence and not is_repeated and self.executor.cheatcodes.settings.shows_logs:
            self._repeat(stage, test, ready, result, fails_on_revert, None)
        result = self._run_viewed(stage, test, ready, seen, result, fails_on_revert)
        if result.status is CaseStatus.SKIPPED or (result.is_sequence and not has_sequence):
            self.executor.restore(ready)
        return self._with_logs(result)

    def _run_viewed(
        self, stage: SuiteStage, test: TestFunction, ready: ExecutorSnapshot, seen: Tracer | None, result: TestResult,
        fails_on_revert: bool,
    ) -> TestResult:  # fmt: skip
        """Repeat a test with a tracer, if it is to be shown: its counterexample, or its last run."""
        viewer = self.viewer
        if viewer is None:
            return result
        if result.status is CaseStatus.SKIPPED:
            return viewer.show(stage, seen, None, result) if viewer.wants(result) else result
        again = partial(self._repeat, stage, test, ready, result, fails_on_revert)
        if not viewer.wants(result):
            out_of_gas_frame = result.status is CaseStatus.FAILURE and result.gas > self.executor.gas_limit * 9 // 10
            loop = viewer.loop_tracer() if out_of_gas_frame else None
            return result if loop is None else self._with_loop_stack(stage, result, loop, again)
        never_held = result.is_sequence and result.status is CaseStatus.FAILURE and not result.calls
        if result.kind is not CaseKind.UNIT and not (result.counterexample or result.last_run or never_held):
            return viewer.show(stage, seen, None, result)  # it did not run
        self.known(self._with_logs(result))
        tracer = viewer.tracer(result)
        try:
            has_ended_so = again(tracer)
        except OutOfTime:
            tracer = viewer.calls_tracer()
            has_ended_so = again(tracer)
        if not has_ended_so:
            return result
        shown = viewer.show(stage, seen, tracer, result)
        loop = viewer.loop_tracer(tracer, result)
        return shown if loop is None else self._with_loop_stack(stage, shown, loop, again)

    def _repeat(
        self, stage: SuiteStage, test: TestFunction, ready: ExecutorSnapshot, result: TestResult, fails_on_revert: bool,
        tracer: Tracer | None,
    ) -> bool:  # fmt: skip
        """Repeat a test with a tracer; return False if it failed before and does not fail now."""
        calls = result.counterexample or result.last_run
        self.executor.restore(ready)
        with self.executor.machine.traced(tracer), self.executor.cheatcodes.replay():
            if result.is_sequence:
                from hypervisor_tools.soltest.fuzz.invariants import call_sequence

                has_failed = call_sequence(stage, test, fails_on_revert, calls)
                return has_failed or result.status is not CaseStatus.FAILURE
            if calls:
                set_created_values(self.executor, calls[0].created)
            stage.call_test(calls[0].calldata if calls else selector(test.signature))
            return True

    def _with_loop_stack(
        self, stage: SuiteStage, result: TestResult, loop: LoopTracer, again: Callable[[Tracer], bool]
    ) -> TestResult:
        """Return the result with the stack at which the test ran out of gas."""
        assert self.viewer is not None
        with suppress(OutOfTime):
            again(loop)
        stack = self.viewer.stack_of_loop(stage, loop)
        return replace(result, stack=stack, note="") if stack else result

    def _failed_set_up(self, stage: SuiteStage, failure: SetUpFailed, duration: float) -> Iterator[TestResult]:
        if stage.is_skip(failure.outcome):
            status, reason = stage.verdict(failure.outcome)
            yield TestResult("setUp()", CaseKind.UNIT, status, f"skipped: {reason}" if reason else "skipped")
            return
        reason, gas = stage.reason(failure.outcome), failure.outcome.gas_used
        result = TestResult(failure.step, CaseKind.UNIT, CaseStatus.FAILURE, reason, gas, duration=duration)
        yield self._with_logs(result)

    def _state_words(self, stage: SuiteStage) -> StateWords:
        executor, since = self.executor, stage.first_actor
        return StateWords(
            packed_words(int.from_bytes(address, "big") for address in executor.accounts(since)),
            tuple(packed_words(pushed_words(code)) for _, code in executor.contracts(since)),
            packed_words(chain.from_iterable(islice(executor.slots(since), MAX_WORDS))),
            frozenset(stage.libraries.values()),
        )

    def _text(self) -> str:
        try:
            return (self.project.root / self.suite.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""  # artifacts without their sources have no inline settings


def _error_result(signature: str, kind: CaseKind, error: Exception) -> TestResult:
    """Return the result for an internal error or a corrupt artifact."""
    text = f"{type(error).__name__}: {error}" if not isinstance(error, InvalidInput) else str(error)
    return TestResult(signature, kind, CaseStatus.FAILURE, text)
