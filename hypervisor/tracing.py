"""Trace events of an execution, and tracers.

`CallTrees` records the calls of both runtimes as trees of `CallNode`; the formats of other tools are functions of these
trees. Without a tracer, no event objects are created.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple, Protocol, get_args

from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.text import TreeLine, bytes_text, cid_text, one_line, shorten, show_fil, tree
from hypervisor.types import MILLIGAS_PER_GAS, ActorID, MethodNumber, TokenAmount
from store.cid import Cid

FIRST_MISSING: Final = ActorID(1 << 63)
"""First number of accounts without an actor; those of actors are lower, also of a fork's remote accounts.

Under Ethereum's rules, events have such numbers for contracts whose creation failed.
"""

LOGGER: Final = "hypervisor.actors"
"""Name of Python's logger of the messages of native actors, if `actor_debugging` is enabled and there is no tracer.

A record names its actor: `f0105 tip_jar: a tip of 5`. Estimates, which execute a message several times, do not log.
Each record is charged for, so messages use a different amount of gas with debugging enabled.
"""
MAX_CHARACTERS: Final = 4_096
"""Maximum length of an actor's message; longer ones are truncated, since logging a mebibyte costs little gas."""


class MessageStarted(NamedTuple):
    """The executor started a message."""

    from_: Address
    to: Address
    method: MethodNumber
    nonce: int
    implicit: bool

    def __repr__(self) -> str:
        parties, kind = f"{shorten(str(self.from_))} -> {shorten(str(self.to))}", "implicit" if self.implicit else ""
        return one_line("MessageStarted", parties, f"method {self.method}", f"nonce {self.nonce}", kind)


class MessageEnded(NamedTuple):
    """The executor finished a message; `gas_used` is in gas."""

    exit_code: int
    gas_used: int


class CallStarted(NamedTuple):
    """The call manager started a call. `params` are the block's bytes; `gas_available` is in milligas."""

    from_: ActorID
    to: Address
    method: MethodNumber
    value: TokenAmount
    params: bytes
    params_codec: int
    read_only: bool
    gas_available: int

    def __repr__(self) -> str:
        parties, value = f"f0{self.from_} -> {shorten(str(self.to))}", show_fil(self.value) if self.value else ""
        return one_line("CallStarted", parties, f"method {self.method}", value, f"params {bytes_text(self.params)}")


class ActorCreated(NamedTuple):
    """A send created an account or a placeholder."""

    actor: ActorID
    address: Address

    def __repr__(self) -> str:
        return one_line("ActorCreated", f"f0{self.actor}", str(self.address))


class Dispatched(NamedTuple):
    """A call was dispatched to the runtime of its actor's code; `delegated` is the actor's delegated address."""

    actor: ActorID
    code: Cid
    runtime: str
    delegated: Address | None = None

    def __repr__(self) -> str:
        address = "" if self.delegated is None else str(self.delegated)
        return one_line("Dispatched", f"f0{self.actor}", self.runtime, address, f"code ...{cid_text(self.code)[-8:]}")


class ActorFound(NamedTuple):
    """The receiver of the innermost open call was found: its state before the value transfer, if that is known."""

    actor: ActorID
    state: ActorState | None

    def __repr__(self) -> str:
        return one_line("ActorFound", f"f0{self.actor}", "" if self.state is None else repr(self.state))


class BlockOpened(NamedTuple):
    """An actor opened a block of `size` bytes."""

    cid: Cid
    size: int

    def __repr__(self) -> str:
        return one_line("BlockOpened", cid_text(self.cid), f"{self.size:,} bytes")


class BlockLinked(NamedTuple):
    """An actor wrote a block of `size` bytes to the state."""

    cid: Cid
    size: int

    def __repr__(self) -> str:
        return one_line("BlockLinked", cid_text(self.cid), f"{self.size:,} bytes")


class CallEnded(NamedTuple):
    """The innermost open call ended.

    `exit_code` is the code seen by the caller. If the call has none, `error` is set: the name of a syscall error,
    out of gas, or fatal. `gas_used` is in milligas. `message` is the actor's message. `is_plain` is True if the message
    adds nothing to the exit code.
    """

    exit_code: int
    return_data: bytes
    return_codec: int
    gas_used: int
    error: str = ""
    message: str = ""
    is_plain: bool = False

    def __repr__(self) -> str:
        end = self.error or exit_name(self.exit_code)
        gas, returned = f"gas {-(-self.gas_used // MILLIGAS_PER_GAS):,}", f"return {bytes_text(self.return_data)}"
        return one_line("CallEnded", f"exit {end}", gas, returned, self.message)


