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
from typing import Final

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
    Detail,
    Dispatched,
    EventEmitted,
    GasCharged,
    TraceEvent,
    Tracer,
    with_steps,
)
from hypervisor.types import METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.contracts.code import CODE_TOO_LONG, code_too_long
from runtimes.evm.contracts.engine import Status, fault_name
from runtimes.evm.contracts.gas_table import words
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.forks.forks import Fork
from runtimes.evm.revm.accounts import EMPTY_CODE, delegated_address
from runtimes.evm.revm.calls import overflow_payment
from runtimes.evm.revm.guest import KINDS, STATUS, read_addresses, read_data
from runtimes.evm.revm.precompiles import run_precompile
from runtimes.evm.revm.protocol import (
    CALL_ITEM,
    CAUSE,
    CODE_EXCESS,
    COUNT,
    COUNTERS_ITEM,
    DESTRUCTION_ITEM,
    END_ITEM,
    LOG_ITEM,
    MEMORY_ITEM,
    NO_COST,
    RECORDED_CODE,
    SLOT_ITEM,
    STEP_ITEM,
    CallFlag,
    CallScheme,
    EndFlag,
    InstructionResult,
    Item,
    StepFlag,
)
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of


class Codes:
    """Codes of contracts by their hash, with their CIDs."""

    def __init__(self) -> None:
        self._codes: dict[bytes, tuple[bytes, Cid]] = {}

    def take(self, data: bytes) -> int:
        """Take the new codes at the beginning of a record; return the position after them."""
        at = COUNT.size
        for _ in range(COUNT.read(data).count):
            code_hash, size = RECORDED_CODE.read(data, at)
            at += RECORDED_CODE.size
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
        self._new = dict(self._system)
        if self._is_changing:
            self._known = {}
        listed, at = read_addresses(data, at)
        new = [address for address in listed if address not in self._new and self._existing(address) is None]
        if new:
            with self._tree.without_held():
                first = self._tree.init_state().next_id
            self._new |= {address: ActorID(number) for number, address in enumerate(new, first)}
        return at

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
    if result in (InstructionResult.CREATE_CONTRACT_SIZE_LIMIT, InstructionResult.CREATE_INIT_CODE_SIZE_LIMIT):
        reason = (
            "max initcode size exceeded" if result == InstructionResult.CREATE_INIT_CODE_SIZE_LIMIT else CODE_TOO_LONG
        )
        size, limit = CODE_EXCESS.read(data)
        return code_too_long(size, limit, reason)
    if result == InstructionResult.CREATE_CONTRACT_STARTING_WITH_EF:
        return "code begins with the reserved byte 0xef"
    if result == InstructionResult.INVALID_OPERAND_OOG:
        return "a memory offset or size exceeds 32 bits"
    return overflow_payment(value, to) if result == InstructionResult.OVERFLOW_PAYMENT else ""


def text_of_cause(data: bytes) -> str:
    """Return the message of the failed call that has made its callers fail: `text_of`, with the guest's `cause`."""
    result, value, to = CAUSE.read(data)
    return text_of(result, data[CAUSE.size :], _number(value), EthAddress(to))


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


