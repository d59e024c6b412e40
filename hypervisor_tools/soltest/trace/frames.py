"""Call trees of tests, and forge's views of a call; every report of tests uses them.

A call's `EvmFrame` has the code that it ran, so that contracts are identified by code rather than by deployer, even
after self-destruction. Internal calls between contracts and the machine (address manager, init actor, code queries) are
omitted, so that Ethereum's and Filecoin's rules give the same tree. A second tracer also records every instruction with
its gas and storage access.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
    StateGasUsed,
    evm_frame,
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
from hypervisor.tracing import (
    BeforeCall,
    CallEnded,
    CallNode,
    CallSpan,
    CallStarted,
    CallTrees,
    Detail,
    EventEmitted,
    RuntimeEvent,
    TraceEvent,
    Tracer,
)
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, INIT_ACTOR, METHOD_CONSTRUCTOR, ActorID, TokenAmount
from localnet.calls.time_limit import TimeLimit
from store.cid import RAW

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
_STOP, _CALLCODE, _CREATE2, _STATICCALL = 0x00, 0xF2, 0xF5, 0xFA
_EVM_ENDS: Final = frozenset((ExitCode.OK, ExitCode.SYS_OUT_OF_GAS, ExitCode.EVM_CONTRACT_REVERTED))


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value with the ABI entry of its type; without an entry, a text."""

    entry: Mapping[str, Any] | None
    value: Any


@dataclass(frozen=True, slots=True)
class InternalCall(CallSpan):
    """An internal function call, with the items that occurred in it.

    `result` is None if the function did not return; gas is the engine's (`bridge.gas`), including nested calls.
    """

    name: str
    arguments: tuple[TypedValue, ...]
    result: tuple[TypedValue, ...] | None
    gas: int


@dataclass(slots=True)
class TracedStep(RuntimeEvent):
    """An executed instruction.

    `gas` is the frame's remaining gas before it, `cost` its gas cost, `counter` its program counter. `slot` and `word`
    are set for SLOAD and SSTORE.
    """

    counter: int
    opcode: int
    gas: int
    slot: int | None = None
    word: int | None = None
    cost: int = 0


def code_of(frame: CallNode) -> bytes:
    """Return the contract code that a call ran; empty if it ran none."""
    found = evm_frame(frame)
    return b"" if found is None else found.code


def address_of(frame: CallNode) -> EthAddress:
    """Return the address of the callee."""
    found = None if is_delegated(frame) else evm_frame(frame)
    if found is not None:
        return found.address
    to = frame.start.to
    actor = to.actor_id()
    return from_delegated(to) or (EthAddress(bytes(20)) if actor is None else masked_id(actor))


def acts_as(frame: CallNode) -> EthAddress:
    """Return the account as which a call's code ran: in a delegate call not the callee."""
    found = evm_frame(frame)
    return address_of(frame) if found is None else found.address


def borrowed_code(frame: CallNode) -> CodeBorrowed | None:
    """Return whose code a delegate call ran; None for other calls, and under rules that do not trace it."""
    before = takewhile(lambda item: isinstance(item, BeforeCall), frame.items if is_delegated(frame) else ())
    found = [item for item in before if isinstance(item, CodeBorrowed)]
    return found[-1] if found else None


def target_of(frame: CallNode) -> EthAddress:
    """Return the address whose code ran, also for a delegate call."""
    borrowed = borrowed_code(frame)
    return address_of(frame) if borrowed is None else borrowed.address


def deployed_code(frame: CallNode) -> bytes | None:
    """Return the code that a creation stored; None if it stored none."""
    return next((item.code for item in reversed(frame.items) if isinstance(item, CodeDeployed)), None)


def kind_of(frame: CallNode) -> str:
    """Return the name of the opcode that made a call; without its opcode a call within a STATICCALL is one too."""
    if creates(frame):
        return "CREATE2" if frame.opcode == _CREATE2 else "CREATE"
    if is_delegated(frame):
        borrowed = borrowed_code(frame)
        is_callcode = frame.opcode == _CALLCODE if borrowed is None else borrowed.opcode == "CALLCODE"
        return "CALLCODE" if is_callcode else "DELEGATECALL"
    is_static = frame.start.read_only if frame.opcode is None else frame.opcode == _STATICCALL
    return "STATICCALL" if is_static else "CALL"


def value_of(frame: CallNode) -> TokenAmount:
    """Return the value that the code sees, in attoFIL (wei): the caller's for a delegate call."""
    if not is_delegated(frame):
        return frame.start.value
    try:
        return DelegateCallParams.decode(frame.start.params).value
    except ParamsError:
        return TokenAmount(0)


def last_opcode(frame: CallNode) -> int | None:
    """Return the last executed opcode, if instructions were traced; STOP at the end of the code."""
    if not frame.counters:
        return None
    place, code = frame.counters[-1], code_of(frame)
    return code[place] if place < len(code) else _STOP


