"""Two engines side by side: the first runs a frame on the world, the second runs it again on the first one's answers.

What an engine asks of its host is recorded with the gas that was left and with what came of it. The second engine must
ask for the same in the same order with the same gas left, tell a tracer the same, and leave the frame the same way;
else the message ends with `EnginesDiffer`, which shows the instructions of both up to where they part. Nothing is
committed then. An engine may answer itself what does not change anything (`_FREE`): that it paid for it shows later.

A transaction's first frame under Ethereum's rules is also run by the second engine on the world itself, as it would be
without the first, with all that it calls, on a host of its own, which has paid for no memory yet. That is taken back;
what it came to must be what the first one comes to.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, cast

from bridge.eip3155 import Instruction, instructions, line
from bridge.gas import GasBudget
from hypervisor.errors import ActorExit, Fatal, HypervisorError, OutOfGas
from hypervisor.tracing import RuntimeEvent, StepTracer, TraceEvent
from runtimes.evm.engine import Answer, Engine, EngineFactory, Frame, FrameOutcome, Host, Status, Step
from runtimes.evm.replayed_gas import ReplayedGas, check_stopped
from store.cid import Cid

if TYPE_CHECKING:
    from runtimes.evm.ethereum.calls import EthereumCalls
    from runtimes.evm.ethereum.host import EthereumHost

_FREE: Final = frozenset(
    {
        "get_tx_context", "get_origin", "get_prev_randao", "get_block_hash", "get_blob_hash", "get_blob_base_fee",
        "get_gas_left", "get_self_balance", "get_refund", "keccak256", "grow_memory",
    }
)  # fmt: skip
"""Questions whose answer an engine may know."""

_SHOWN: Final = 5
"""Instructions of each engine that a difference shows."""

Named = tuple[str, EngineFactory]


_LOOKED_UP: Final = ("actor", "address")
"""Kinds of entries in a message's journal that say what was looked up, not what was done."""


class EnginesDiffer(Fatal):
    """Two engines did not do the same with one frame."""


class _Diverged(HypervisorError):
    """The second engine asks for what the first did not. Passes through it."""


@dataclass(frozen=True, slots=True)
class _HostCall:
    """One question to the host: EVM gas left before and after it, and the result."""

    name: str
    arguments: tuple[Any, ...]
    before: int
    after: int
    answer: Any = None
    error: HypervisorError | None = None

    def __str__(self) -> str:
        given = ", ".join(item.hex() if isinstance(item, bytes) else str(item) for item in self.arguments)
        return f"{self.name}({given}) with {self.before} gas left"


@dataclass(frozen=True, slots=True)
class _EngineStop:
    """How an engine came back: with a step, or with what ends the invocation."""

    step: Step | None
    error: HypervisorError | None
    left: int

    def words(self) -> str:
        """What is compared; of an error its kind, as its text is an engine's own."""
        if isinstance(self.error, ActorExit):
            return f"exit {self.error.code} with {self.left} gas left"
        if self.error is not None:
            return type(self.error).__name__
        return f"{self.step} with {self.left} gas left"


class _Steps:
    """Keeps what an engine tells of instructions, and hands it on."""

    def __init__(self, listener: StepTracer | None = None) -> None:
        self.events: list[RuntimeEvent] = []
        self._listener = listener

    def event(self, event: TraceEvent, /) -> None:
        """Engines tell of instructions only."""

    def step(self, event: RuntimeEvent, /) -> None:
        self.events.append(event)
        if self._listener is not None:
            self._listener.step(event)


class _Recording:
    """The first engine's host: the real one, with a record of all that is asked."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.gas = host.gas
        self.steps = None if host.steps is None else _Steps(host.steps)
        self.asked: list[_HostCall] = []

    def tree_mode(self) -> None:
        """Each frame runs by itself: what it asks is recorded."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._host, name)

        def ask(*arguments: Any) -> Any:
            before, given = self.gas.left, _plain(arguments)
            try:
                answer = function(*arguments)
            except HypervisorError as error:
                self.asked.append(_HostCall(name, given, before, self.gas.left, error=error))
                raise
            self.asked.append(_HostCall(name, given, before, self.gas.left, answer))
            return answer

        return ask