class Replay(Tracer):
    """Gives the events of a transaction's record to a tracer, part by part."""

    def __init__(self, tracer: Tracer, fork: Fork, codes: Codes, actor_of: ActorNumbers, evm: tuple[Cid, str]) -> None:
        """`evm` is the code of the EVM actor and its runtime's name."""
        self._tracer = tracer
        self._fork, self._codes, self._actor_of, self._evm = fork, codes, actor_of, evm
        self._open: list[_Open] = []
        self._steps = with_steps(tracer)
        self._pausing = tracer if tracer.detail is Detail.PAUSES else None
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
            if kind == Item.STEP:
                at = self._step(data, at)
            elif kind == Item.CALL:
                self.stop()
                at = self._start(data, at)
            elif kind == Item.END:
                at = self._end(data, at)
            elif kind == Item.LOG:
                at = self._log(data, at)
            elif kind == Item.SLOT:
                _, slot, before, after, refund = SLOT_ITEM.unpack_from(data, at)
                at += SLOT_ITEM.size
                event(SlotWritten(_number(slot), _number(before), _number(after), refund))
            elif kind == Item.DESTRUCTION:
                _, address, beneficiary, balance = DESTRUCTION_ITEM.read(data, at)
                at += DESTRUCTION_ITEM.size
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
        _, kind, static, flags, gas, caller, code_address, target, amount, code_hash, length = CALL_ITEM.unpack_from(
            data, at
        )
        at += CALL_ITEM.size
        given, at = data[at : at + length], at + length
        is_over = at < len(data) and data[at] == Item.END  # unless the part ends after the beginning of a frame
        _, ended, result, *_ = END_ITEM.unpack_from(data, at) if is_over else (0, 0, 0)
        creates = kind in (CallScheme.CREATE, CallScheme.CREATE2)
        is_refused = result == InstructionResult.OUT_OF_FUNDS or (
            creates and result != InstructionResult.OVERFLOW_PAYMENT
        )
        if ended & EndFlag.EARLY and is_refused:
            return self._refuse(data, at, creates, EthAddress(code_address), given, _number(amount), gas)
        event, value = self.event, _number(amount)
        code, cid = (given, EMPTY_CODE) if creates else self._codes.get(code_hash)
        if flags & CallFlag.ENTERED:
            self._open.append(_Open(self._actor_of(target), gas, given, creates, None, is_entered=True))
            event(EvmFrame(EthAddress(target), code))
            return at
        name = self._fork.precompiles.get(code_address)
        borrows = kind in (CallScheme.DELEGATECALL, CallScheme.CALLCODE)
        from_, to, method = self._actor_of(target if borrows else caller), delegated_address(code_address), INVOKE_EVM
        params, codec, is_answered = given, RAW, ended & EndFlag.ANSWERED != 0
        if creates:
            to, method = delegated_address(target), METHOD_CONSTRUCTOR
        elif borrows and name is None and not is_answered:
            event(CodeBorrowed(EthAddress(code_address), KINDS[kind].name))
            to, method, codec = Address.id(from_), INVOKE_CONTRACT_DELEGATE, DAG_CBOR
            params, value = DelegateCallParams(cid, given, EthAddress(caller), TokenAmount(value)).encode(), 0
        else:
            value = value if kind == CallScheme.CALL else 0
            if not is_answered:
                method, codec = INVOKE_CONTRACT_DELEGATE if borrows else INVOKE_EVM, RAW if given else 0
        event(CallStarted(from_, to, method, TokenAmount(value), params, codec, bool(static), gas))
        call = _Open(from_, gas, given, creates, name)
        call.transfer = _number(amount), EthAddress(target)
        self._open.append(call)
        if (
            is_answered
            or name is not None
            or result == InstructionResult.CALL_TOO_DEEP
            or not (flags & CallFlag.EXISTS or value)
        ):
            return at
        call.actor = self._actor_of(target)
        event(ActorFound(call.actor, None))
        if flags & CallFlag.HAS_CODE or borrows:
            call.has_frame = True
            event(Dispatched(call.actor, *self._evm, delegated_address(target)))
            event(EvmFrame(EthAddress(target), code))
        return at

    def _refuse(
        self, data: bytes, at: int, creates: bool, address: EthAddress, given: bytes, value: int, gas: int
    ) -> int:
        """Report a call that was not made for want of funds, or because of a contract at the new address."""
        _, _, result, *_, length = END_ITEM.unpack_from(data, at)
        at += END_ITEM.size
        balance, at = _number(data[at : at + length]), at + length
        if result == InstructionResult.CREATE_COLLISION:
            self.event(CreationCollision(address, given, value, gas))
        elif result == InstructionResult.OUT_OF_FUNDS:
            self.event(FundsMissing(address, given, value, balance, creates, gas))
        return at

    def _end(self, data: bytes, at: int) -> int:
        _, flags, result, spent, unspent, state, returned, state_deposit, length = END_ITEM.unpack_from(data, at)
        at += END_ITEM.size
        output, at = data[at : at + length], at + length
        self.stop(result)
        event, call = self.event, self._open.pop()
        if self._open and not call.is_entered:
            self._open[-1].inner += spent
        is_success = STATUS.get(result) == Status.SUCCESS
        if flags & EndFlag.ANSWERED:
            event(CallEnded(ExitCode.OK if is_success else ExitCode.EVM_CONTRACT_REVERTED, output, RAW, 0))
            return at
        if result == InstructionResult.CALL_TOO_DEEP:
            event(CallEnded(0, b"", 0, 0, "LIMIT_EXCEEDED", "calls nest deeper than 1025"))
            return at
        if call.precompile is not None:
            self._end_precompile(call, call.precompile, is_success, spent, output)
            return at
        exit_code, codec, message, is_plain, shown = STATUS[result], 0, "", False, b""
        deposit, prices = 0, self._fork.gas
        has_deployed = call.creates and is_success
        is_unpaid = call.creates and result == InstructionResult.OUT_OF_GAS and self._fork.state_gas and output != b""
        if has_deployed or is_unpaid:
            deposit = prices.code_byte * len(output) + prices.code_word * words(len(output))
        if call.has_frame and exit_code in (Status.SUCCESS, Status.REVERT) and not has_deployed:
            codec, shown = CBOR, byte_string(output)
        elif not is_success:
            message = text_of(result, output, *call.transfer)
            if not message and exit_code == ExitCode.SYS_OUT_OF_GAS:
                unspent, message = 0, _NO_STIPEND if result == InstructionResult.REENTRANCY_SENTRY_OOG else "out of gas"
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
        if flags & EndFlag.ISOLATED:
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
        _, topics, _, emitter = LOG_ITEM.unpack_from(data, at)
        at += LOG_ITEM.size
        end = at + 32 * topics
        listed = tuple(data[place : place + 32] for place in range(at, end, 32))
        text, at = read_data(data, end)
        entries = log_to_entries(Log(listed, text))
        shown = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in entries)
        self.event(EventEmitted(self._actor_of(EthAddress(emitter)), shown))
        return at

    def _step(self, data: bytes, at: int) -> int:
        self._report_cost()
        _, flags, opcode, _, counter, gas, cost, refund, kept, pushed = STEP_ITEM.unpack_from(data, at)
        at += STEP_ITEM.size
        call, end = self._open[-1], at + 32 * pushed
        del call.stack[kept:]
        call.stack += [int.from_bytes(data[place : place + 32], "little") for place in range(at, end, 32)]
        at = end
        if flags & StepFlag.MEMORY:
            size, start, length = MEMORY_ITEM.unpack_from(data, at)
            at += MEMORY_ITEM.size
            memory = call.memory.ljust(size, b"\0")
            call.memory = b"".join((memory[:start], data[at : at + length], memory[start + length :]))
            at += length
        if flags & StepFlag.RETURN_DATA:
            call.return_data, at = read_data(data, at)
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
    def _pause(tracer: Tracer, call: _Open, counter: int, read: Callable[[], EvmStep]) -> None:
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
        if cost == NO_COST:
            self._steps.step(EvmFault(fault_name(STATUS.get(result, ExitCode.SYS_OUT_OF_GAS))))
        elif self._pausing is None:
            self._steps.step(EvmCost(cost))

    def _counters(self, data: bytes, at: int) -> int:
        _, count = COUNTERS_ITEM.read(data, at)
        at += COUNTERS_ITEM.size
        counters = array("I")
        counters.frombytes(data[at : at + 4 * count])
        self._tracer.visit_all(counters)
        return at + 4 * count


_NO_DEPOSIT: Final = "the gas left does not pay for the contract's code"
_NO_STIPEND: Final = "writing a slot needs more gas than a transfer's stipend"


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