def gas_used(frame: CallNode) -> int:
    """Return the gas used by a call and its calls.

    As in forge, a halted frame does not include the gas remaining when it halted. For an isolated call it is the
    gas used by the transaction, which includes that remainder.
    """
    if frame.end is None:
        return 0
    used, unspent = frame.end.gas_used, frame.charges.get("OnFailure", 0)
    if frame.end.exit_code != ExitCode.SYS_OUT_OF_GAS and unspent <= used <= frame.start.gas_available:
        used -= unspent
    return -(-used // MILLIGAS_PER_GAS)


def state_gas(frame: CallNode) -> int:
    """Return the state gas of a call with its calls (EIP-8037), a part of its gas; negative if it returned some."""
    return sum(item.amount for item in frame.flat_items() if isinstance(item, StateGasUsed))


def is_reverted_call(frame: CallNode) -> bool:
    """Return True for a contract call that reverted, but not for a creation or a halted frame."""
    reverted = frame.end is not None and frame.end.exit_code == ExitCode.EVM_CONTRACT_REVERTED
    return reverted and not is_native(frame) and not creates(frame)


def is_native(frame: CallNode) -> bool:
    """Return True if WASM of an actor ran."""
    return frame.runtime == NATIVE


def is_refused(frame: CallNode) -> bool:
    """Return True if the machine rejected the call: the actor does not exist, or funds are missing."""
    return not frame.runtime and frame.end is not None and bool(frame.end.error)


def was_rejected_early(frame: CallNode) -> bool:
    """Return True if the call was not made: funds are missing, it is too large, or the new address has a contract."""
    return frame.end is not None and frame.end.error in (OUT_OF_FUNDS, COLLISION, TOO_LARGE)


def refusal_of(frame: CallNode) -> PrecompileRefusal | None:
    """Return the last refusal of a precompile, if no call follows it."""
    found = [item for item in frame.flat_items() if isinstance(item, CallNode | PrecompileRefusal)]
    return found[-1] if found and isinstance(found[-1], PrecompileRefusal) else None


def exit_message(frame: CallNode) -> str:
    """Return the exit message of a contract's actor for errors that the EVM does not have, such as too long code."""
    end = frame.end
    if end is None or end.error or end.exit_code in _EVM_ENDS:
        return ""
    return "" if exit_name(end.exit_code).endswith(end.message) else end.message


def is_actors(frame: CallNode) -> bool:
    """Return True if the call is of a native actor's own method, not of `InvokeEVM`."""
    is_own = is_native(frame) or is_refused(frame)
    return is_own and frame.start.method != INVOKE_EVM and not was_rejected_early(frame)


def creates_others(frame: CallNode) -> bool:
    """Return True if this is the address manager or the init actor creating an actor."""
    return frame.start.to in _CREATORS


def is_delegated(frame: CallNode) -> bool:
    """Return True if the call ran another contract's code as its caller."""
    return not is_native(frame) and frame.start.method == _DELEGATE


def creates(frame: CallNode) -> bool:
    """Return True if init code ran."""
    return not is_native(frame) and frame.start.method == METHOD_CONSTRUCTOR


def input_of(frame: CallNode) -> bytes:
    """Return the calldata, a native method's parameters, or the init code of a creation."""
    start, code = frame.start, code_of(frame)
    if creates(frame) and code:
        return code
    try:
        if is_delegated(frame):
            return DelegateCallParams.decode(start.params).calldata
        if creates(frame) and start.from_ == INIT_ACTOR:
            return ConstructorParams.decode(start.params).init_code
        if start.method == INVOKE_EVM:
            return calldata_of(start.params_codec, start.params) if start.params else b""
    except ParamsError:
        pass  # not in the expected encoding
    return start.params


def output_of(frame: CallNode) -> bytes:
    """Return the return data, without its CBOR encoding for a contract call."""
    if frame.end is None or is_actors(frame):
        return b"" if frame.end is None else frame.end.return_data
    data = frame.end.return_data
    return data if frame.end.return_codec == RAW else unwrap_return(data)


def log_of(event: EventEmitted) -> Log | None:
    """Return an event as a log, or None if it does not have the form of one."""
    return entries_to_log([EventEntry(*entry) for entry in event.entries])


def frames_by_end(roots: Sequence[CallNode]) -> Iterator[CallNode]:
    """Yield every call in the order of their ends, callees before callers."""
    todo, found = list(roots), []
    while todo:
        frame = todo.pop()
        found.append(frame)
        todo.extend(frame.calls)
    return reversed(found)


class _CallbackTracer(Tracer):
    """A tracer that calls a function."""

    def __init__(self, take: Callable[[TraceEvent], None]) -> None:
        self._take = take

    def event(self, event: TraceEvent, /) -> None:
        self._take(event)


class FrameTracer(CallTrees):
    """A tracer that builds call trees under a set of rules; `roots` has one call per message.

    Tracers of instructions raise OutOfTime after the time limit.
    """

    def __init__(self, rules: str, limit: TimeLimit | None = None) -> None:
        from localnet.rules.parts import rules_named  # loads slowly, and most tests are not traced

        super().__init__()
        self._limit = limit
        self._until_clock = _CLOCK
        self._units = rules_named(rules).calls.adapt_tracer(_CallbackTracer(self._take))

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the trees."""
        self._units.event(event)

    def _take(self, event: TraceEvent) -> None:
        match event:
            case FundsMissing() if self._open:
                self._reject(event, ExitCode.SYS_INSUFFICIENT_FUNDS, OUT_OF_FUNDS, _shortage(event))
            case ParametersTooLarge() if self._open:
                self._reject(event, ExitCode.SYS_ILLEGAL_INSTRUCTION, TOO_LARGE, event.reason)
            case CreationCollision() if self._open:
                self._reject(event, ExitCode.SYS_ILLEGAL_INSTRUCTION, COLLISION)
            case _:
                super().event(event)

    def _reject(
        self, event: FundsMissing | CreationCollision | ParametersTooLarge, code: int, error: str, message: str = ""
    ) -> None:
        """Add a call or creation that was rejected before execution."""
        caller = self._open[-1]
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
        self._begin(CallNode(start, items=[EvmFrame(event.address, event.data)] if event.creates else []))
        self._end(CallEnded(code, b"", RAW, 0, error, message))

    def _tick(self) -> None:
        """Count an instruction, and check the time at some of them."""
        self._until_clock -= 1
        if not self._until_clock:
            self._check_time()

    def _check_time(self) -> None:
        self._until_clock = _CLOCK
        if self._limit is not None:
            self._limit.check()

    def _begin(self, node: CallNode) -> None:
        node.opcode = last_opcode(self._open[-1]) if self._open else None
        super()._begin(node)

    def _end(self, event: CallEnded) -> None:
        frame = self._open[-1]
        super()._end(event)
        if self._open:
            self._open[-1].items[-1:] = _fold(frame, self._open[-1])
        else:
            self.roots[-1:] = _fold(frame, None)[:1]


class CounterFrameTracer(FrameTracer):
    """Also records every program counter."""

    detail = Detail.COUNTERS

    def __init__(self, rules: str, limit: TimeLimit | None = None) -> None:
        super().__init__(rules, limit)
        self._note: Callable[[int], None] = _ignore_counter

    def visit(self, counter: int, /) -> None:
        """Record the program counter in the innermost frame."""
        self._note(counter)
        self._until_clock -= 1
        if not self._until_clock:  # a call for each instruction would take a tenth longer
            self._check_time()

    def visit_all(self, counters: array[int], /) -> None:
        """Record program counters in the innermost frame."""
        if self._open:
            self._open[-1].note_all(counters)
        self._check_time()

    def _begin(self, node: CallNode) -> None:
        super()._begin(node)
        self._note = node.note

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        self._note = self._open[-1].note if self._open else _ignore_counter


def _ignore_counter(_: int) -> None:
    """Ignore an instruction: no frame is open."""


def _fold(frame: CallNode, caller: CallNode | None) -> list[CallNode]:
    """Return the frames that represent a call: itself, the creations below it, or none."""
    start = frame.start
    to_eam, to_init = start.to == Address.id(EAM_ACTOR), start.to == Address.id(INIT_ACTOR)
    if (to_eam and 1 < start.method <= 4) or (to_init and start.method in _EXEC):
        made = [call for call in frame.calls if creates(call)]
        return made or [frame]
    private = METHOD_CONSTRUCTOR < start.method < _FIRST_PUBLIC_METHOD and not is_delegated(frame)
    if private and caller is not None and code_of(caller):
        return []
    return [frame]


def _shortage(event: FundsMissing) -> str:
    return f"the caller has {event.balance} of {event.value} wei (attoFIL)"


_SLOAD, _SSTORE = 0x54, 0x55


class StepFrameTracer(FrameTracer):
    """A frame tracer that also records every instruction."""

    detail = Detail.STEPS

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, or the cost or fault of the last one."""
        frame = self._open[-1]
        last = next((item for item in reversed(frame.items) if isinstance(item, TracedStep)), None)
        match event:
            case EvmStep():
                if last is not None and last.opcode == _SLOAD and event.stack:
                    last.word = event.stack[-1]
                frame.note(event.pc)
                frame.items.append(_trace(event))
                self._tick()
            case EvmCost() if last is not None:
                last.cost += event.gas
            case EvmFault() if last is not None and event.reason == OutOfGas.__name__:
                last.cost = last.gas
            case _:
                pass


def _trace(step: EvmStep) -> TracedStep:
    slot = step.stack[-1] if step.opcode in (_SLOAD, _SSTORE) and step.stack else None
    word = step.stack[-2] if step.opcode == _SSTORE and len(step.stack) > 1 else None
    return TracedStep(step.pc, step.opcode, step.gas, slot, word)
