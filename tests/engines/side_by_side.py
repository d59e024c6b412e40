"""Two engines side by side: the second runs each frame again, replaying the host's answers to the first.

An import adds engines to those that a machine in this process can use: `both`, which compares `py-evm` with `fast`, and
the tiers of `fast`.

Every call of the host is recorded with the remaining gas and its result. The second engine must make the same calls in
the same order with the same gas, emit the same trace, and end the frame in the same way. Otherwise the message ends
with `EnginesDiffer`, which shows the instructions of both engines up to the difference, and nothing is committed. Calls
without side effects (`_OPTIONAL_CALLS`) may be omitted; their gas is still compared.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, cast

from bridge.evm_steps import Instruction, instructions, line
from bridge.gas import SLICE, GasBudget
from hypervisor.errors import ActorExit, Fatal, HypervisorError, OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.machine import opening
from hypervisor.tracing import Detail, RuntimeEvent, TraceEvent, Tracer
from runtimes.evm.contracts.engine import (
    Engine,
    EngineFactory,
    EngineRules,
    Frame,
    Host,
    Step,
    SubcallOutcome,
)
from runtimes.evm.contracts.rules import EvmRules
from runtimes.evm.engines import FACTORIES, FAST, PLAIN_ENGINE
from runtimes.evm.frames.fast_engine import FastTable
from runtimes.evm.frames.pool import Tier
from runtimes.evm.regions.compiler import CodeRegions, RegionCompiler


class ReplayedGas(GasBudget):
    """A budget set to the recorded remaining gas; it raises OutOfGas once the actual budget was interrupted."""

    __slots__ = ("_actual",)

    def __init__(self, actual: GasBudget) -> None:
        self._actual = actual
        super().__init__(GasTracker(0), 1, SLICE)

    def set_remaining(self, amount: int) -> None:
        """Set the remaining EVM gas."""
        self._tracker = GasTracker(amount)
        self.refill()

    def overdraw(self, amount: int) -> None:
        """Grant more gas, unless the actual budget was interrupted. Raises OutOfGas."""
        check_stopped(self._actual)
        super().overdraw(amount)


def check_stopped(gas: GasBudget) -> None:
    """Raise OutOfGas after an interrupt, because the results of interrupted engines are not compared."""
    if gas.stopped:
        raise OutOfGas("interrupted")


_OPTIONAL_CALLS: Final = frozenset(
    {
        "get_tx_context", "get_origin", "get_prev_randao", "get_block_hash", "get_gas_left", "get_self_balance",
        "get_refund", "keccak256", "grow_memory",
    }
)  # fmt: skip
"""Host calls without side effects, whose results an engine may compute itself."""

_SHOWN: Final = 5
"""Number of instructions per engine shown in a difference."""

NamedEngine = tuple[str, EngineFactory]


class EnginesDiffer(Fatal):
    """Two engines produced different results for a frame."""


class _Diverged(HypervisorError):
    """Raised through the second engine when it makes a host call that the first did not make."""


@dataclass(frozen=True, slots=True)
class _HostCall:
    """A recorded host call: its result, and the EVM gas before and after it."""

    name: str
    arguments: tuple[Any, ...]
    before: int
    after: int
    answer: Any = None
    error: HypervisorError | None = None

    def __str__(self) -> str:
        arguments = ", ".join(item.hex() if isinstance(item, bytes) else str(item) for item in self.arguments)
        return f"{self.name}({arguments}) with {self.before} gas left"


@dataclass(frozen=True, slots=True)
class _EngineStop:
    """The end of a run of an engine: a step, or an error that ends the invocation."""

    step: Step | None
    error: HypervisorError | None
    left: int

    def text(self) -> str:
        """Return the text to compare; for an error only its type, because messages differ between engines."""
        if isinstance(self.error, ActorExit):
            return f"exit {self.error.code} with {self.left} gas left"
        if self.error is not None:
            return type(self.error).__name__
        return f"{self.step} with {self.left} gas left"


class _StepRecorder(Tracer):
    """Records the instructions traced by an engine and forwards them."""

    detail = Detail.STEPS

    def __init__(self, listener: Tracer | None = None) -> None:
        self.events: list[RuntimeEvent] = []
        self._listener = listener

    def event(self, event: TraceEvent, /) -> None:
        """Ignore events: engines only trace instructions."""

    def step(self, event: RuntimeEvent, /) -> None:
        self.events.append(event)
        if self._listener is not None:
            self._listener.step(event)


class _RecordingHost:
    """The first engine's host: the real one, recording every call."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.gas = host.gas
        self.steps = None if host.steps is None else _StepRecorder(host.steps)
        self.calls: list[_HostCall] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._host, name)

        def call(*arguments: Any) -> Any:
            before, plain = self.gas.left, _plain(arguments)
            try:
                answer = function(*arguments)
            except HypervisorError as error:
                self.calls.append(_HostCall(name, plain, before, self.gas.left, error=error))
                raise
            self.calls.append(_HostCall(name, plain, before, self.gas.left, answer))
            return answer

        return call


