"""The stream of events that execution tells of itself, and the protocol of who listens.

Call trees, gas profiles and traces are pure functions of this stream (`call_tree` here; the geth and parity forms
elsewhere). Without a listener the tracer is None and no event object is built.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hypervisor.address import Address
from hypervisor.exit_codes import ExitCode
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from store.cid import Cid


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """The executor took a message."""

    from_: Address
    to: Address
    method: MethodNumber
    nonce: int
    implicit: bool


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The executor has a receipt. Gas in gas."""

    exit_code: int
    gas_used: int


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The call manager begins a call. `params` are the block's bytes; gas available in milligas."""

    from_: ActorID
    to: Address
    method: MethodNumber
    value: TokenAmount
    params: bytes
    params_codec: int
    read_only: bool
    gas_available: int


@dataclass(frozen=True, slots=True)
class ActorCreated:
    """A send brought an account or a placeholder into being."""

    actor: ActorID
    address: Address


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The registry chose the runtime for an actor's code; `delegated` is the actor's delegated address."""

    actor: ActorID
    code: Cid
    runtime: str
    delegated: Address | None = None


@dataclass(frozen=True, slots=True)
class ActorFound:
    """The receiver of the innermost open call is there: its state before the call's value arrives."""

    actor: ActorID
    state: ActorState


@dataclass(frozen=True, slots=True)
class BlockOpened:
    """An actor has opened a block of N bytes."""

    cid: Cid
    size: int


@dataclass(frozen=True, slots=True)
class BlockLinked:
    """An actor has written a block of N bytes to the state."""

    cid: Cid
    size: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call of the innermost open `CallStarted` is over.

    `exit_code` is what the caller sees; `error` names what came instead of an exit code (a syscall error's name, out
    of gas, fatal); `gas_used` in milligas; `message` the actor's own words, `is_plain` if these say no more than the
    exit code.
    """

    exit_code: int
    return_data: bytes
    return_codec: int
    gas_used: int
    error: str = ""
    message: str = ""
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class KernelSend:
    """An actor asked the kernel to send."""

    from_: ActorID
    to: Address


@dataclass(frozen=True, slots=True)
class GasCharged:
    """A named charge, in milligas; `other` is the part of it that pays for other things than computing."""

    name: str
    milligas: int
    other: int = 0


@dataclass(frozen=True, slots=True)
class EventEmitted:
    """An actor emitted an event: entries of (flags, key, codec, value)."""

    emitter: ActorID
    entries: tuple[tuple[int, str, int, bytes], ...]


@dataclass(frozen=True, slots=True)
class DebugLog:
    """An actor's debug line."""

    actor: ActorID
    text: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """The state tree was written: the new root, and how many blocks reached the store."""

    root: Cid
    blocks: int


class RuntimeEvent:
    """An event of a runtime's own kind, such as an instruction of an interpreter."""

    __slots__ = ()


TraceEvent = (
    MessageStarted
    | MessageEnded
    | CallStarted
    | ActorCreated
    | ActorFound
    | Dispatched
    | BlockOpened
    | BlockLinked
    | CallEnded
    | KernelSend
    | GasCharged
    | EventEmitted
    | DebugLog
    | Flushed
    | RuntimeEvent
)


class Tracer(Protocol):
    """A listener to a message's execution."""

    def event(self, event: TraceEvent, /) -> None:
        """Take one event, in the order in which things happen."""


@runtime_checkable
class StepTracer(Tracer, Protocol):
    """Who also wants every instruction: many times more events than all others together."""

    def step(self, event: RuntimeEvent, /) -> None:
        """Take one event of an instruction, in order with those of `event`."""


@runtime_checkable
class PlaceTracer(StepTracer, Protocol):
    """Who wants to know no more of an instruction than where it is: much less work than a `step`.

    An engine that offers it calls `place` in place of `step`, so both must be understood.
    """

    def place(self, counter: int, /) -> None:
        """Take the program counter of an instruction of the innermost frame that is about to run."""


class Recorder:
    """A tracer that keeps everything but instructions."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def event(self, event: TraceEvent, /) -> None:
        self.events.append(event)


class StepRecorder(Recorder):
    """A tracer that keeps everything, instructions too."""

    def step(self, event: RuntimeEvent, /) -> None:
        """Keep the event among the others."""
        self.events.append(event)


@dataclass(slots=True)
class CallNode:
    """One call of a call tree, with the calls and events under it in order.

    `calls_before` says for each of the events how many of the calls came before it. `charges` are the call's own, in
    milligas by name, in the order in which each name was last charged.
    """

    start: CallStarted
    actor: ActorID | None = None
    code: Cid | None = None
    runtime: str = ""
    delegated: Address | None = None
    created: ActorID | None = None
    end: CallEnded | None = None
    calls: list["CallNode"] = field(default_factory=list)
    events: list[EventEmitted] = field(default_factory=list)
    calls_before: list[int] = field(default_factory=list)
    charges: dict[str, int] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True where the call ended with exit code 0."""
        return self.end is not None and not self.end.error and self.end.exit_code == ExitCode.OK


class CallTrees:
    """A tracer that keeps the calls as trees, one for each top-level call in order, and nothing else."""

    def __init__(self) -> None:
        self.roots: list[CallNode] = []
        self._open: list[CallNode] = []

    def event(self, event: TraceEvent, /) -> None:
        """Put an event in its place."""
        match event:
            case CallStarted():
                node = CallNode(event)
                (self._open[-1].calls if self._open else self.roots).append(node)
                self._open.append(node)
            case CallEnded():
                self._open.pop().end = event
            case _ if self._open:
                _note(self._open[-1], event)
            case _:
                pass


def _note(node: CallNode, event: TraceEvent) -> None:
    match event:
        case GasCharged():
            node.charges[event.name] = node.charges.pop(event.name, 0) + event.milligas
        case Dispatched():
            node.actor, node.code, node.runtime = event.actor, event.code, event.runtime
            node.delegated = event.delegated
        case ActorCreated():
            node.created = event.actor
        case EventEmitted():
            node.events.append(event)
            node.calls_before.append(len(node.calls))
        case _:
            pass


def call_tree(events: Iterable[TraceEvent]) -> list[CallNode]:
    """The calls of a stream as trees, one for each top-level call, in order."""
    trees = CallTrees()
    for event in events:
        trees.event(event)
    return trees.roots
