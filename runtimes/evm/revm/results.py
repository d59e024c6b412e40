"""The result of a transaction that a session has run, or the text with which it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, create_address
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.ethereum.execution import HeldAccount
from bridge.ethereum.transactions import Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.receipts import Log, log_to_entries
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasOutputs, GasTracker
from hypervisor.machine.registry import creation_failure
from hypervisor.messages.events import StampedEvent
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.engine import Status
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import (
    BlockLimits,
    InvalidTransaction,
    check,
    check_funds,
    check_sender,
    check_simulated,
    required_gas,
)
from runtimes.evm.revm.accounts import delegated_address
from runtimes.evm.revm.guest import STATUS, Ended
from runtimes.evm.revm.held import HeldState
from runtimes.evm.revm.native import KERNEL, NativeCalls
from runtimes.evm.revm.protocol import InstructionResult, Mode
from runtimes.evm.revm.record import precompile_failure, text_of, text_of_cause
from runtimes.evm.revm.transactions import TransactionResult, in_cbor

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState

MESSAGES: Final[dict[int, str]] = {
    ExitCode.SYS_OUT_OF_GAS: "out of gas",
    **{status: status.name for status in Status if status not in (Status.SUCCESS, Status.REVERT)},
}
_EXPLAINED: Final = frozenset(
    (
        InstructionResult.OUT_OF_FUNDS,
        InstructionResult.INVALID_OPERAND_OOG,
        InstructionResult.CREATE_COLLISION,
        InstructionResult.OVERFLOW_PAYMENT,
        InstructionResult.PRECOMPILE_ERROR,
        InstructionResult.CREATE_CONTRACT_SIZE_LIMIT,
        InstructionResult.CREATE_CONTRACT_STARTING_WITH_EF,
        InstructionResult.CREATE_INIT_CODE_SIZE_LIMIT,
    )
)
"""Results whose messages name values."""


def result_of(
    machine: MachineState, held: HeldState, ended: Ended, transaction: Transaction, sender: EthAddress, fork: Fork,
    mode: int, price: int, native: NativeCalls | None,
) -> TransactionResult:  # fmt: skip
    """Return the result of a transaction whose sender paid `price` for gas; `native` has run its native calls."""
    end, logs = ended.head, ended.logs
    created = end.created if end.creates else None
    events = _events(machine, held, logs, fork, mode, native) if logs else ()
    status, used = STATUS[end.result], end.gas_used
    burnt = min(price, machine.context.base_fee)
    answers = end.has_run and created is None and status in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
    output, message, reason = byte_string(ended.output) if answers else b"", MESSAGES.get(status, ""), ""
    if end.result in _EXPLAINED:
        message, reason = _explain(held, ended, transaction, sender, fork)
    elif ended.cause:
        reason = text_of_cause(ended.cause)
    if native is not None:
        logs = native.logs(logs)
        if native.first is not None:
            first = native.first
            status, output, message = first.exit_code, in_cbor(first.block), first.message
        reason = native.reason(status, output, message)
    if not reason and transaction.to is None and status not in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED):
        reason = creation_failure(transaction.data)
    execution_gas = end.gas_before_refunds if fork.gas_before_refunds else used
    execution_gas = 0 if mode & Mode.IMPLICIT else max(execution_gas - end.state_gas, end.floor)
    return TransactionResult(
        status == ExitCode.OK,
        used,
        output,
        logs if mode & Mode.KEEP else (),
        created,
        events,
        status,
        message,
        reason,
        GasOutputs(
            base_fee_burn=TokenAmount(used * burnt),
            miner_tip=TokenAmount(used * (price - burnt)),
            refund=TokenAmount((transaction.gas_limit - used) * price),
        ),
        execution_gas,
        end.state_gas,
        max(end.gas_before_refunds, end.floor, used),
    )


def _explain(
    held: HeldState, ended: Ended, transaction: Transaction, sender: EthAddress, fork: Fork
) -> tuple[str, str]:
    """Return the message and the reason of a failure that names values."""
    to, value, result = transaction.to, transaction.value, ended.head.result
    if result == InstructionResult.CREATE_COLLISION:
        return "a contract exists at this address already", ""
    if result == InstructionResult.OUT_OF_FUNDS:
        return f"0x{sender.hex()} cannot send {value} wei: it has {held.read(sender).balance}", ""
    if result == InstructionResult.PRECOMPILE_ERROR and to is not None:
        gas = GasTracker(transaction.gas_limit - required_gas(transaction, fork, sender)[0], per_gas=1)
        return precompile_failure(fork, fork.precompiles[to], transaction.data, gas), ""
    to = create_address(sender, transaction.nonce) if to is None else to
    text, is_reserved = text_of(result, ended.output, value, to), InstructionResult.CREATE_CONTRACT_STARTING_WITH_EF
    return text, f"0x{to.hex()}: {text}" if result == is_reserved else text


def _events(
    machine: MachineState, held: HeldState, logs: tuple[tuple[EthAddress, Log], ...], fork: Fork, mode: int,
    native: NativeCalls | None,
) -> tuple[StampedEvent, ...]:  # fmt: skip
    """Return the logs as events. What a simulation creates has the numbers of the next actors."""
    tree, events, unwritten = machine.state_tree, [], dict[EthAddress, ActorID]()
    for address, log in logs:
        actor: ActorID | None
        if address == KERNEL and native is not None:
            events.append(native.event(log))
            continue
        if address == SYSTEM_ADDRESS and fork.transfer_logs:
            actor = SYSTEM_ACTOR
        else:
            actor = held.actors.get(address) or _look_up(tree, address, mode)
            if actor is None:
                with tree.without_held():
                    number = tree.init_state().next_id + len(unwritten)
                actor = unwritten.setdefault(address, ActorID(number))
            else:
                held.actors[address] = actor
        if address not in unwritten:
            held.addresses[actor] = address
        events.append(StampedEvent(actor, tuple(log_to_entries(log))))
    return tuple(events)


def _look_up(tree: StateTree, address: EthAddress, mode: int) -> ActorID | None:
    """Return the actor of an account, which the transaction may have created, and removed again."""
    delegated = delegated_address(address)
    with tree.without_held():
        actor = tree.lookup_id(delegated)
    return tree.lookup_id(delegated) if actor is None and mode & Mode.KEEP else actor


def refusal_of(
    transaction: Transaction, sender: EthAddress, account: HeldAccount, fork: Fork, mode: int, limits: BlockLimits,
    reason: str,
) -> InvalidTransaction:  # fmt: skip
    """Return the error for a transaction of an account that the guest refuses, by the checks of blocks and of the pool.

    Raises Fatal, with the guest's `reason`, if the transaction is valid.
    """
    required = required_gas(transaction, fork, sender)
    try:
        if mode & Mode.CHECKED:
            check(transaction, fork, limits, required)
            check_sender(transaction, account, fork)
        else:
            is_paid, is_capped = bool(mode & Mode.PAID), bool(mode & Mode.CAPPED)
            check_simulated(transaction, fork, limits, required, is_paid=is_paid, is_capped=is_capped)
            check_funds(transaction, account.balance, is_paid=is_paid)
    except InvalidTransaction as error:
        return error
    raise Fatal(f"the EVM engine refuses a valid transaction: {reason}")
