"""The calls of a test as a tree of frames, built from tracer events; every report of tests uses it.

A frame has the code that it ran, so that contracts are identified by code rather than by deployer, even after
self-destruction. Internal calls between contracts and the machine (address manager, init actor, code queries) are
omitted, so that Ethereum's and Filecoin's rules give the same tree. A second tracer also records every instruction with
its gas and storage access.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, from_delegated, masked_id
from bridge.evm_steps import (
    CodeBorrowed,
    CodeDeployed,
    CreationCollision,
    EvmCost,
    EvmFault,
    EvmFrame,
    EvmStep,
    FundsMissing,
    ParametersTooLarge,
    PrecompileRefusal,
    SlotWritten,
)
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import ConstructorParams, DelegateCallParams, calldata_of, unwrap_return
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.registry import NATIVE
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, EventEmitted, GasCharged, RuntimeEvent, TraceEvent
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, INIT_ACTOR, METHOD_CONSTRUCTOR, ActorID, TokenAmount
from localnet.calls.time_limit import TimeLimit
from store.cid import RAW, Cid

MAX_COUNTERS: Final = 2_000_000
"""Maximum number of program counters stored per frame; the newest ones are retained."""

OUT_OF_FUNDS: Final = "OutOfFunds"
"""Forge's name for the end of a call whose caller lacks funds under Ethereum's rules."""
COLLISION: Final = "CreateCollision"
"""Forge's status of a creation whose address already has a contract."""
TOO_LARGE: Final = "TooLarge"
"""Error of a call whose parameters exceed the size of a block, under Filecoin's rules."""

_CLOCK: Final = 4096
"""Number of instructions between two checks of the time."""
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
    """A value with the ABI entry of its type; without an entry, a text."""

    entry: Mapping[str, Any] | None
    value: Any


@dataclass(frozen=True, slots=True)
class InternalCall:
    """An internal function call. `begin` and `end` delimit the items of the frame that occurred in it.

    `result` is None if the function did not return; gas is the engine's (`bridge.gas`), including nested calls.
    """

    name: str
    arguments: tuple[TypedValue, ...]
    result: tuple[TypedValue, ...] | None
    gas: int
    begin: int
    end: int
    inner: tuple[InternalCall, ...]


@dataclass(slots=True)
class TracedStep:
    """An executed instruction.

    `gas` is the frame's remaining gas before it, `cost` its gas cost, `counter` its program counter. `visit` is the
    number of `CallFrame.items` recorded before it. `slot` and `word` are set for SLOAD and SSTORE.
    """

    counter: int
    opcode: int
    gas: int
    place: int
    slot: int | None = None
    word: int | None = None
    cost: int = 0


