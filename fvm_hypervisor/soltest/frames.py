"""The calls of a test as a tree of frames, out of the tracer's stream: what every view of tests is made of.

A frame knows the code that it ran, so that views find the contract by the code, not by its deployer, and whether it is
still there. What contracts and the machine ask each other on their own way (the address manager, the init actor,
questions for code) is folded away, so that both sets of rules give the same tree. Visits of code for coverage are
`fvm_hypervisor.soltest.visits`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.addresses import EthAddress, from_delegated, masked_id
from bridge.cbor import ParamsError
from bridge.events import Log, entries_to_log
from bridge.evm_steps import CodeBorrowed, CodeDeployed, EvmFrame, EvmStep, FundsMissing, PrecompileRefusal, SlotWritten
from bridge.method_numbers import INVOKE_EVM
from bridge.params import ConstructorParams, DelegateCallParams, calldata_of, unwrap_return
from hypervisor.address import Address
from hypervisor.events import EventEntry
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.registry import NATIVE
from hypervisor.tracing import (
    CallEnded,
    CallStarted,
    Dispatched,
    EventEmitted,
    RuntimeEvent,
    TraceEvent,
)
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, INIT_ACTOR, METHOD_CONSTRUCTOR, ActorID, TokenAmount
from localnet.calls.time_limit import TimeLimit
from localnet.rules.installed import rules_named
from store.cid import RAW, Cid

MOST_COUNTERS: Final = 2_000_000
"""Program counters that are kept of a frame, the newest ones."""

OUT_OF_FUNDS: Final = "OutOfFunds"
"""How a call ends, in forge's word, that its caller has no money for under Ethereum's rules."""

_CLOCK: Final = 4096
"""Instructions between two looks at the clock."""
_DELEGATE: Final = 6
_FIRST_PUBLIC_METHOD: Final = 1024
_EXEC: Final = (2, 3)
_CREATORS: Final = (Address.id(EAM_ACTOR), Address.id(INIT_ACTOR))
_STOP: Final = 0x00
_CALLCODE, _STATICCALL = 0xF2, 0xFA
_OPCODES: Final = {"CALLCODE": _CALLCODE}
_EVM_ENDS: Final = frozenset((ExitCode.OK, ExitCode.SYS_OUT_OF_GAS, ExitCode.EVM_CONTRACT_REVERTED))


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value with the ABI entry of its type; without one a text that stands for it."""

    entry: Mapping[str, Any] | None
    value: Any


@dataclass(frozen=True, slots=True)
class InternalCall:
    """A function that a frame called within its contract. `begin` and `end` are the items of the frame that lie in it.

    `result` is None where it was not left; gas is the engine's (`bridge.gas`), with that of all under it.
    """

    name: str
    arguments: tuple[TypedValue, ...]
    result: tuple[TypedValue, ...] | None
    gas: int
    begin: int
    end: int
    inner: tuple[InternalCall, ...]


