"""Traces and stacks of tests that are repeated with a tracer.

Text formatting is imported only when needed, since most tests pass without output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from bridge.abi.abi import ContractInterface
from bridge.ethereum.block import ETHEREUM
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import Tracer
from hypervisor_tools.soltest.cheatcodes.table import table
from hypervisor_tools.soltest.cheatcodes.values import split
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, TestResult, is_invariant
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.trace.endless import MAX_TRACED_SECONDS, LoopTracer, out_of_gas_frame
from hypervisor_tools.soltest.trace.frames import CounterFrameTracer, FrameTracer, StepFrameTracer, creates
from hypervisor_tools.soltest.trace.known_code import KnownCode
from localnet.calls.time_limit import TimeLimit, explanation_seconds

if TYPE_CHECKING:
    from hypervisor_tools.soltest.project.project import Project
    from hypervisor_tools.soltest.report.collecting import CoverageCollector
    from hypervisor_tools.soltest.report.gas_tracer import GasCollector
    from hypervisor_tools.soltest.trace.internal_calls import FunctionFrameTracer
    from hypervisor_tools.soltest.trace.trace_names import Names

MAX_REPEATED_SECONDS: Final = 20.0
"""Maximum duration in seconds of a failed test that is repeated for its stack alone."""
MAX_PLACED_GAS: Final = 5_000_000
"""Maximum gas of a test traced by instruction (a few seconds in the plain engine); others are traced by call."""
MAX_PLACED_FILECOIN_GAS: Final = 10_000_000_000
"""The same limit in Filecoin gas."""
NO_LINES: Final = "without lines: the test is too long to trace each instruction"
MAX_DECODED_SECONDS: Final = 60.0
"""Maximum CPU time in seconds for tracing internal calls or all instructions of a test."""
SHORT: Final = 0.05
"""Duration in seconds below which gas is ignored: an invalid instruction consumes all gas."""


class TestViewer:
    """A `run_test.Viewer`. `verbosity` counts the v's of the command line; `decodes` enables internal calls.

    `by_ir` is True if the code was compiled via IR; `records` is True if results contain call trees for the JSON
    report.
    """

    __test__ = False  # keeps pytest from collecting it

    def __init__(
        self, artifacts: Artifacts, rules: str, verbosity: int, *, hides_passed: bool = False, decodes: bool = False,
        by_ir: bool = False, records: bool = False,
    ) -> None:  # fmt: skip
        self._known = KnownCode(artifacts)
        self._sources = SourceTexts(artifacts.root)
        self._decodes, self._by_ir, self._records = decodes, by_ir, records
        self._rules, self._verbosity, self._hides_passed = rules, verbosity, hides_passed

    def wants(self, result: TestResult) -> bool:
        """Return True if a test must be repeated: every failed test for its stack, all others from -vvvv on.

        A long unit test is repeated only for a trace; tests with many runs or sequences repeat just one of them.
        """
        if self._records_of(result.signature):
            return True
        if result.status is not CaseStatus.FAILURE:
            return not self._hides_passed and shows_trace(self._verbosity, failed=False)
        short = result.kind is not CaseKind.UNIT or result.duration <= MAX_REPEATED_SECONDS
        return short or shows_trace(self._verbosity, failed=True)

    def _records_of(self, name: str) -> bool:
        """Return True if a test's result contains call trees for the JSON report, as invariant tests' always do."""
        return self._records and (self._verbosity >= 3 or is_invariant(name))

    def tracer(self, result: TestResult) -> Tracer:
        """Return a new tracer of calls and program counters; of calls only for a long test.

        If internal calls are requested, they are traced in tests of any length, within a time limit.
        """
        if self._decodes and shows_trace(self._verbosity, result.status is CaseStatus.FAILURE):
            return self.function_tracer()
        # In the JSON report the result must not depend on the load: the time limit alone decides.
        if (
            not self._records
            and result.gas > (MAX_PLACED_GAS if self._rules == ETHEREUM else MAX_PLACED_FILECOIN_GAS)
            and result.duration > SHORT
        ):
            return self.calls_tracer()
        if self._records and self._verbosity >= 5:
            return StepFrameTracer(self._rules, TimeLimit(MAX_DECODED_SECONDS))
        return CounterFrameTracer(self._rules, TimeLimit(explanation_seconds(result.duration)))

    def function_tracer(self) -> FunctionFrameTracer:
        """Return a new tracer of calls, program counters and internal calls, which raises OutOfTime after its limit."""
        from hypervisor_tools.soltest.trace.internal_calls import FunctionFrameTracer

        return FunctionFrameTracer(
            self._rules, self._known, self._sources, reverses=self._by_ir,
            limit=TimeLimit(MAX_DECODED_SECONDS),
        )  # fmt: skip

    def calls_tracer(self) -> FrameTracer:
        """Return a tracer of calls only, which hardly slows a test down."""
        return FrameTracer(self._rules)

    def set_up_tracer(self, suite: Suite) -> Tracer | None:
        """Return a tracer of the constructor and `setUp`, or None.

        They give contracts their names, are shown from -vvvv on, and are recorded for the JSON report.
        """
        is_recorded = any(self._records_of(test.name) for test in suite.tests)
        if not is_recorded and not shows_trace(self._verbosity, failed=True):
            return None
        if self._decodes:
            return self.function_tracer()
        if not is_recorded and not shows_trace(self._verbosity, failed=True, of_setup=True):
            return FrameTracer(self._rules)
        return CounterFrameTracer(self._rules, TimeLimit(explanation_seconds(0)))

    def collector(self, machine: Hypervisor, report: str, project: Project) -> CoverageCollector | GasCollector:
        """Return a collector of data for a report, `gas` or `coverage`."""
        if report == "gas":
            from hypervisor_tools.soltest.report.gas_tracer import GasCollector
            from hypervisor_tools.soltest.trace.trace_names import Names

            names = Names(self._known, machine.manifest, cheatcode_interface(), machine=machine)
            return GasCollector(names, self._rules, project)
        from hypervisor_tools.soltest.report.collecting import CoverageCollector

        return CoverageCollector(self._known)

    def show(self, stage: SuiteStage, set_up: Tracer | None, tracer: Tracer | None, result: TestResult) -> TestResult:
        """Return the result with its traces, if requested, and its stack, if it failed.

        Without a `tracer` the test itself did not run.
        """
        from hypervisor_tools.soltest.trace.internal_calls import MAX_CALLS, FunctionFrameTracer
        from hypervisor_tools.soltest.trace.stack_trace import stack_trace

        names = self.names(stage)
        failed = result.status is CaseStatus.FAILURE
        before, run = (part if isinstance(part, FrameTracer) else None for part in (set_up, tracer))
        has_set_up = before is not None and not all(creates(root) for root in before.roots)
        shows_before = has_set_up and self._shows_set_up(failed)
        shown = [part for part in (before if shows_before else None, run) if part is not None]
        for part in (before, run):
            names.learn([] if part is None else part.roots)
        trace = ""
        if shows_trace(self._verbosity, failed):
            trace = "\n\n".join(self._traces(part, names, with_slots=part is run) for part in shown)
            left_out = sum(part.left_out for part in shown if isinstance(part, FunctionFrameTracer))
            if left_out:
                trace += f"\n  ... {left_out:,} internal calls are left out, those after the first {MAX_CALLS:,}"
        failure = None if run is None else next((root for root in reversed(run.roots) if not root.succeeded), None)
        last = failure or (run.roots[-1] if run is not None and run.roots else None)
        stack = stack_trace(last, names, self._sources) if failed and last is not None else ()
        has_places = isinstance(tracer, CounterFrameTracer | FunctionFrameTracer | StepFrameTracer)
        note = "" if has_places or not stack else NO_LINES
        traces = tuple(_arenas(stage, before, run, result, names)) if self._records_of(result.signature) else ()
        return replace(result, trace=trace, stack=stack, note=note, traces=traces)

    def _shows_set_up(self, failed: bool) -> bool:
        return shows_trace(self._verbosity, failed, of_setup=True)

    def _traces(self, tracer: FrameTracer, names: Names, *, with_slots: bool) -> str:
        """Return a tracer's call trees, without deployments of libraries and test contract if others follow."""
        from hypervisor_tools.soltest.trace.trace_text import trace_text

        roots = [root for root in tracer.roots if not creates(root)] or tracer.roots[-1:]
        with_slots = with_slots and self._verbosity >= 5
        return "\n\n".join(trace_text([root], names, with_slots=with_slots) for root in roots)

    def loop_tracer(self, shown: Tracer | None = None, result: TestResult | None = None) -> LoopTracer | None:
        """Return a tracer that locates an endless loop, or the call that ran out of gas in the test `shown`.

        None if that test ended differently, or its program counters are known.
        """
        from hypervisor_tools.soltest.trace.stack_trace import failing_path

        if shown is None:
            return LoopTracer(self._rules)
        roots = cast(FrameTracer, shown).roots
        frame = out_of_gas_frame(failing_path(roots[-1])) if roots else None
        seconds = MAX_TRACED_SECONDS if result is None else explanation_seconds(result.duration)
        return None if frame is None else LoopTracer(self._rules, frame.number, seconds)

    def stack_of_loop(self, stage: SuiteStage, tracer: LoopTracer) -> tuple[str, ...]:
        """Return the stack at which the loop was stopped; empty if it has ended."""
        from hypervisor_tools.soltest.trace.stack_trace import open_stack

        return open_stack(tracer.cut, self.names(stage), self._sources)

    def names(self, stage: SuiteStage, *, by_code: bool = False) -> Names:
        """Return the names of addresses and codes; with `by_code`, also of contracts that no traced call created."""
        from hypervisor_tools.soltest.trace.trace_names import Names

        machine, cheatcodes = stage.executor.machine, stage.executor.cheatcodes
        return Names(
            self._known, machine.manifest, cheatcode_interface(), dict(cheatcodes.state.labels),
            machine.context.precompiles, machine, by_ir=self._by_ir, verbosity=self._verbosity,
            by_code=by_code or cheatcodes.active_fork is not None,
        )  # fmt: skip