@dataclass(slots=True)
class CallFrame:
    """A call with its calls, events and changed slots, in order.

    `address` is the callee, `acts_as` the account as which the code ran (another one in a delegate call); `code` is
    empty if no contract code ran. `counters` are the traced program counters in execution order, without the `dropped`
    oldest ones; `called_at` is the number of the caller's counters before the call. `number` is the number of earlier
    calls, including folded ones. Gas is counted by the rules.
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
    """Outermost internal calls, if they were traced."""
    borrowed: EthAddress | None = None
    """Address whose code a delegate call ran; None for other calls, and under rules that do not trace it."""
    opcode: int | None = None
    """Opcode of the call, if the tracer knows it."""
    deployed: bytes | None = None
    """Code that a creation stored."""
    unspent: int = 0
    """Milligas remaining in the frame when it halted; the halt consumes them."""
    steps: list[TracedStep] = field(default_factory=list)
    """Executed instructions, if the tracer recorded them."""

    @property
    def target(self) -> EthAddress:
        """Address whose code ran, also for a delegate call."""
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
        """Value that the code sees, in attoFIL (wei): the caller's for a delegate call."""
        if not self.is_delegated:
            return self.start.value
        try:
            return DelegateCallParams.decode(self.start.params).value
        except ParamsError:
            return TokenAmount(0)

    @property
    def last_opcode(self) -> int | None:
        """Last executed opcode, if instructions were traced; STOP at the end of the code."""
        if not self.counters:
            return None
        place = self.counters[-1]
        return self.code[place] if place < len(self.code) else _STOP

    def counters_before(self, call: CallFrame | None) -> array[int]:
        """Return the program counters before a call that the frame made; all of them for None."""
        return self.counters if call is None else self.counters[: max(0, call.called_at - self.dropped)]

    def note(self, counter: int) -> None:
        """Record the program counter of an instruction."""
        self.counters.append(counter)
        if len(self.counters) > MAX_COUNTERS:
            half = len(self.counters) // 2
            del self.counters[:half]
            self.dropped += half

    @property
    def calls(self) -> list[CallFrame]:
        """Calls made by the frame."""
        return [item for item in self.items if isinstance(item, CallFrame)]

    @property
    def succeeded(self) -> bool:
        """True if the caller saw success."""
        return self.end is not None and not self.end.error and self.end.exit_code == ExitCode.OK

    @property
    def gas_used(self) -> int:
        """Gas used by the frame and its calls.

        As in forge, a halted frame does not include the gas remaining when it halted. For an isolated call it is the
        gas used by the transaction, which includes that remainder.
        """
        if self.end is None:
            return 0
        used = self.end.gas_used
        if self.end.exit_code != ExitCode.SYS_OUT_OF_GAS and self.unspent <= used <= self.start.gas_available:
            used -= self.unspent
        return -(-used // MILLIGAS_PER_GAS)

    @property
    def is_reverted_call(self) -> bool:
        """True for a contract call that reverted, but not for a creation or a halted frame."""
        reverted = self.end is not None and self.end.exit_code == ExitCode.EVM_CONTRACT_REVERTED
        return reverted and not self.is_native and not self.creates

    @property
    def is_native(self) -> bool:
        """True if WASM of an actor ran."""
        return self.runtime == NATIVE

    @property
    def is_refused(self) -> bool:
        """True if the machine rejected the call: the actor does not exist, or funds are missing."""
        return not self.runtime and self.end is not None and bool(self.end.error)

    @property
    def was_rejected_early(self) -> bool:
        """True if the call was not made: funds are missing, it is too large, or the new address has a contract."""
        return self.end is not None and self.end.error in (OUT_OF_FUNDS, COLLISION, TOO_LARGE)

    @property
    def refusal(self) -> PrecompileRefusal | None:
        """The last refusal of a precompile, if no call follows it."""
        last = next((item for item in reversed(self.items) if isinstance(item, CallFrame | PrecompileRefusal)), None)
        return None if isinstance(last, CallFrame) else last

    @property
    def exit_message(self) -> str:
        """Exit message of a contract's actor for errors that the EVM does not have, such as code that is too long."""
        end = self.end
        if end is None or end.error or end.exit_code in _EVM_ENDS:
            return ""
        return "" if exit_name(end.exit_code).endswith(end.message) else end.message

    @property
    def is_actors(self) -> bool:
        """True if the call is of a native actor's own method, not of `InvokeEVM`."""
        return (self.is_native or self.is_refused) and self.start.method != INVOKE_EVM and not self.was_rejected_early

    @property
    def creates_others(self) -> bool:
        """True if this is the address manager or the init actor creating an actor."""
        return self.start.to in _CREATORS

    @property
    def is_delegated(self) -> bool:
        """True if it ran another contract's code as its caller."""
        return not self.is_native and self.start.method == _DELEGATE

    @property
    def creates(self) -> bool:
        """True if init code ran."""
        return not self.is_native and self.start.method == METHOD_CONSTRUCTOR

    @property
    def input(self) -> bytes:
        """Calldata, a native method's parameters, or the init code of a creation."""
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
            pass  # not in the expected encoding
        return start.params

    @property
    def output(self) -> bytes:
        """Return data, without its CBOR encoding for a contract call."""
        if self.end is None or self.is_actors:
            return b"" if self.end is None else self.end.return_data
        data = self.end.return_data
        return data if self.end.return_codec == RAW else unwrap_return(data)


def log_of(event: EventEmitted) -> Log | None:
    """Return an event as a log, or None if it does not have the form of one."""
    return entries_to_log([EventEntry(*entry) for entry in event.entries])


def walk(roots: Sequence[CallFrame]) -> Iterator[CallFrame]:
    """Yield every frame, callers before callees. Not recursive: calls are up to 1,024 deep."""
    todo = list(reversed(roots))
    while todo:
        frame = todo.pop()
        yield frame
        todo.extend(reversed(frame.calls))


def parts_of(
    frame: CallFrame, call: InternalCall | None = None
) -> list[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | InternalCall]:
    """Return the content of a frame or of a function in it, in order: items, and functions that contain items."""
    begin, end, inner = (0, len(frame.items), frame.functions) if call is None else (call.begin, call.end, call.inner)
    found: list[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | InternalCall] = []
    for one in inner:
        found += [*frame.items[begin : one.begin], one]
        begin = one.end
    return [*found, *frame.items[begin:end]]


def frames_by_end(roots: Sequence[CallFrame]) -> Iterator[CallFrame]:
    """Yield every frame in the order of their ends, callees before callers."""
    todo, found = list(roots), []
    while todo:
        frame = todo.pop()
        found.append(frame)
        todo.extend(frame.calls)
    return reversed(found)


class _CallbackTracer:
    """A tracer that calls a function."""

    def __init__(self, take: Callable[[TraceEvent], None]) -> None:
        self._take = take

    def event(self, event: TraceEvent, /) -> None:
        self._take(event)


class FrameTracer:
    """A tracer that builds frames under a set of rules; `roots` has one frame per message."""

    def __init__(self, rules: str) -> None:
        from localnet.rules.parts import rules_named  # loads slowly, and most tests are not traced

        self.roots: list[CallFrame] = []
        self._open: list[CallFrame] = []
        self._frame_count = 0
        self._borrowed: CodeBorrowed | None = None
        self._units = rules_named(rules).calls.adapt_tracer(_CallbackTracer(self._take))

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the frames."""
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
            case GasCharged(name="OnFailure"):
                self._open[-1].unspent = event.milligas
            case CodeDeployed():
                self._open[-1].deployed = event.code
            case FundsMissing():
                self._begin(_rejected_call(event, self._open[-1]))
                self._end(CallEnded(ExitCode.SYS_INSUFFICIENT_FUNDS, b"", RAW, 0, OUT_OF_FUNDS, _shortage(event)))
            case ParametersTooLarge():
                self._begin(_rejected_call(event, self._open[-1]))
                self._end(CallEnded(ExitCode.SYS_ILLEGAL_INSTRUCTION, b"", RAW, 0, TOO_LARGE, event.reason))
            case CreationCollision():
                self._begin(_rejected_call(event, self._open[-1]))
                self._end(CallEnded(ExitCode.SYS_ILLEGAL_INSTRUCTION, b"", RAW, 0, COLLISION))
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
        frame.number = self._frame_count
        self._frame_count += 1
        self._open.append(frame)

    def _end(self, event: CallEnded) -> None:
        frame = self._open.pop()
        frame.end = event
        if self._open:
            self._open[-1].items.extend(_fold(frame, self._open[-1]))
        else:
            self.roots.append(next(iter(_fold(frame, None)), frame))


class CounterFrameTracer(FrameTracer):
    """Also records every program counter (a `CounterTracer`). Raises OutOfTime after the time limit."""

    def __init__(self, rules: str, limit: TimeLimit | None = None) -> None:
        super().__init__(rules)
        self._note: Callable[[int], None] = _ignore_counter
        self._limit = limit
        self._until_clock = _CLOCK

    def visit(self, counter: int, /) -> None:
        """Record the program counter in the innermost frame."""
        self._note(counter)
        self._until_clock -= 1
        if not self._until_clock:
            self._until_clock = _CLOCK
            if self._limit is not None:
                self._limit.check()

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the instruction of a full step, for engines that report no counters."""
        if isinstance(event, EvmStep):
            self.visit(event.pc)

    def _begin(self, frame: CallFrame) -> None:
        super()._begin(frame)
        self._note = frame.note

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        self._note = self._open[-1].note if self._open else _ignore_counter


def _ignore_counter(_: int) -> None:
    """Ignore an instruction: no frame is open."""


def _fold(frame: CallFrame, caller: CallFrame | None) -> list[CallFrame]:
    """Return the frames that represent a call: itself, the creations below it, or none."""
    start = frame.start
    to_eam, to_init = start.to == Address.id(EAM_ACTOR), start.to == Address.id(INIT_ACTOR)
    if (to_eam and 1 < start.method <= 4) or (to_init and start.method in _EXEC):
        made = [call for call in frame.calls if call.creates]
        return made or [frame]
    private = METHOD_CONSTRUCTOR < start.method < _FIRST_PUBLIC_METHOD and not frame.is_delegated
    if private and caller is not None and caller.code:
        return []
    return [frame]


def _rejected_call(event: FundsMissing | CreationCollision | ParametersTooLarge, caller: CallFrame) -> CallFrame:
    """Return the frame of a call or creation that was rejected before execution."""
    start = CallStarted(
        from_=ActorID(0) if caller.actor is None else caller.actor,
        to=Address.delegated(EAM_NAMESPACE, event.address),
        method=METHOD_CONSTRUCTOR if event.creates else INVOKE_EVM,
        value=TokenAmount(event.value),
        params=event.data,
        params_codec=RAW,
        read_only=False,
        gas_available=event.gas * MILLIGAS_PER_GAS,
    )
    return CallFrame(start, event.address, code=event.data if event.creates else b"")


def _shortage(event: FundsMissing) -> str:
    return f"the caller has {event.balance} of {event.value} wei (attoFIL)"


def _address(to: Address) -> EthAddress:
    actor = to.actor_id()
    return from_delegated(to) or (EthAddress(bytes(20)) if actor is None else masked_id(actor))


_SLOAD, _SSTORE = 0x54, 0x55


class StepFrameTracer(FrameTracer):
    """A frame tracer that also records every instruction. Raises OutOfTime when the time limit is exceeded."""

    def __init__(self, rules: str, limit: TimeLimit) -> None:
        super().__init__(rules)
        self._limit = limit

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, or the cost or fault of the last one."""
        frame = self._open[-1]
        last = frame.steps[-1] if frame.steps else None
        match event:
            case EvmStep():
                if last is not None and last.opcode == _SLOAD and event.stack:
                    last.word = event.stack[-1]
                frame.note(event.pc)
                frame.steps.append(_trace(event, len(frame.items)))
                if len(frame.steps) % _CLOCK == 0:
                    self._limit.check()
            case EvmCost() if last is not None:
                last.cost += event.gas
            case EvmFault() if last is not None and event.reason == OutOfGas.__name__:
                last.cost = last.gas
            case _:
                pass


def _trace(step: EvmStep, index: int) -> TracedStep:
    slot = step.stack[-1] if step.opcode in (_SLOAD, _SSTORE) and step.stack else None
    word = step.stack[-2] if step.opcode == _SSTORE and len(step.stack) > 1 else None
    return TracedStep(step.pc, step.opcode, step.gas, index, slot, word)