@dataclass(slots=True)
class CallFrame:
    """One call, with what happened in it in order: calls, events, changed slots.

    `address` is who was called, `acts_as` in whose name the code ran (another one of a delegate call); `code` is empty
    where no contract's code ran. `counters` are the program counters in the order of their instructions, as far as they
    were listened to, without the `dropped` oldest ones; `called_at` counts those of the caller before the call.
    `number` counts the calls before it, folded ones too. Gas is the rules' own.
    """

    start: CallStarted
    address: EthAddress
    acts_as: EthAddress | None = None
    code: bytes = b""
    runtime: str = ""
    actor: ActorID | None = None
    actor_code: Cid | None = None
    end: CallEnded | None = None
    items: list[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal] = field(default_factory=list)
    counters: array[int] = field(default_factory=lambda: array("I"))
    called_at: int = 0
    dropped: int = 0
    number: int = 0
    functions: list[InternalCall] = field(default_factory=list)
    """Internal calls, if they were listened to, outermost ones."""
    borrowed: EthAddress | None = None
    """The address whose code a delegate call ran; None for other calls, and under rules that do not trace it."""
    opcode: int | None = None
    """The opcode of the call, where the tracer knows it."""
    deployed: bytes | None = None
    """The code that a creation stored."""

    @property
    def target(self) -> EthAddress:
        """The address whose code ran, also of a delegate call."""
        return self.borrowed or self.address

    @property
    def is_static(self) -> bool:
        """True for a STATICCALL; without its opcode also for a plain call within one."""
        return self.start.read_only if self.opcode is None else self.opcode == _STATICCALL

    @property
    def is_callcode(self) -> bool:
        """True for a CALLCODE, which is a delegate call that keeps the caller's address."""
        return self.opcode == _CALLCODE

    @property
    def value(self) -> TokenAmount:
        """The value that the code sees, in attoFIL (wei): of a delegate call its caller's."""
        if not self.is_delegated:
            return self.start.value
        try:
            return DelegateCallParams.decode(self.start.params).value
        except ParamsError:
            return TokenAmount(0)

    @property
    def last_opcode(self) -> int | None:
        """The last opcode that ran, where instructions were traced. Code stops at its end."""
        if not self.counters:
            return None
        place = self.counters[-1]
        return self.code[place] if place < len(self.code) else _STOP

    def counters_before(self, call: CallFrame | None) -> array[int]:
        """The program counters before a call that it made; all of them where there is none."""
        return self.counters if call is None else self.counters[: max(0, call.called_at - self.dropped)]

    def note(self, counter: int) -> None:
        """Keep the place of an instruction."""
        self.counters.append(counter)
        if len(self.counters) > MOST_COUNTERS:
            half = len(self.counters) // 2
            del self.counters[:half]
            self.dropped += half

    @property
    def calls(self) -> list[CallFrame]:
        """The calls that it made."""
        return [item for item in self.items if isinstance(item, CallFrame)]

    @property
    def succeeded(self) -> bool:
        """Whether its caller saw success."""
        return self.end is not None and not self.end.error and self.end.exit_code == ExitCode.OK

    @property
    def gas_used(self) -> int:
        """The gas that it and all under it used."""
        return 0 if self.end is None else -(-self.end.gas_used // MILLIGAS_PER_GAS)

    @property
    def is_reverted_call(self) -> bool:
        """Whether it is the call of a contract that reverted, rather than a creation or a frame that was stopped."""
        reverted = self.end is not None and self.end.exit_code == ExitCode.EVM_CONTRACT_REVERTED
        return reverted and not self.is_native and not self.creates

    @property
    def is_native(self) -> bool:
        """Whether an actor's WASM ran."""
        return self.runtime == NATIVE

    @property
    def is_refused(self) -> bool:
        """Whether the machine refused the call: there is no such actor, or no money for it."""
        return not self.runtime and self.end is not None and bool(self.end.error)

    @property
    def is_unpaid(self) -> bool:
        """Whether the call was not made because its caller has no money for it, under Ethereum's rules."""
        return self.end is not None and self.end.error == OUT_OF_FUNDS

    @property
    def refusal(self) -> PrecompileRefusal | None:
        """What a precompile refused last, with no call after it."""
        last = next((item for item in reversed(self.items) if isinstance(item, CallFrame | PrecompileRefusal)), None)
        return None if isinstance(last, CallFrame) else last

    @property
    def exit_words(self) -> str:
        """Why a contract's actor exited for reasons that the EVM has not, such as code that is too long."""
        end = self.end
        if end is None or end.error or end.exit_code in _EVM_ENDS:
            return ""
        return "" if exit_name(end.exit_code).endswith(end.message) else end.message

    @property
    def is_actors(self) -> bool:
        """Whether a native actor's own method was called, not one as if it were a contract or an account."""
        return (self.is_native or self.is_refused) and self.start.method != INVOKE_EVM and not self.is_unpaid

    @property
    def creates_others(self) -> bool:
        """Whether this is the address manager or the init actor at the creation of an actor."""
        return self.start.to in _CREATORS

    @property
    def is_delegated(self) -> bool:
        """Whether it ran another contract's code in its caller's name."""
        return not self.is_native and self.start.method == _DELEGATE

    @property
    def creates(self) -> bool:
        """Whether init code ran."""
        return not self.is_native and self.start.method == METHOD_CONSTRUCTOR

    @property
    def input(self) -> bytes:
        """Calldata, or a native method's parameters; of a creation the init code."""
        start = self.start
        if self.creates and self.code:
            return self.code
        try:
            if self.is_delegated:
                return DelegateCallParams.decode(start.params).calldata
            if self.creates and start.from_ == INIT_ACTOR:
                return ConstructorParams.decode(start.params).init_code
            if start.method == INVOKE_EVM:
                return calldata_of(start.params_codec, start.params) if start.params else b""
        except ParamsError:
            pass  # as they stand
        return start.params

    @property
    def output(self) -> bytes:
        """What came back, out of its CBOR where a contract was called."""
        if self.end is None or self.is_actors:
            return b"" if self.end is None else self.end.return_data
        data = self.end.return_data
        return data if self.end.return_codec == RAW else unwrap_return(data)


def log_of(event: EventEmitted) -> Log | None:
    """An event as a log; None where it has none of a log's forms."""
    return entries_to_log([EventEntry(*entry) for entry in event.entries])


def walk(roots: Sequence[CallFrame]) -> Iterator[CallFrame]:
    """Every frame, callers before what they call. Without recursion: calls go 1,024 deep."""
    todo = list(reversed(roots))
    while todo:
        frame = todo.pop()
        yield frame
        todo.extend(reversed(frame.calls))


def parts_of(
    frame: CallFrame, call: InternalCall | None = None
) -> list[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | InternalCall]:
    """What lies in a frame, or in a function of it, in order: its items, and the functions that have items in them."""
    begin, end, inner = (0, len(frame.items), frame.functions) if call is None else (call.begin, call.end, call.inner)
    found: list[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | InternalCall] = []
    for one in inner:
        found += [*frame.items[begin : one.begin], one]
        begin = one.end
    return [*found, *frame.items[begin:end]]


def by_end(roots: Sequence[CallFrame]) -> Iterator[CallFrame]:
    """Every frame in the order in which they ended: what a frame calls before itself."""
    todo, found = list(roots), []
    while todo:
        frame = todo.pop()
        found.append(frame)
        todo.extend(frame.calls)
    return reversed(found)


class _Taker:
    """A tracer that is a function."""

    def __init__(self, take: Callable[[TraceEvent], None]) -> None:
        self._take = take

    def event(self, event: TraceEvent, /) -> None:
        self._take(event)


class FrameTracer:
    """A tracer that builds frames under a set of rules; `roots` has one for each message."""

    def __init__(self, rules: str) -> None:
        self.roots: list[CallFrame] = []
        self._open: list[CallFrame] = []
        self._begun = 0
        self._borrowed: CodeBorrowed | None = None
        self._units = rules_named(rules).questions.adapt_tracer(_Taker(self._take))

    def event(self, event: TraceEvent, /) -> None:
        """Put an event in its place."""
        self._units.event(event)

    def _take(self, event: TraceEvent) -> None:
        match event:
            case CallStarted():
                self._begin(CallFrame(event, _address(event.to)))
            case CallEnded():
                self._end(event)
            case _ if not self._open:
                pass
            case Dispatched():
                frame = self._open[-1]
                frame.actor, frame.actor_code, frame.runtime = event.actor, event.code, event.runtime
            case EvmFrame():
                frame = self._open[-1]
                frame.acts_as, frame.code = event.address, event.code
                if not frame.is_delegated:
                    frame.address = event.address
            case EventEmitted() | PrecompileRefusal() | SlotWritten():
                self._open[-1].items.append(event)
            case CodeBorrowed():
                self._borrowed = event
            case CodeDeployed():
                self._open[-1].deployed = event.code
            case FundsMissing():
                self._begin(_unpaid_call(event, self._open[-1]))
                self._end(CallEnded(ExitCode.SYS_INSUFFICIENT_FUNDS, b"", RAW, 0, OUT_OF_FUNDS, _shortage(event)))
            case _:
                pass

    def _begin(self, frame: CallFrame) -> None:
        if self._open:
            caller = self._open[-1]
            frame.called_at = len(caller.counters) + caller.dropped
            frame.opcode = caller.last_opcode
        if self._borrowed is not None and frame.is_delegated:
            frame.borrowed, frame.opcode = self._borrowed.address, _OPCODES.get(self._borrowed.opcode)
        self._borrowed = None
        frame.number = self._begun
        self._begun += 1
        self._open.append(frame)

    def _end(self, event: CallEnded) -> None:
        frame = self._open.pop()
        frame.end = event
        if self._open:
            self._open[-1].items.extend(_fold(frame, self._open[-1]))
        else:
            self.roots.append(next(iter(_fold(frame, None)), frame))


class PlacedFrameTracer(FrameTracer):
    """Also keeps the place of every instruction (a `PlaceTracer`), within a limit of time; then it raises OutOfTime."""

    def __init__(self, rules: str, limit: TimeLimit | None = None) -> None:
        super().__init__(rules)
        self._note: Callable[[int], None] = _nowhere
        self._limit = limit
        self._until_clock = _CLOCK

    def place(self, counter: int, /) -> None:
        """Keep where the innermost frame is."""
        self._note(counter)
        self._until_clock -= 1
        if not self._until_clock:
            self._until_clock = _CLOCK
            if self._limit is not None:
                self._limit.check()

    def step(self, event: RuntimeEvent, /) -> None:
        """The same by a whole step, from engines that tell no places."""
        if isinstance(event, EvmStep):
            self.place(event.pc)

    def _begin(self, frame: CallFrame) -> None:
        super()._begin(frame)
        self._note = frame.note

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        self._note = self._open[-1].note if self._open else _nowhere


def _nowhere(_: int) -> None:
    """No frame is open."""


def _fold(frame: CallFrame, caller: CallFrame | None) -> list[CallFrame]:
    """The frames that stand for a call: its own, a creation under it, or none."""
    start = frame.start
    to_eam, to_init = start.to == Address.id(EAM_ACTOR), start.to == Address.id(INIT_ACTOR)
    if (to_eam and 1 < start.method <= 4) or (to_init and start.method in _EXEC):
        made = [call for call in frame.calls if call.creates]
        return made or [frame]
    private = METHOD_CONSTRUCTOR < start.method < _FIRST_PUBLIC_METHOD and not frame.is_delegated
    if private and caller is not None and caller.code:
        return []
    return [frame]


def _unpaid_call(event: FundsMissing, caller: CallFrame) -> CallFrame:
    """The call that was not made, for want of money."""
    start = CallStarted(
        from_=ActorID(0) if caller.actor is None else caller.actor,
        to=Address.delegated(EAM_NAMESPACE, event.address),
        method=METHOD_CONSTRUCTOR if event.creates else INVOKE_EVM,
        value=TokenAmount(event.value),
        params=event.data,
        params_codec=RAW,
        read_only=False,
        gas_available=0,
    )
    return CallFrame(start, event.address, code=event.data if event.creates else b"")


def _shortage(event: FundsMissing) -> str:
    return f"the caller has {event.balance} of {event.value} wei (attoFIL)"


def _address(to: Address) -> EthAddress:
    actor = to.actor_id()
    return from_delegated(to) or (EthAddress(bytes(20)) if actor is None else masked_id(actor))