class _Replaying:
    """The second engine's host: it answers what the first one was answered, and nothing else."""

    def __init__(self, real: GasBudget, steps: _Steps | None) -> None:
        self.gas = ReplayedGas(real)
        self.steps = steps
        self._asked: Sequence[_HostCall] = ()
        self._place = 0

    def begin(self, left: int, asked: Sequence[_HostCall]) -> None:
        """Be ready for one stretch of the frame, which had so much gas at its beginning."""
        self.gas.become(left)
        self._asked, self._place = asked, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            found = self._next(name, arguments)
            if found is None:
                raise _Diverged(
                    f"asks for {_HostCall(name, arguments, self.gas.left, 0)}, the other for {self.pending()}"
                )
            self.gas.become(found.after)
            if found.error is not None:
                raise found.error
            return found.answer

        return ask

    def tree_mode(self) -> None:
        """Each frame runs by itself."""

    def get_refund(self) -> int:
        """The counter as the first engine got it; without a listener it did not ask."""
        found = self._next("get_refund", ())
        return 0 if found is None else int(found.answer)

    def pending(self) -> str:
        """What the first engine asked next."""
        return str(self._asked[self._place]) if self._place < len(self._asked) else "nothing more"

    def has_replayed_all(self) -> bool:
        """Whether nothing is left that every engine must ask."""
        return all(asked.name in _FREE for asked in self._asked[self._place :])

    def _next(self, name: str, arguments: tuple[Any, ...]) -> _HostCall | None:
        for place in range(self._place, len(self._asked)):
            asked = self._asked[place]
            if (asked.name, asked.arguments, asked.before) == (name, _plain(arguments), self.gas.left):
                self._place = place + 1
                return asked
            if asked.name not in _FREE:
                break
        return None


