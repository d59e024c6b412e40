"""Internal function calls with arguments and results, for `hypervisor test --decode-internal`.

A function is entered by a jump that the source map marks `i`, to an instruction whose source span is the function's
definition, and left by one marked `o`. A jump out belongs to the newest entry whose call site it returns to, or whose
definition it leaves; newer entries were merged by the optimizer and are dropped. Arguments and results are read by
their declared types from the stack, and from the memory and calldata that it points to (internal_values.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.evm_steps import EvmFrame, EvmStep
from fvm_hypervisor.soltest.internal_values import Parameter, ValuePlace, read_values, split_header
from fvm_hypervisor.soltest.project.solidity_text import SourceTexts
from fvm_hypervisor.soltest.trace.frames import CallFrame, FrameTracer, InternalCall, TypedValue
from fvm_hypervisor.soltest.trace.known_code import KnownCode, SourceSpan
from hypervisor.tracing import CallEnded, RuntimeEvent, TraceEvent
from localnet.calls.time_limit import TimeLimit

MAX_CALLS: Final = 100_000
"""Maximum number of internal calls recorded per message, in the order of their ends."""
_CLOCK: Final = 4096
"""Number of instructions between two checks of the time."""
_REVERT, _INVALID = 0xFD, 0xFE
_JUMP: Final = 8
"""Gas of the jump into a function, which is counted as the function's, as in forge."""


@dataclass(frozen=True, slots=True)
class _Function:
    """A function's declaration."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]


@dataclass(slots=True)
class _OpenFunction:
    """A function that has not returned yet."""

    function: _Function
    caller: SourceSpan
    body: SourceSpan
    gas: int
    begin: int
    inner: int
    """Number of internal calls of the frame recorded before it was entered."""
    arguments: tuple[TypedValue, ...]


@dataclass(slots=True)
class _Walk:
    """Source map of a frame's code, and the functions it is currently in."""

    spans: Mapping[int, SourceSpan] = field(default_factory=dict)
    jumps: Mapping[int, SourceSpan] = field(default_factory=dict)
    ends: frozenset[int] = frozenset()
    """Program counters of REVERT and INVALID."""
    after: SourceSpan | None = None
    """The jump, if the previous instruction was one."""
    entered: list[_OpenFunction] = field(default_factory=list)
    gas: int = 0
    """Gas left at the last REVERT or INVALID."""


_NOTHING: Final = _Walk()