def shows_trace(verbosity: int, failed: bool, of_setup: bool = False) -> bool:
    """Return True if the calls of a test, or of its setUp, are printed.

    Failed tests are printed from -vvv on, all from -vvvv on; setUp one level later each.
    """
    return verbosity >= 5 or (verbosity + failed - of_setup) >= 4


def _arenas(
    stage: SuiteStage, before: FrameTracer | None, run: FrameTracer | None, result: TestResult, names: Names
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the kind and arena of each message of a test.

    If `before` is None, the result is that of a failed `setUp`.
    """
    from hypervisor_tools.soltest.trace.trace_text import arena

    never_held = result.is_sequence and not (result.counterexample or result.last_run)
    for part in (before, None if before and never_held else run):
        for root in [] if part is None else part.roots:
            kind = "Deployment" if creates(root) else "Execution" if before and part is run else "Setup"
            sender = stage.executor.address_of(root.start.from_)
            yield kind, arena(root, sender, names, has_steps=kind == "Execution")


@cache
def cheatcode_interface() -> ContractInterface:
    """Return the cheatcodes as an ABI, without parameter names."""
    return ContractInterface([
        {
            "type": "function",
            "name": cheatcode.name,
            "inputs": [_item(kind) for kind in cheatcode.parameters],
            "outputs": [_item(kind) for kind in cheatcode.returns],
        }
        for cheatcode in table().values()
    ])  # fmt: skip


def _item(kind: str) -> dict[str, object]:
    if not kind.startswith("("):
        return {"name": "", "type": kind}
    inner, _, arrays = kind.rpartition(")")
    return {"name": "", "type": f"tuple{arrays}", "components": [_item(part) for part in split(inner[1:])]}
