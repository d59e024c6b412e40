"""The record that a session's guest makes of a transaction, as the events of a tracer.

A tracer gets a transaction's events at its end, and before that whenever the record is large: calls, frames, logs,
slots, and if it wants them, program counters or instructions. They are those of the same transaction on the machine's
calls, with these exceptions:

- A frame without gas does not say what its last instruction would have cost, and charges of zero gas are left out.
- States of actors are missing, and charges before the first call except the intrinsic gas.
- The cost of an instruction includes all of its state gas (EIP-8037), and empty code has no instructions.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final, cast

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.evm_steps import (
    CodeBorrowed,
    CodeDeployed,
    CreationCollision,
    EvmCost,
    EvmFault,
    EvmFrame,
    EvmStep,
    FundsMissing,
    SelfDestructed,
    SlotWritten,
    StateGasUsed,
)
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import DelegateCallParams
from bridge.filecoin.receipts import Log, log_to_entries
from bridge.gas import CHARGE_NAME
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasTracker
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import StateTree
from hypervisor.tracing import (
    FIRST_MISSING,
    ActorFound,
    CallEnded,
    CallStarted,
    CounterTracer,
    Dispatched,
    EventEmitted,
    GasCharged,
    PausingTracer,
    TraceEvent,
    Tracer,
    pausing_tracer,
    step_tracer,
)
from hypervisor.types import METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.contracts.code import CODE_TOO_LONG, code_too_long
from runtimes.evm.contracts.engine import CallKind, Status, fault_name
from runtimes.evm.contracts.gas_table import words
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.forks.forks import Fork
from runtimes.evm.revm.accounts import EMPTY_CODE, delegated_address
from runtimes.evm.revm.calls import overflow_payment
from runtimes.evm.revm.guest import (
    COLLISION,
    FAR_MEMORY,
    LONG_CODE,
    LONG_INIT_CODE,
    OUT_OF_FUNDS,
    OVERFLOW,
    RESERVED_CODE,
    STATUS,
)
from runtimes.evm.revm.precompiles import run_precompile
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of

_START, _END, _LOG, _SLOT, _DESTRUCTION, _COUNTERS, _STEP = range(7)
"""Numbers of items (`item` in guests/revm/src/record.rs)."""
_MEMORY, _RETURN_DATA = 1, 2
_NO_COST: Final = -(1 << 63)
"""Cost of an instruction that has failed."""
_STATIC_CALL, _DELEGATE_CALL, _CALL_CODE, _CREATE = 1, 2, 3, 4
"""Kinds of calls from 0; those from CREATE on create."""
_EXISTS, _HAS_CODE, _ENTERED = 1, 2, 4
_EARLY, _ANSWERED, _ISOLATED = 1, 2, 4
_TOO_DEEP, _OUT_OF_GAS, _NO_GAS_TO_WRITE = 0x11, 0x20, 0x25
_LAST_RESULT: Final = 3

_WORD: Final = Struct("<I")
_CALL: Final = Struct("<BBBBQ20s20s20s32s32sI")
_RESULT: Final = Struct("<BBHQQqQQI")
_CHANGE: Final = Struct("<I32s32s32sq")
_DESTROYED: Final = Struct("<I20s20s32s")
_CODE: Final = Struct("<32sI")
_COUNTED: Final = Struct("<II")
_EXCESS: Final = Struct("<II")
_CAUSE: Final = Struct("<I32s20s")
_INSTRUCTION: Final = Struct("<BBBxIQqqHH")
_CHANGED_MEMORY: Final = Struct("<III")


class Codes:
    """Codes of contracts by their hash, with their CIDs."""

    def __init__(self) -> None:
        self._codes: dict[bytes, tuple[bytes, Cid]] = {}

    def take(self, data: bytes) -> int:
        """Take the new codes at the beginning of a record; return the position after them."""
        at = _WORD.size
        for _ in range(_WORD.unpack_from(data)[0]):
            code_hash, size = _CODE.unpack_from(data, at)
            at += _CODE.size
            code = data[at : at + size]
            self._codes[code_hash] = code, cid_of(code, RAW)
            at += size
        return at

    def get(self, code_hash: bytes) -> tuple[bytes, Cid]:
        return self._codes.get(code_hash, (b"", EMPTY_CODE))

    def clear(self) -> None:
        self._codes.clear()


class ActorNumbers:
    """The actors of a transaction's accounts.

    An account that the state tree lacks has the number that it gets when what the guest holds is written, if the
    transaction is kept. Others get numbers from `FIRST_MISSING` on.
    """

    def __init__(self, tree: StateTree, known: dict[EthAddress, ActorID], system: EthAddress | None) -> None:
        """`known` are actors of the state; `system` is the address of the system actor, if it has one."""
        self._tree, self._known, self._is_changing = tree, known, False
        self._system: dict[EthAddress, ActorID] = {} if system is None else {system: SYSTEM_ACTOR}
        self._new: dict[EthAddress, ActorID] = {}
        self._others: dict[EthAddress, ActorID] = {}

    def expect_changes(self) -> None:
        """Look actors up for each part: the kernel creates some, which failures remove."""
        self._is_changing = True

    def take(self, data: bytes, at: int) -> int:
        """Take the accounts that have come to be, in a part of a record; return the position after them."""
        count = int(_WORD.unpack_from(data, at)[0])
        at += _WORD.size
        self._new = dict(self._system)
        if self._is_changing:
            self._known = {}
        listed = [EthAddress(data[place : place + 20]) for place in range(at, at + 20 * count, 20)]
        new = [address for address in listed if address not in self._new and self._existing(address) is None]
        if new:
            with self._tree.without_held():
                first = self._tree.init_state().next_id
            self._new |= {address: ActorID(number) for number, address in enumerate(new, first)}
        return at + 20 * count

    def __call__(self, address: EthAddress) -> ActorID:
        actor = self._new.get(address)
        if actor is None:  # the system's is 0
            actor = self._existing(address) or self._others.get(address)
        if actor is None:
            actor = self._others[address] = ActorID(FIRST_MISSING + len(self._others))
        return actor

    def _existing(self, address: EthAddress) -> ActorID | None:
        actor = self._known.get(address)
        if actor is None:
            with self._tree.without_held():
                actor = self._tree.lookup_id(delegated_address(address))
            if actor is not None:
                self._known[address] = actor
        return actor


def text_of(result: int, data: bytes, value: int, to: EthAddress) -> str:
    """Return the message of a failed call of `to` if it names what has failed; else an empty text."""
    if result in (LONG_CODE, LONG_INIT_CODE):
        reason = "max initcode size exceeded" if result == LONG_INIT_CODE else CODE_TOO_LONG
        size, limit = _EXCESS.unpack(data)
        return code_too_long(size, limit, reason)
    if result == RESERVED_CODE:
        return "code begins with the reserved byte 0xef"
    if result == FAR_MEMORY:
        return "a memory offset or size exceeds 32 bits"
    return overflow_payment(value, to) if result == OVERFLOW else ""


def text_of_cause(data: bytes) -> str:
    """Return the message of the failed call that has made its callers fail: `text_of`, with the guest's `cause`."""
    result, value, to = _CAUSE.unpack_from(data)
    return text_of(result, data[_CAUSE.size :], _number(value), EthAddress(to))


