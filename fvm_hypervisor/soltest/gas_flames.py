"""Flame graphs of a test's gas: `hypervisor test --flamegraph` and `--flamechart`, including native actors.

Boxes are calls and, within contracts, internal functions (internal_calls.py). A chart shows them in order; a graph
merges equal calls of the same caller, the widest first. `bridge.traces.flame` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge.gas import DEFAULT_RATE
from bridge.traces.flame import FlameBox, flame_svg, merge_boxes
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.report.viewer import TestViewer
from fvm_hypervisor.soltest.run.staged_test import StagedTest
from fvm_hypervisor.soltest.trace.call_text import call_texts, result_text
from fvm_hypervisor.soltest.trace.frames import CallFrame, FrameTracer, InternalCall, parts_of
from fvm_hypervisor.soltest.trace.trace_names import Names
from fvm_hypervisor.soltest.trace.trace_text import function_head
from hypervisor.errors import InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from localnet.calls.time_limit import OutOfTime
from localnet.rules.parts import rules_named

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
    gas = sum(frame.gas_used for frame in tracer.roots)
    picture = flame_svg(title, boxes if chart else merge_boxes(boxes), gas)
    try:
        write_inside(root, file, picture.encode())
    except OSError as error:
        raise InvalidInput(f"the graph {file} cannot be written: {error.strerror}") from None


def flame_boxes(roots: Sequence[CallFrame], names: Names, rate: int) -> tuple[FlameBox, ...]:
    """Return calls and functions as boxes, in order. `rate`: milligas per gas of the engine (`bridge.gas`)."""
    nodes: list[tuple[CallFrame, InternalCall | None]] = [(root, None) for root in roots]
    below: list[tuple[int, int]] = []
    for frame, call in nodes:  # grows during the iteration, instead of recursing: calls are up to 1,024 deep
        begin = len(nodes)
        for part in parts_of(frame, call):
            if isinstance(part, CallFrame):
                nodes.append((part, None))
            elif isinstance(part, InternalCall):
                nodes.append((frame, part))
        below.append((begin, len(nodes)))
    made: dict[int, FlameBox] = {}
    for index in reversed(range(len(nodes))):
        frame, call = nodes[index]
        inner = tuple(made[number] for number in range(*below[index]))
        made[index] = _call_box(frame, names, inner) if call is None else _function_box(call, names, rate, inner)
    return tuple(made[number] for number in range(len(roots)))


def _call_box(frame: CallFrame, names: Names, inner: tuple[FlameBox, ...]) -> FlameBox:
    function, arguments = call_texts(frame, names)
    label = f"new {names.code_name(frame)}" if frame.creates else f"{names.code_name(frame)}.{function}"
    details = (f"{label}({arguments})", f"{frame.gas_used:,} gas", f"-> {result_text(frame, names)}")
    return FlameBox(label, details, frame.gas_used, frame.runtime, not frame.succeeded, inner=inner)


def _function_box(call: InternalCall, names: Names, rate: int, inner: tuple[FlameBox, ...]) -> FlameBox:
    gas = call.gas * rate // MILLIGAS_PER_GAS
    details = (function_head(call, names), f"{gas:,} gas")
    return FlameBox(call.name.replace("::", "."), details, gas, _FUNCTION, call.result is None, inner=inner)