class _ReplayingHost:
    """The second engine's host: it replays the recorded answers and nothing else."""

    def __init__(self, real: GasBudget, steps: _StepRecorder | None) -> None:
        self.gas = ReplayedGas(real)
        self.steps = steps
        self._calls: Sequence[_HostCall] = ()
        self._place = 0

    def begin(self, left: int, calls: Sequence[_HostCall]) -> None:
        """Prepare for one stretch of the frame, which began with `left` gas."""
        self.gas.set_remaining(left)
        self._calls, self._place = calls, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            found = self._next(name, arguments)
            if found is None:
                raise _Diverged(f"calls {_HostCall(name, arguments, self.gas.left, 0)}, the other {self.pending()}")
            self.gas.set_remaining(found.after)
            if found.error is not None:
                raise found.error
            return found.answer

        return call

    def get_refund(self) -> int:
        """Return the recorded refund counter; 0 if the first engine, without a tracer, did not read it."""
        found = self._next("get_refund", ())
        return 0 if found is None else int(found.answer)

    def pending(self) -> str:
        """Describe the next recorded host call."""
        return str(self._calls[self._place]) if self._place < len(self._calls) else "no further host call"

    def has_replayed_all(self) -> bool:
        """Return True if all remaining recorded calls may be omitted."""
        return all(call.name in _OPTIONAL_CALLS for call in self._calls[self._place :])

    def _next(self, name: str, arguments: tuple[Any, ...]) -> _HostCall | None:
        for index in range(self._place, len(self._calls)):
            call = self._calls[index]
            if (call.name, call.arguments, call.before) == (name, _plain(arguments), self.gas.left):
                self._place = index + 1
                return call
            if call.name not in _OPTIONAL_CALLS:
                break
        return None