def precompile_failure(fork: Fork, name: str, data: bytes, gas: GasTracker) -> str:
    """Return the message of a precompile's failure, which runs again."""
    try:
        run_precompile(fork, name, data, gas)
    except (PrecompileFailure, OutOfGas) as error:
        return f"{name}: {error}"
    return name


class _Open:
    """A call that has not ended."""

    __slots__ = (
        "actor", "begun", "counter", "creates", "data", "gas", "has_frame", "inner", "is_entered", "memory",
        "precompile", "return_data", "shown_next", "stack", "transfer",
    )  # fmt: skip

    def __init__(
        self, actor: ActorID, gas: int, data: bytes, creates: bool, precompile: str | None, is_entered: bool = False
    ) -> None:
        self.actor, self.gas, self.data, self.creates, self.precompile = actor, gas, data, creates, precompile
        self.has_frame = self.is_entered = is_entered
        """True if code runs; true if a native actor has made the call, which the kernel reports."""
        self.inner = 0
        """Gas used by its calls."""
        self.stack: list[int] = []
        self.memory = self.return_data = b""
        """Stack, memory and return data before its last instruction."""
        self.begun, self.counter, self.shown_next = 0, 0, 1
        """Number and program counter of its last instruction, and number of the next one for a pausing tracer."""
        self.transfer = 0, ZERO_ADDRESS
        """Value that the frame transfers, and the receiver."""