class KernelSend(NamedTuple):
    """An actor called the kernel's `send`."""

    from_: ActorID
    to: Address

    def __repr__(self) -> str:
        return one_line("KernelSend", f"f0{self.from_} -> {shorten(str(self.to))}")


class GasCharged(NamedTuple):
    """A named charge in milligas; `other` is the part that is not for computation."""

    name: str
    milligas: int
    other: int = 0


class GuestBytes(Protocol):
    """The memory of a native actor during a syscall."""

    def read(self, offset: int, length: int, /) -> bytes:
        """Return a slice of the memory. Raises SyscallError if it is out of bounds."""

    def follow(self) -> int:
        """Follow the memory if it has grown, and return its size in bytes."""


@dataclass(frozen=True, slots=True)
class SyscallEntered:
    """A WASM actor called a syscall, such as `ipld::block_link`; its charges follow.

    `arguments` are those of the import; `memory` is the actor's, valid during the call.
    """

    name: str
    arguments: tuple[int, ...] = ()
    memory: GuestBytes | None = field(default=None, compare=False, repr=False)


class SyscallLeft(NamedTuple):
    """The syscall returned: an error number and its message, or 0 and the result."""

    error: int
    result: bytes = b""
    message: str = ""

    def __repr__(self) -> str:
        return one_line("SyscallLeft", f"error {self.error}", bytes_text(self.result), self.message)


class EventEmitted(NamedTuple):
    """An actor emitted an event: entries of (flags, key, codec, value)."""

    emitter: ActorID
    entries: tuple[tuple[int, str, int, bytes], ...]

    def __repr__(self) -> str:
        fields = (f"{key}={bytes_text(value)}" for _, key, _, value in self.entries)
        return one_line("EventEmitted", f"f0{self.emitter}", *fields)


class DebugLog(NamedTuple):
    """An actor logged a message."""

    actor: ActorID
    text: str

    def __repr__(self) -> str:
        return one_line("DebugLog", f"f0{self.actor}", self.text)


class Flushed(NamedTuple):
    """The state tree was written: the new root, and the number of its blocks that were committed."""

    root: Cid
    blocks: int

    def __repr__(self) -> str:
        return one_line("Flushed", cid_text(self.root), f"{self.blocks:,} blocks")


class RuntimeEvent:
    """Base class of runtime-specific events, such as an instruction of an interpreter."""

    __slots__ = ()


class BeforeCall(RuntimeEvent):
    """Base class of runtime events about the next call; a call tree has them in that call."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpan(RuntimeEvent):
    """Base class of parts of a call that have items of their own, such as a call of an internal function."""

    items: tuple["CallItem", ...]


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
    | SyscallEntered
    | SyscallLeft
    | EventEmitted
    | DebugLog
    | Flushed
    | RuntimeEvent
)


def _equals(event: tuple[object, ...], other: object) -> bool:
    """Return True for an equal event of the same kind: a named tuple equals each tuple with the same fields."""
    return type(event) is type(other) and tuple.__eq__(event, other)


for _kind in get_args(TraceEvent):
    if issubclass(_kind, tuple):
        _kind.__eq__, _kind.__ne__ = _equals, object.__ne__


class Detail(IntEnum):
    """Instructions that a tracer receives."""

    NONE = 0
    COUNTERS = 1
    """The program counter of each, by `Tracer.visit` or `visit_all`, which is much cheaper than `STEPS`."""
    PAUSES = 2
    """Selected ones, by `Tracer.pause`; the others run at full speed. py-evm reports all, by `Tracer.step`."""
    STEPS = 3
    """Each, by `Tracer.step`: many times more events than all others together."""


class Tracer:
    """Base class of receivers of trace events; they declare what they need."""

    detail = Detail.NONE
    """Instructions that the tracer receives."""
    takes_record = False
    """True if the tracer accepts a record of a message's events, which takes much less time.

    It gets the events in large parts, some time after they have happened, without some details
    (`runtimes.evm.revm.record`). All others get each event when it happens.
    """

    def event(self, event: TraceEvent, /) -> None:
        """Receive an event, in the order of execution."""

    def step(self, event: RuntimeEvent, /) -> None:
        """Receive the event of an instruction, in order with those of `event`; of `Detail.PAUSES` also a fault."""

    def visit(self, counter: int, /) -> None:
        """Receive the program counter of an instruction of the innermost frame that is about to run."""

    def visit_all(self, counters: "array[int]", /) -> None:
        """Receive the program counters of consecutive instructions of the innermost frame."""
        for counter in counters:
            self.visit(counter)

    def pause(self, number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Receive the number (from 1) and program counter of an instruction that is about to run.

        It is the first one of a frame, or one that was asked for. `read_step` returns the event of the instruction.
        Return the number of instructions of this frame to skip; the instruction after a call is never skipped.
        """
        return 0

    def frame_stopped(self, number: int, counter: int, /) -> None:
        """Receive the count and last program counter of a frame's instructions when it ends or makes a call."""