def _plain(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments with every sequence of topics as a list."""
    return tuple(list(item) if isinstance(item, tuple) else item for item in arguments)


@dataclass(slots=True)
class _Stretch:
    """From the start or from an answer to where the engine comes back."""

    answer: Answer | None
    left: int
    asked: list[_HostCall]


@dataclass(frozen=True, slots=True)
class _TreeOutcome:
    """What a frame and all that it called came to: its end and, where it succeeded, what they changed."""

    end: str
    root: Cid | None = None
    journal: Mapping[Any, Any] = field(default_factory=dict)
    events: Sequence[Any] = ()

    @classmethod
    def of(cls, ended: _EngineStop, calls: "EthereumCalls") -> "_TreeOutcome | None":
        """What it is now, None where the engine asks."""
        if ended.step is not None and not isinstance(ended.step, FrameOutcome):
            return None
        if ended.step is None or ended.step.status is not Status.SUCCESS:
            reverted = ended.step is not None and ended.step.status is Status.REVERT
            return cls(ended.words() if reverted else "failure")
        entries = {key: value for key, value in calls.journal.items() if not _says_nothing(key, value)}
        return cls(ended.words(), calls.tree.current_root(), entries, tuple(calls.events))

    def differences(self, other: "_TreeOutcome") -> str:
        """In words, what is not the same; of the journal the entries."""
        if self.end != other.end:
            return f"comes to {self.end:.300}, frame by frame to {other.end:.300}"
        found = [name for name in ("root", "events") if getattr(self, name) != getattr(other, name)]
        both = {**self.journal, **other.journal}
        found += [str(key) for key in both if self.journal.get(key) != other.journal.get(key)]
        return f"changes other things than frame by frame: {', '.join(found):.600}" if found else ""


def _says_nothing(key: Any, value: Any) -> bool:
    """Whether an entry of the journal is as good as none."""
    kind = key[0] if isinstance(key, tuple) else key
    return value is None or kind in _LOOKED_UP or (kind in ("transient", "refund") and value == 0)


def paired(first: Named, second: Named) -> EngineFactory:
    """What makes engines that are the first, watched by the second."""
    return lambda: BothEngines(first, second)


class BothEngines:
    """Runs one frame twice; see `runtimes.evm.engine.Engine`. Raises EnginesDiffer."""

    def __init__(self, first: Named, second: Named) -> None:
        self._named = first, second
        self._first, self._second = first[1](), second[1]()
        self._whole: _TreeOutcome | None = None
        self._stretches: list[_Stretch] = []

    def start(self, frame: Frame, host: Host) -> Step:
        """Run until the frame ends or asks."""
        self._frame, self._host = frame, host
        self._whole = _try_tree(self._named[1][1], frame, host)
        self._listener = host.steps
        self._recording = _Recording(host)
        self._replaying = _Replaying(host.gas, None if host.steps is None else _Steps())
        return self._run(None)

    def resume(self, answer: Answer) -> Step:
        """Go on after the ask."""
        return self._run(answer)

    def _run(self, answer: Answer | None) -> Step:
        recording, replaying, left = self._recording, self._replaying, self._host.gas.left
        listener = self._host.steps
        if listener is not self._listener:  # it has come, or gone, while the frame waited
            self._listener, recording.steps = listener, None if listener is None else _Steps(listener)
            replaying.steps = None if listener is None else _Steps()
        recording.asked = []
        self._stretches.append(_Stretch(answer, left, recording.asked))
        mine = _continue(self._first, self._frame, cast(Host, recording), answer)
        check_stopped(self._host.gas)
        replaying.begin(left, recording.asked)
        try:
            other = _continue(self._second, self._frame, cast(Host, replaying), answer)
        except _Diverged as error:
            raise self._differ(str(error)) from None
        check_stopped(self._host.gas)
        if mine.words() != other.words():
            raise self._differ(f"comes to {other.words():.600}, the other to {mine.words():.600}")
        if not replaying.has_replayed_all():
            raise self._differ(f"asks for nothing more, the other for {replaying.pending()}")
        if recording.steps is not None and replaying.steps is not None:
            if recording.steps.events != replaying.steps.events:
                raise self._differ("tells a tracer something else")
            recording.steps.events.clear()
            replaying.steps.events.clear()
        if self._whole is not None:
            now = _TreeOutcome.of(mine, cast("EthereumHost", self._host).calls)
            parted = now and self._whole.differences(now)
            if parted:
                raise self._differ(f"as a whole {parted}")
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
        """What an engine tells of the frame up to where it, or the record, ends."""
        steps = _Steps()
        host, engine = _Replaying(self._host.gas, steps), make()
        for stretch in self._stretches:
            host.begin(stretch.left, stretch.asked)
            try:
                if _continue(engine, self._frame, cast(Host, host), stretch.answer).error is not None:
                    break
            except HypervisorError:  # where the two part
                break
        return steps.events


def _try_tree(make: EngineFactory, frame: Frame, host: Host) -> _TreeOutcome | None:
    """What an engine makes of a transaction's first frame by itself; taken back. None of any other frame."""
    from runtimes.evm.ethereum.host import EthereumHost

    if not isinstance(host, EthereumHost) or host.calls.depth != 1 or host.calls.tracer is not None:
        return None
    calls = host.calls
    with calls.trial():
        apart = EthereumHost(host.kernel, calls, host.address, host.caller, host.value)
        ended = _continue(make(), frame, apart, None)
        apart.gas.settle()
        whole = _TreeOutcome.of(ended, calls)
    host.gas.refill()  # nothing, after an interrupt
    return whole


def _continue(engine: Engine, frame: Frame, host: Host, answer: Answer | None) -> _EngineStop:
    """Run to the next step. What is no end that an invocation may have (Fatal, _Diverged) is raised."""
    try:
        step = engine.start(frame, host) if answer is None else engine.resume(answer)
    except (ActorExit, OutOfGas) as error:
        return _EngineStop(None, error, host.gas.left)
    return _EngineStop(step, None, host.gas.left)


def _until_difference(first: list[Instruction], second: list[Instruction]) -> tuple[list[str], list[str]]:
    """The last instructions of two traces up to the first one that differs."""
    pairs = zip_longest(first, second)
    end = next((at + 1 for at, (one, other) in enumerate(pairs) if one != other), max(len(first), len(second)))
    return _lines(first[:end]), _lines(second[:end])


def _lines(trace: list[Instruction]) -> list[str]:
    return [json.dumps(line(replace(instruction, depth=1))) for instruction in trace[-_SHOWN:]]