class Replay:
    """Gives the events of a transaction's record to a tracer, part by part."""

    def __init__(self, tracer: Tracer, fork: Fork, codes: Codes, actor_of: ActorNumbers, evm: tuple[Cid, str]) -> None:
        """`evm` is the code of the EVM actor and its runtime's name."""
        self._tracer = tracer
        self._fork, self._codes, self._actor_of, self._evm = fork, codes, actor_of, evm
        self._open: list[_Open] = []
        self._steps, self._pausing = step_tracer(tracer), pausing_tracer(tracer)
        self._cost: int | None = None
        """Cost of the last instruction, until it is reported."""
        self._size = self._left_out = 0
        """Bytes of items that were reported, and of those that follow and were reported before."""

    def event(self, event: TraceEvent, /) -> None:
        """Give the tracer an event, also one that is not of the record."""
        self._tracer.event(event)

    def run(self, data: bytes, at: int) -> None:
        """Report the accounts and items of a part, which begin at a position."""
        at = self._actor_of.take(data, at)
        left_out = min(self._left_out, len(data) - at)
        self._left_out, at = self._left_out - left_out, at + left_out
        self._size += len(data) - at
        event, size = self.event, len(data)
        while at < size:
            kind = data[at]
            if kind == _STEP:
                at = self._step(data, at)
            elif kind == _START:
                self.stop()
                at = self._start(data, at)
            elif kind == _END:
                at = self._end(data, at)
            elif kind == _LOG:
                at = self._log(data, at)
            elif kind == _SLOT:
                _, slot, before, after, refund = _CHANGE.unpack_from(data, at)
                at += _CHANGE.size
                event(SlotWritten(_number(slot), _number(before), _number(after), refund))
            elif kind == _DESTRUCTION:
                _, address, beneficiary, balance = _DESTROYED.unpack_from(data, at)
                at += _DESTROYED.size
                event(SelfDestructed(EthAddress(address), EthAddress(beneficiary), _number(balance)))
            else:
                at = self._counters(data, at)

    def begin_again(self) -> None:
        """Leave out what the tracer has got: the transaction begins again with the kernel, and does the same."""
        self._left_out = self._size
        self._actor_of.expect_changes()

    def note_native(self, used: int) -> None:
        """Note the gas of a call that the kernel has run and reported."""
        if self._open:
            self._open[-1].inner += used

    def _start(self, data: bytes, at: int) -> int:
        _, kind, static, flags, gas, caller, code_address, target, amount, code_hash, length = _CALL.unpack_from(
            data, at
        )
        at += _CALL.size
        given, at = data[at : at + length], at + length
        is_over = at < len(data) and data[at] == _END  # unless the part ends after the beginning of a frame
        _, ended, result, *_ = _RESULT.unpack_from(data, at) if is_over else (0, 0, 0)
        if ended & _EARLY and (result == OUT_OF_FUNDS or (kind >= _CREATE and result != OVERFLOW)):
            return self._refuse(data, at, kind, EthAddress(code_address), given, _number(amount), gas)
        event, creates, value = self.event, kind >= _CREATE, _number(amount)
        code, cid = (given, EMPTY_CODE) if creates else self._codes.get(code_hash)
        if flags & _ENTERED:
            self._open.append(_Open(self._actor_of(target), gas, given, creates, None, is_entered=True))
            event(EvmFrame(EthAddress(target), code))
            return at
        name = self._fork.precompiles.get(code_address)
        borrows = kind in (_DELEGATE_CALL, _CALL_CODE)
        from_, to, method = self._actor_of(target if borrows else caller), delegated_address(code_address), INVOKE_EVM
        params, codec, is_answered = given, RAW, ended & _ANSWERED != 0
        if creates:
            to, method = delegated_address(target), METHOD_CONSTRUCTOR
        elif borrows and name is None and not is_answered:
            opcode = CallKind.DELEGATECALL if kind == _DELEGATE_CALL else CallKind.CALLCODE
            event(CodeBorrowed(EthAddress(code_address), opcode.name))
            to, method, codec = Address.id(from_), INVOKE_CONTRACT_DELEGATE, DAG_CBOR
            params, value = DelegateCallParams(cid, given, EthAddress(caller), TokenAmount(value)).encode(), 0
        else:
            value = value if kind == 0 else 0
            if not is_answered:
                method, codec = INVOKE_CONTRACT_DELEGATE if borrows else INVOKE_EVM, RAW if given else 0
        event(CallStarted(from_, to, method, TokenAmount(value), params, codec, bool(static), gas))
        call = _Open(from_, gas, given, creates, name)
        call.transfer = _number(amount), EthAddress(target)
        self._open.append(call)
        if is_answered or name is not None or result == _TOO_DEEP or not (flags & _EXISTS or value):
            return at
        call.actor = self._actor_of(target)
        event(ActorFound(call.actor, None))
        if flags & _HAS_CODE or borrows:
            call.has_frame = True
            event(Dispatched(call.actor, *self._evm, delegated_address(target)))
            event(EvmFrame(EthAddress(target), code))
        return at

    def _refuse(self, data: bytes, at: int, kind: int, address: EthAddress, given: bytes, value: int, gas: int) -> int:
        """Report a call that was not made for want of funds, or because of a contract at the new address."""
        _, _, result, *_, length = _RESULT.unpack_from(data, at)
        at += _RESULT.size
        balance, at = _number(data[at : at + length]), at + length
        if result == COLLISION:
            self.event(CreationCollision(address, given, value, gas))
        elif result == OUT_OF_FUNDS:
            self.event(FundsMissing(address, given, value, balance, kind >= _CREATE, gas))
        return at

    def _end(self, data: bytes, at: int) -> int:
        _, flags, result, spent, unspent, state, returned, state_deposit, length = _RESULT.unpack_from(data, at)
        at += _RESULT.size
        output, at = data[at : at + length], at + length
        self.stop(result)
        event, call = self.event, self._open.pop()
        if self._open and not call.is_entered:
            self._open[-1].inner += spent
        is_success = result <= _LAST_RESULT
        if flags & _ANSWERED:
            event(CallEnded(ExitCode.OK if is_success else ExitCode.EVM_CONTRACT_REVERTED, output, RAW, 0))
            return at
        if result == _TOO_DEEP:
            event(CallEnded(0, b"", 0, 0, "LIMIT_EXCEEDED", "calls nest deeper than 1025"))
            return at
        if call.precompile is not None:
            self._end_precompile(call, call.precompile, is_success, spent, output)
            return at
        exit_code, codec, message, is_plain, shown = STATUS[result], 0, "", False, b""
        deposit, prices = 0, self._fork.gas
        has_deployed = call.creates and is_success
        is_unpaid = call.creates and result == _OUT_OF_GAS and self._fork.state_gas and output != b""
        if has_deployed or is_unpaid:
            deposit = prices.code_byte * len(output) + prices.code_word * words(len(output))
        if call.has_frame and exit_code in (Status.SUCCESS, Status.REVERT) and not has_deployed:
            codec, shown = CBOR, byte_string(output)
        elif not is_success:
            message = text_of(result, output, *call.transfer)
            if not message and exit_code == ExitCode.SYS_OUT_OF_GAS:
                unspent, message = 0, _NO_STIPEND if result == _NO_GAS_TO_WRITE else "out of gas"
                if call.creates and output:
                    message = _NO_DEPOSIT
            elif not message:
                is_plain, message = True, Status(exit_code).name
        own = spent + returned - call.inner - deposit - state_deposit - unspent
        if own > 0:  # less for a call that was a transaction of its own, and what is left of its caller's
            event(GasCharged(CHARGE_NAME, own))
        if deposit:
            event(GasCharged("OnCodeDeposit", deposit))
        if is_unpaid:
            event(GasCharged("OnStateGas", prices.state_byte * len(output)))
        if has_deployed:
            if state_deposit:
                event(GasCharged("OnStateGas", state_deposit))
            event(CodeDeployed(output))
        if exit_code not in (Status.SUCCESS, Status.REVERT):
            event(GasCharged("OnFailure", unspent))
        if state:
            event(StateGasUsed(state))
        if not call.is_entered:
            event(CallEnded(exit_code, shown, codec, spent, "", message, is_plain))
        if flags & _ISOLATED:
            event(GasCharged("OnTransaction", spent))
        return at

    def _end_precompile(self, call: _Open, name: str, is_success: bool, spent: int, output: bytes) -> None:
        event = self.event
        if is_success:
            event(GasCharged("OnPrecompile", spent))
            event(CallEnded(ExitCode.OK, output, RAW, spent))
            return
        gas = GasTracker(call.gas, tracer=self._tracer, per_gas=1)
        message = precompile_failure(self._fork, name, call.data, gas)
        event(GasCharged("OnFailure", gas.available))
        event(CallEnded(ExitCode.SYS_OUT_OF_GAS, b"", 0, spent, "", message))

    def _log(self, data: bytes, at: int) -> int:
        length: int
        topics, emitter = data[at + 1], EthAddress(data[at + 4 : at + 24])
        at += 24
        listed, at = tuple(data[place : place + 32] for place in range(at, at + 32 * topics, 32)), at + 32 * topics
        (length,) = _WORD.unpack_from(data, at)
        at += _WORD.size
        entries = log_to_entries(Log(listed, data[at : at + length]))
        shown = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in entries)
        self.event(EventEmitted(self._actor_of(emitter), shown))
        return at + length

    def _step(self, data: bytes, at: int) -> int:
        self._report_cost()
        _, flags, opcode, counter, gas, cost, refund, kept, pushed = _INSTRUCTION.unpack_from(data, at)
        at += _INSTRUCTION.size
        call, end = self._open[-1], at + 32 * pushed
        del call.stack[kept:]
        call.stack += [int.from_bytes(data[place : place + 32], "little") for place in range(at, end, 32)]
        at = end
        if flags & _MEMORY:
            size, start, length = _CHANGED_MEMORY.unpack_from(data, at)
            at += _CHANGED_MEMORY.size
            memory = call.memory.ljust(size, b"\0")
            call.memory = b"".join((memory[:start], data[at : at + length], memory[start + length :]))
            at += length
        if flags & _RETURN_DATA:
            (length,) = _WORD.unpack_from(data, at)
            at += _WORD.size
            call.return_data = data[at : at + length]
            at += length
        self._cost = cost

        def read() -> EvmStep:
            row = self._fork.opcodes.get(opcode)
            name = f"opcode {opcode:#x} not defined" if row is None else row.name
            stack = tuple(call.stack)
            return EvmStep(counter, opcode, name, gas, stack, call.memory, call.return_data, refund)

        if self._pausing is not None:
            self._pause(self._pausing, call, counter, read)
        elif self._steps is not None:
            self._steps.step(read())
        return at

    @staticmethod
    def _pause(tracer: PausingTracer, call: _Open, counter: int, read: Callable[[], EvmStep]) -> None:
        call.begun, call.counter = call.begun + 1, counter
        if call.begun >= call.shown_next:
            call.shown_next = call.begun + 1 + tracer.pause(call.begun, counter, read)

    def stop(self, result: int = 0) -> None:
        """Report the end of the last instruction, and to a pausing tracer that its frame ends or makes a call."""
        self._report_cost(result)
        if self._pausing is not None and self._open and self._open[-1].begun:
            call = self._open[-1]
            self._pausing.frame_stopped(call.begun, call.counter)
            call.shown_next = call.begun + 1

    def _report_cost(self, result: int = 0) -> None:
        """Report the cost of the last instruction, or with the call's result, why it has failed."""
        cost, self._cost = self._cost, None
        if cost is None or self._steps is None:
            return
        if cost == _NO_COST:
            self._steps.step(EvmFault(fault_name(STATUS.get(result, ExitCode.SYS_OUT_OF_GAS))))
        elif self._pausing is None:
            self._steps.step(EvmCost(cost))

    def _counters(self, data: bytes, at: int) -> int:
        count: int
        _, count = _COUNTED.unpack_from(data, at)
        at += _COUNTED.size
        counters = array("I")
        counters.frombytes(data[at : at + 4 * count])
        cast(CounterTracer, self._tracer).visit_all(counters)
        return at + 4 * count


_NO_DEPOSIT: Final = "the gas left does not pay for the contract's code"
_NO_STIPEND: Final = "writing a slot needs more gas than a transfer's stipend"


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