def with_steps(tracer: Tracer | None) -> Tracer | None:
    """Return a tracer if it receives instructions."""
    return tracer if tracer is not None and tracer.detail else None


class Recorder(Tracer):
    """A tracer that records all events except instructions in `events`, in the order of execution.

    Gas is in milligas. Events are kept until the recorder is dropped, so attach one only for the messages of interest.

    >>> from hypervisor import Address, Hypervisor, Message, Recorder
    >>> recorder = Recorder()
    >>> with Hypervisor.open(tracer=recorder) as machine:
    ...     recorder.events.clear()
    ...     _ = machine.call(Message(to=Address.id(6), from_=Address.id(80)))
    >>> recorder.events[1]
    CallStarted(f080 -> f06, method 0, params empty)
    """

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.events):,} events)"

    def event(self, event: TraceEvent, /) -> None:
        """Record the event."""
        self.events.append(event)


class StepRecorder(Recorder):
    """A tracer that records instructions, too, but not all charges of gas (`takes_record`)."""

    takes_record = True
    detail = Detail.STEPS

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the event."""
        self.events.append(event)


MAX_LOGGED: Final = 10_000
"""Maximum number of actor log messages in a call tree."""
MAX_COUNTERS: Final = 2_000_000
"""Maximum number of program counters recorded per call; the newest ones are retained."""


@dataclass(slots=True)
class CallNode:
    """A call in a call tree; `items` are its calls, its events and those of its runtime, in order.

    Formats of traces are functions of these trees. `charges` are the call's own, in milligas by name, ordered by the
    last charge of each name. `logs` are the actor's log messages. `found` is true if the receiver was found. `number`
    is the number of earlier calls.

    A tracer of instructions adds their program counters in the order of execution, without the `dropped` oldest ones,
    the `opcode` that made the call if it is known, and in `called_at` the number of the caller's instructions before.
    """

    start: CallStarted
    actor: ActorID | None = None
    code: Cid | None = None
    runtime: str = ""
    delegated: Address | None = None
    created: ActorID | None = None
    end: CallEnded | None = None
    items: list["CallItem"] = field(default_factory=list)
    charges: dict[str, int] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    found: bool = False
    number: int = 0
    counters: "array[int]" = field(default_factory=lambda: array("I"))
    dropped: int = 0
    called_at: int = 0
    opcode: int | None = None

    def __repr__(self) -> str:
        calls = len(self.calls)
        below = f"{calls} calls below" if calls else ""
        return one_line("CallNode", call_line_text(self), below)

    def _repr_html_(self) -> str:
        return tree("calls", _lines(self), "go through `calls` of the node")

    def flat_items(self) -> Iterator["CallItem"]:
        """Yield the items in order, those of a `CallSpan` instead of itself."""
        todo = self.items[::-1]
        while todo:
            item = todo.pop()
            if isinstance(item, CallSpan):
                todo += item.items[::-1]
            else:
                yield item

    @property
    def calls(self) -> list["CallNode"]:
        """Calls made by the call."""
        return [item for item in self.flat_items() if isinstance(item, CallNode)]

    @property
    def events(self) -> list[EventEmitted]:
        """Events emitted by the actor."""
        return [item for item in self.flat_items() if isinstance(item, EventEmitted)]

    def note(self, counter: int) -> None:
        """Record the program counter of an instruction."""
        self.counters.append(counter)
        if len(self.counters) > MAX_COUNTERS:
            half = len(self.counters) // 2
            del self.counters[:half]
            self.dropped += half

    def note_all(self, counters: "array[int]") -> None:
        """Record the program counters of consecutive instructions."""
        self.counters += counters
        if len(self.counters) > MAX_COUNTERS:
            excess = len(self.counters) - MAX_COUNTERS // 2
            del self.counters[:excess]
            self.dropped += excess

    def counters_before(self, call: "CallNode | None") -> "array[int]":
        """Return the program counters before a call that the call made; all of them for None."""
        return self.counters if call is None else self.counters[: max(0, call.called_at - self.dropped)]

    @property
    def succeeded(self) -> bool:
        """True if the call ended with exit code 0."""
        return self.end is not None and not self.end.error and self.end.exit_code == ExitCode.OK


CallItem = CallNode | TraceEvent
"""A part of a call."""


def walk(roots: Iterable[CallNode]) -> Iterator[CallNode]:
    """Yield every call of trees, callers before callees, without recursion, since calls are up to 1,024 deep."""
    todo = list(roots)[::-1]
    while todo:
        node = todo.pop()
        yield node
        todo += node.calls[::-1]


def call_line_text(node: CallNode) -> str:
    """Format a call on one line: runtime, receiver, method, value, result and gas."""
    start, end = node.start, node.end
    receiver = str(start.to) if node.actor is None else f"f0{node.actor}"
    value = f", {show_fil(start.value)}" if start.value else ""
    if end is None:
        return f"{node.runtime or '-'} {receiver} method {start.method}{value}, did not end"
    outcome, gas = end.error or exit_name(end.exit_code), -(-end.gas_used // MILLIGAS_PER_GAS)
    return f"{node.runtime or '-'} {receiver} method {start.method}{value}, exit {outcome}, gas {gas:,}"


def _lines(root: CallNode) -> Iterator[TreeLine]:
    """Iterate over the lines of a tree for `hypervisor.text`, without recursion, since calls are up to 1,024 deep."""
    todo = [(0, root)]
    while todo:
        depth, node = todo.pop()
        yield TreeLine(depth, call_line_text(node), tuple(_notes(node)), not node.succeeded)
        todo.extend((depth + 1, below) for below in reversed(node.calls))


def _notes(node: CallNode) -> Iterator[str]:
    for event in node.events:
        yield f"event {', '.join(f'{key}={bytes_text(value)}' for _, key, _, value in event.entries)}"
    if node.end is not None and node.end.return_data:
        yield f"return {bytes_text(node.end.return_data)}"
    if node.end is not None and node.end.message:
        yield node.end.message


class CallTrees(Tracer):
    """A tracer that records only the call trees, one for each top-level call.

    Records the first MAX_LOGGED log messages of actors.
    """

    def __init__(self, details: tuple[type[TraceEvent], ...] = ()) -> None:
        """Create the tracer. `details` are the types of further events to record as items.

        Those before a top-level call are items of that call.
        """
        self._details = details
        self.takes_record = not details
        self.roots: list[CallNode] = []
        self.ended: list[MessageEnded] = []
        """The ends of messages; only the executor knows the exit code of a call that could not be made."""
        self._open: list[CallNode] = []
        self._before: list[CallItem] = []
        """Items of the next call."""
        self._number = 0
        self._logged = 0

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the trees."""
        if self._details and isinstance(event, self._details):
            (self._open[-1].items if self._open else self._before).append(event)
        match event:  # the most frequent first
            case GasCharged() if self._open:
                charges = self._open[-1].charges
                charges[event.name] = charges.pop(event.name, 0) + event.milligas
            case CallStarted():
                node, self._before = CallNode(event, items=self._before), []
                self._begin(node)
            case CallEnded():
                self._end(event)
            case BeforeCall():
                self._before.append(event)
            case EventEmitted() | RuntimeEvent() if self._open:
                self._open[-1].items.append(event)
            case Dispatched() if self._open:
                node = self._open[-1]
                node.found, node.actor, node.code, node.runtime = True, event.actor, event.code, event.runtime
                node.delegated = event.delegated
            case ActorFound() if self._open:
                self._open[-1].found = True
            case ActorCreated() if self._open:
                self._open[-1].created = event.actor
            case DebugLog() if self._open:
                self._log(event)
            case MessageEnded():
                self.ended.append(event)
            case _:
                pass

    def _begin(self, node: CallNode) -> None:
        node.number = self._number
        self._number += 1
        if self._open:
            caller = self._open[-1]
            node.called_at = caller.dropped + len(caller.counters)
            caller.items.append(node)
        else:
            self.roots.append(node)
        self._open.append(node)

    def _end(self, event: CallEnded) -> None:
        self._open.pop().end = event

    def _log(self, line: DebugLog) -> None:
        self._logged += 1
        if self._logged <= MAX_LOGGED:
            self._open[-1].logs.append(line.text)
            if self._logged == MAX_LOGGED:
                self._open[-1].logs.append("... further log messages are omitted")


def call_tree(events: Iterable[TraceEvent]) -> list[CallNode]:
    """Return the call trees of an event stream, one per top-level call. Gas is in milligas, value in attoFIL.

    >>> from hypervisor import Address, Hypervisor, Message, Recorder, call_tree
    >>> recorder = Recorder()
    >>> with Hypervisor.open(tracer=recorder) as machine:
    ...     recorder.events.clear()
    ...     _ = machine.call(Message(to=Address.id(7), from_=Address.id(80), method=2))
    >>> (call,) = call_tree(recorder.events)
    >>> call.succeeded, call.runtime, call.calls
    (False, 'wasm', [])
    """
    trees = CallTrees()
    for event in events:
        trees.event(event)
    return trees.roots