def _plain(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(list(item) if isinstance(item, tuple) else item for item in arguments)


@dataclass(slots=True)
class _Segment:
    """A part of a frame: from the start or a subcall's outcome to the next step."""

    outcome: SubcallOutcome | None
    left: int
    calls: list[_HostCall]


def pair_engines(first: NamedEngine, second: NamedEngine) -> EngineFactory:
    """Return a factory for the first engine, checked by the second."""
    return lambda: BothEngines(first, second)


class BothEngines:
    """An engine that runs each frame twice (see `runtimes.evm.contracts.engine.Engine`). Raises EnginesDiffer."""

    def __init__(self, first: NamedEngine, second: NamedEngine) -> None:
        self._named = first, second
        self._first, self._second = first[1](), second[1]()
        self._segments: list[_Segment] = []

    def start(self, frame: Frame, host: Host) -> Step:
        self._frame, self._host = frame, host
        self._listener = host.steps
        self._recording = _RecordingHost(host)
        self._replaying = _ReplayingHost(host.gas, None if host.steps is None else _StepRecorder())
        return self._run(None)

    def resume(self, outcome: SubcallOutcome) -> Step:
        return self._run(outcome)

    def _run(self, outcome: SubcallOutcome | None) -> Step:
        recording, replaying, left = self._recording, self._replaying, self._host.gas.left
        listener = self._host.steps
        if listener is not self._listener:  # it was attached or removed while the frame waited
            self._listener, recording.steps = listener, None if listener is None else _StepRecorder(listener)
            replaying.steps = None if listener is None else _StepRecorder()
        recording.calls = []
        self._segments.append(_Segment(outcome, left, recording.calls))
        mine = _continue(self._first, self._frame, cast(Host, recording), outcome)
        check_stopped(self._host.gas)
        replaying.begin(left, recording.calls)
        try:
            other = _continue(self._second, self._frame, cast(Host, replaying), outcome)
        except _Diverged as error:
            raise self._differ(str(error)) from None
        check_stopped(self._host.gas)
        if mine.text() != other.text():
            raise self._differ(f"ends with {other.text():.600}, the other with {mine.text():.600}")
        if not replaying.has_replayed_all():
            raise self._differ(f"makes no further host call, the other {replaying.pending()}")
        if recording.steps is not None and replaying.steps is not None:
            if recording.steps.events != replaying.steps.events:
                raise self._differ("emits a different trace")
            recording.steps.events.clear()
            replaying.steps.events.clear()
        if mine.error is not None:
            raise mine.error
        assert mine.step is not None
        return mine.step

    def _differ(self, what: str) -> EnginesDiffer:
        (first, make_first), (second, make_second) = self._named
        frame = self._frame
        traces = [list(instructions(self._steps_of(make))) for make in (make_first, make_second)]
        shown = "\n".join(
            f"{name}: {text}"
            for name, trace in zip((first, second), _until_difference(*traces), strict=True)
            for text in trace
        )
        return EnginesDiffer(
            f"a frame of 0x{frame.address.hex()} ({frame.rules.name}, {len(frame.code.data)} bytes of code): "
            f"{second} {what}\n{shown}"
        )

    def _steps_of(self, make: EngineFactory) -> list[RuntimeEvent]:
        """Return the instructions of an engine up to the end of the frame or of the record."""
        steps = _StepRecorder()
        host, engine = _ReplayingHost(self._host.gas, steps), make()
        for stretch in self._segments:
            host.begin(stretch.left, stretch.calls)
            try:
                if _continue(engine, self._frame, cast(Host, host), stretch.outcome).error is not None:
                    break
            except HypervisorError:  # the point of divergence
                break
        return steps.events


def _continue(engine: Engine, frame: Frame, host: Host, outcome: SubcallOutcome | None) -> _EngineStop:
    """Run to the next step. Errors that cannot end an invocation (Fatal, _Diverged) are raised."""
    try:
        step = engine.start(frame, host) if outcome is None else engine.resume(outcome)
    except (ActorExit, OutOfGas) as error:
        return _EngineStop(None, error, host.gas.left)
    return _EngineStop(step, None, host.gas.left)


def _until_difference(first: list[Instruction], second: list[Instruction]) -> tuple[list[str], list[str]]:
    """Return the last instructions of two traces up to the first one that differs."""
    pairs = zip_longest(first, second)
    end = next((at + 1 for at, (one, other) in enumerate(pairs) if one != other), max(len(first), len(second)))
    return _lines(first[:end]), _lines(second[:end])


def _lines(trace: list[Instruction]) -> list[str]:
    return [json.dumps(line(instruction._replace(depth=1))) for instruction in trace[-_SHOWN:]]


def _both_engines(rules: EngineRules) -> EngineFactory:
    return pair_engines((PLAIN_ENGINE, FACTORIES[PLAIN_ENGINE](rules)), (FAST, FACTORIES[FAST](rules)))


class InlineCompiler(RegionCompiler):
    """Compiles regions during the request."""

    def _enqueue(self, found: CodeRegions, code: bytes, rules: EngineRules, root: int) -> None:
        self._compile(found, code, rules, root)


BOTH: Final = "both"
"""Name of the engine."""
FACTORIES[BOTH] = _both_engines
INTERPRET, COMPILE = "fast:interpret", "fast:compile"
"""Names of the fast engine's tiers: nothing is compiled; all code of a frame is compiled first, also large regions."""
INTERPRETED: Final = Tier(threshold=0)
COMPILED: Final = Tier(threshold=1, synchronous=True, max_size=96 << 10)
FACTORIES[INTERPRET] = lambda rules: FastTable(cast(EvmRules, rules), INTERPRETED).engine
FACTORIES[COMPILE] = lambda rules: FastTable(cast(EvmRules, rules), COMPILED).engine
opening.EVM_ENGINES = (*opening.EVM_ENGINES, BOTH, INTERPRET, COMPILE)