class FunctionFrameTracer(FrameTracer):
    """Also records internal calls. A `PausingTracer`: the full state is read at few instructions only.

    Raises OutOfTime after the time limit.
    """

    def __init__(
        self, rules: str, known: KnownCode, sources: SourceTexts, *, reverses: bool = False,
        limit: TimeLimit | None = None,
    ) -> None:  # fmt: skip
        """Create the tracer. With `reverses` the first argument is on top of the stack, as in code compiled via IR."""
        super().__init__(rules)
        self._known, self._sources = known, sources
        self._reverses, self._limit = reverses, limit
        self._until_clock = _CLOCK
        self._walks: list[_Walk] = []
        self.left_out = 0
        """Number of internal calls not recorded because of MAX_CALLS."""
        self._recorded = 0
        self._codes: dict[tuple[bytes, bool], _Walk] = {}
        self._functions: dict[SourceSpan, _Function | None] = {}

    # --- the tracer -------------------------------------------------------------------------------------------

    def pause(self, _number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Record the next instruction; return 0 to skip none."""
        if self._open:
            self._open[-1].note(counter)
            self._walk(counter, read_step)
        return 0

    def frame_stopped(self, _number: int, _counter: int, /) -> None:
        """Ignore the end or suspension of a frame."""

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the instruction of a full step."""
        if not isinstance(event, EvmStep) or not self._open:
            return
        self._open[-1].note(event.pc)
        self._walk(event.pc, lambda: event)

    def _take(self, event: TraceEvent) -> None:
        super()._take(event)
        if isinstance(event, EvmFrame) and self._open:
            self._walks[-1] = self._walk_of(self._open[-1])

    def _begin(self, frame: CallFrame) -> None:
        super()._begin(frame)
        self._walks.append(_NOTHING)

    def _end(self, event: CallEnded) -> None:
        frame, walk = self._open[-1], self._walks.pop()
        if event.exit_code or event.error:
            self._close(frame, walk)
        super()._end(event)

    # --- functions --------------------------------------------------------------------------------------------

    def _walk_of(self, frame: CallFrame) -> _Walk:
        key = frame.code, frame.creates
        known = self._codes.get(key)
        if known is None:
            contract = self._known.find(*key)
            spans: Mapping[int, SourceSpan] = {}
            if contract is not None:
                spans = contract.creation_places if frame.creates else contract.runtime_places
            jumps = {counter: span for counter, span in spans.items() if span.jump in ("i", "o")}
            ends = frozenset(counter for counter in spans if frame.code[counter] in (_REVERT, _INVALID))
            known = self._codes[key] = _Walk(spans, jumps, ends)
        return _Walk(known.spans, known.jumps, known.ends)

    def _walk(self, counter: int, read_step: Callable[[], RuntimeEvent]) -> None:
        self._until_clock -= 1
        if not self._until_clock:
            self._until_clock = _CLOCK
            if self._limit is not None:
                self._limit.check()
        walk = self._walks[-1]
        after, walk.after = walk.after, walk.jumps.get(counter)
        if after is not None:
            here = walk.spans.get(counter)
            if here is not None and after.jump == "i":
                self._enter(walk, after, here, read_step)
            elif here is not None:
                self._leave(walk, after, here, read_step)
        elif counter in walk.ends and walk.entered:
            step = read_step()
            walk.gas = step.gas if isinstance(step, EvmStep) else 0

    def _enter(self, walk: _Walk, jump: SourceSpan, here: SourceSpan, read_step: Callable[[], RuntimeEvent]) -> None:
        if _is_same(jump, here):
            return  # the dispatcher's jump to a public function: the call itself
        function = self._function(here)
        step = read_step() if function is not None else None
        if function is None or not isinstance(step, EvmStep):
            return
        frame, values = self._open[-1], tuple[TypedValue, ...]()
        if self._recorded < MAX_CALLS:
            values = read_values(function.inputs, ValuePlace(step.stack, step.memory, frame.input, self._reverses))
        walk.entered.append(
            _OpenFunction(function, jump, here, step.gas + _JUMP, len(frame.items), len(frame.functions), values)
        )  # fmt: skip

    def _leave(self, walk: _Walk, jump: SourceSpan, here: SourceSpan, read_step: Callable[[], RuntimeEvent]) -> None:
        for index in reversed(range(len(walk.entered))):
            one = walk.entered[index]
            if _is_same(one.caller, here) or _is_same(one.body, jump):
                break
        else:
            return
        del walk.entered[index:]
        step = read_step()
        if isinstance(step, EvmStep):
            frame = self._open[-1]
            values = read_values(one.function.outputs, ValuePlace(step.stack, step.memory, frame.input))
            self._record(frame, one, step.gas, values)

    def _close(self, frame: CallFrame, walk: _Walk) -> None:
        """Record the functions in which a call failed."""
        for one in reversed(walk.entered):
            self._record(frame, one, walk.gas, None)

    def _record(self, frame: CallFrame, one: _OpenFunction, gas: int, result: tuple[TypedValue, ...] | None) -> None:
        if self._recorded >= MAX_CALLS:  # calls within it remain, attached to the frame
            self.left_out += 1
            return
        self._recorded += 1
        inner = tuple(frame.functions[one.inner :])
        del frame.functions[one.inner :]
        used = max(0, one.gas - gas)
        frame.functions.append(
            InternalCall(one.function.name, one.arguments, result, used, one.begin, len(frame.items), inner)
        )

    def _function(self, span: SourceSpan) -> _Function | None:
        if span not in self._functions:
            self._functions[span] = self._declared_function(span)
        return self._functions[span]

    def _declared_function(self, span: SourceSpan) -> _Function | None:
        source = self._sources.get(span.file)
        if source is None or not 0 <= span.start < len(source.text):
            return None
        header = split_header(source.text[span.start : span.start + span.length])
        if header is None:
            return None
        contract, _ = source.names(span.start)
        name, inputs, outputs = header
        return _Function(f"{contract}::{name}" if contract else name, inputs, outputs)


def _is_same(one: SourceSpan, other: SourceSpan) -> bool:
    return (one.file, one.start, one.length) == (other.file, other.start, other.length)
