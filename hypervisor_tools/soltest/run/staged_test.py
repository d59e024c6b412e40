"""A single test set up in this process, to be called repeatedly, and its flame graph.

The changes of a call are reverted before the next one. The caller provides the tracers. Boxes of a flame graph
(`hypervisor test --flamegraph` and `--flamechart`) are calls, including those of native actors, and, within contracts,
internal functions (`trace.internal_calls`). A chart shows them in order; a graph merges equal calls of the same caller,
the widest first. `bridge.traces.flame` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.gas import DEFAULT_RATE
from bridge.traces.flame import FlameBox, flame_svg, merge_boxes
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.tracing import CallNode, MessageEnded, Tracer
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite, TestFunction
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot, RawCallResult, TestExecutor
from hypervisor_tools.soltest.execution.inline import configure, inline_settings
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus
from hypervisor_tools.soltest.execution.stage import SetUpFailed, SuiteStage
from hypervisor_tools.soltest.execution.values import Dictionary
from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
from hypervisor_tools.soltest.fuzz.fuzz import FuzzRun
from hypervisor_tools.soltest.fuzz.stored_failures import load_failing_input
from hypervisor_tools.soltest.fuzz.table import TableRun
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.run.serving import executor_settings_of, settings_of
from hypervisor_tools.soltest.trace.call_text import call_texts, result_text
from hypervisor_tools.soltest.trace.frames import FrameTracer, InternalCall, creates, gas_used
from hypervisor_tools.soltest.trace.trace_names import Names
from hypervisor_tools.soltest.trace.trace_text import function_head
from localnet.calls.time_limit import OutOfTime
from localnet.rules.parts import rules_named
from store.cid import Cid


@dataclass(frozen=True, slots=True)
class StagedTest:
    """A test with its calldata; `ready` is the state after `setUp`, `root` its state root."""

    name: str
    executor: TestExecutor
    stage: SuiteStage
    ready: ExecutorSnapshot
    root: Cid
    calldata: bytes

    def call(self, tracer: Tracer) -> RawCallResult:
        """Call the test from the state after `setUp`. The tracer gets gas in the unit of the rules."""
        self.executor.restore(self.ready)
        with self.executor.machine.traced(tracer):
            return self.stage.call(self.calldata)

    def run(self, tracer: Tracer) -> None:
        """Call the test. The tracer gets gas in milligas."""
        rules = self.executor.machine.context.rules
        outcome = self.call(rules_named(rules).calls.adapt_tracer(tracer))
        exit_code = ExitCode.OK if outcome.success else ExitCode.EVM_CONTRACT_REVERTED
        tracer.event(MessageEnded(exit_code, outcome.gas_used))


@contextmanager
def staged_suite(
    job: Job, artifacts: Artifacts, suite: Suite, name: str, tracer: Tracer | None = None
) -> Iterator[SuiteStage]:
    """Set up a suite, traced by `tracer`. Raises InvalidInput, which says that `name` cannot start."""
    artifact = artifacts.get(suite.file, suite.contract)
    executor = TestExecutor(executor_settings_of(job), Cheatcodes(settings_of(job, artifacts)))
    try:
        stage = SuiteStage(executor, artifacts, artifact)
        executor.cheatcodes.settings = replace(
            executor.cheatcodes.settings, errors=stage.errors, seed=job.seed, file=suite.file, contract=suite.contract,
            first_actor=stage.first_actor, libraries=stage.libraries,
        )  # fmt: skip
        configure(executor, job.project, suite_comments(job, suite), "")
        try:
            with executor.machine.traced(tracer):
                stage.build()
                stage.set_up()
        except SetUpFailed as failed:
            text = stage.reason(failed.outcome)
            raise InvalidInput(f"{name} cannot start: {failed.step} of {suite.contract} fails: {text}") from None
        yield stage
    finally:
        executor.close()


def begin_test(stage: SuiteStage, job: Job, comments: Mapping[str, list[str]], test: TestFunction) -> None:
    """Configure a test of a suite, and make the calls before it. Raises InvalidInput if one of them fails."""
    configure(stage.executor, job.project, comments, test.name)
    if not stage.before_test(test):
        raise InvalidInput(
            f"{test.name} cannot start: a call that beforeTestSetup of {stage.artifact.name} returns fails"
        )


@contextmanager
def staged_test(
    job: Job, artifacts: Artifacts, suite: Suite, test: TestFunction, *, fails: bool = True
) -> Iterator[StagedTest]:
    """Set up a test; a fuzz test gets its failing inputs. Raises InvalidInput.

    Without `fails`, a passing fuzz test gets the inputs of its last run.
    """
    name = f"{suite.file}:{suite.contract}.{test.name}"
    if test.kind is CaseKind.INVARIANT:
        raise InvalidInput(
            f"{name} is an invariant test, which fails by a sequence of calls: write a unit test with these calls"
        )
    with staged_suite(job, artifacts, suite, name) as stage:
        begin_test(stage, job, suite_comments(job, suite), test)
        executor = stage.executor
        root = executor.settle()
        ready = executor.snapshot()
        data = selector(test.signature) if test.kind is CaseKind.UNIT else _inputs(job, stage, test, ready, name, fails)
        yield StagedTest(name, executor, stage, ready, root, data)


def _inputs(job: Job, stage: SuiteStage, test: TestFunction, ready: ExecutorSnapshot, name: str, fails: bool) -> bytes:
    if test.kind is CaseKind.TABLE:
        table = TableRun(stage, test, ready)
        found = table.run()
        if found.counterexample or (not fails and table.last):
            return found.counterexample[0].calldata if found.counterexample else table.last
        ends = f"passes with each of its {found.runs} rows" if found.runs else f"does not run: {found.reason}"
        raise InvalidInput(f"{name} {ends}: there is no call to show")
    stored = load_failing_input(job.project, stage.artifact.name, test.signature)
    corpus = CorpusFolder(job.project.root, job.project.fuzz, stage.artifact.name, test.signature)
    run = FuzzRun(stage, test, job.project.fuzz, job.seed, ready, Dictionary(), stored=stored, corpus_folder=corpus)
    result = run.run()
    if not result.counterexample:
        if not fails and run.last:
            return run.last
        if result.status is CaseStatus.SUCCESS:
            raise InvalidInput(f"{name} passes in {result.runs} runs: there is no input to debug it with")
        ends = "is skipped" if result.status is CaseStatus.SKIPPED else "fails without an input"
        raise InvalidInput(f"{name} {ends}{f' ({result.reason})' if result.reason else ''}: there is no call to show")
    return result.counterexample[0].calldata


def suite_comments(job: Job, suite: Suite) -> dict[str, list[str]]:
    """Return the inline settings of a suite by function name."""
    file = job.project.root / suite.file
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return inline_settings(text, suite.contract)


_FUNCTION: Final = "function"


def write_flame(staged: StagedTest, viewer: TestViewer, root: Path, file: Path, *, chart: bool) -> None:
    """Run a staged test and write its flame graph to a file of the project. Raises InvalidInput.

    A test that is too long to trace each instruction is drawn by its calls only; the title says so.
    """
    title = staged.name
    tracer: FrameTracer = viewer.function_tracer()
    try:
        staged.call(tracer)
    except OutOfTime:
        title, tracer = f"{title} (calls only: the trace is too long for functions)", viewer.calls_tracer()
        staged.call(tracer)
    features = rules_named(staged.executor.setting.rules).features
    rate = DEFAULT_RATE if features.has_filecoin_blocks else MILLIGAS_PER_GAS
    names = viewer.names(staged.stage, by_code=True)
    names.learn(tracer.roots)
    boxes = flame_boxes(tracer.roots, names, rate)
    gas = sum(gas_used(frame) for frame in tracer.roots)
    picture = flame_svg(title, boxes if chart else merge_boxes(boxes), gas)
    try:
        write_inside(root, file, picture.encode())
    except OSError as error:
        raise InvalidInput(f"the graph {file} cannot be written: {error.strerror}") from None


def flame_boxes(roots: Sequence[CallNode], names: Names, rate: int) -> tuple[FlameBox, ...]:
    """Return calls and functions as boxes, in order. `rate`: milligas per gas of the engine (`bridge.gas`)."""
    nodes: list[CallNode | InternalCall] = list(roots)
    below: list[tuple[int, int]] = []
    for node in nodes:  # grows during the iteration, instead of recursing: calls are up to 1,024 deep
        begin = len(nodes)
        nodes += (part for part in node.items if isinstance(part, CallNode | InternalCall))
        below.append((begin, len(nodes)))
    made: dict[int, FlameBox] = {}
    for index in reversed(range(len(nodes))):
        node, inner = nodes[index], tuple(made[number] for number in range(*below[index]))
        if isinstance(node, CallNode):
            made[index] = _call_box(node, names, inner)
        else:
            made[index] = _function_box(node, names, rate, inner)
    return tuple(made[number] for number in range(len(roots)))


def _call_box(frame: CallNode, names: Names, inner: tuple[FlameBox, ...]) -> FlameBox:
    function, arguments = call_texts(frame, names)
    label = f"new {names.code_name(frame)}" if creates(frame) else f"{names.code_name(frame)}.{function}"
    details = (f"{label}({arguments})", f"{gas_used(frame):,} gas", f"-> {result_text(frame, names)}")
    return FlameBox(label, details, gas_used(frame), frame.runtime, not frame.succeeded, inner=inner)


def _function_box(call: InternalCall, names: Names, rate: int, inner: tuple[FlameBox, ...]) -> FlameBox:
    gas = call.gas * rate // MILLIGAS_PER_GAS
    details = (function_head(call, names), f"{gas:,} gas")
    return FlameBox(call.name.replace("::", "."), details, gas, _FUNCTION, call.result is None, inner=inner)
