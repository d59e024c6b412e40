"""The result of a transaction that a session has run, from what the guest says of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, create_address
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.ethereum.transactions import Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.receipts import Log, log_to_entries
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasOutputs, GasTracker
from hypervisor.messages.events import StampedEvent
from hypervisor.types import SYSTEM_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.engine import Status
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import required_gas
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


class Results:
    """The results of a machine's transactions."""

    def __init__(self, machine: MachineState, held: HeldState) -> None:
        self._machine, self._held = machine, held

    def read(
        self, ended: Ended, transaction: Transaction, sender: EthAddress, fork: Fork, mode: int, price: int,
        native: NativeCalls | None,
    ) -> TransactionResult:  # fmt: skip
        """Return the result of a transaction whose sender paid `price` for gas; `native` has run its native calls."""
        end, logs = ended.head, ended.logs
        created = end.created if end.creates else None
        events = self._events(logs, fork, mode, native) if logs else ()
        status, used = STATUS[end.result], end.gas_used
        burnt = min(price, self._machine.context.base_fee)
        answers = end.has_run and created is None and status in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
        output, message, reason = byte_string(ended.output) if answers else b"", MESSAGES.get(status, ""), ""
        if end.result in _EXPLAINED:
            message, reason = self._explain(ended, transaction, sender, fork)
        elif ended.cause:
            reason = text_of_cause(ended.cause)
        if native is not None:
            logs = native.logs(logs)
            if native.first is not None:
                first = native.first
                status, output, message = first.exit_code, in_cbor(first.block), first.message
            reason = native.reason(status, output, message)
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
        self, ended: Ended, transaction: Transaction, sender: EthAddress, fork: Fork
    ) -> tuple[str, str]:  # fmt: skip
        """Return the message and the reason of a failure that names values."""
        to, value, result = transaction.to, transaction.value, ended.head.result
        if result == InstructionResult.CREATE_COLLISION:
            return "a contract exists at this address already", ""
        if result == InstructionResult.OUT_OF_FUNDS:
            return f"0x{sender.hex()} cannot send {value} wei: it has {self._held.read(sender).balance}", ""
        if result == InstructionResult.PRECOMPILE_ERROR and to is not None:
            gas = GasTracker(transaction.gas_limit - required_gas(transaction, fork, sender)[0], per_gas=1)
            return precompile_failure(fork, fork.precompiles[to], transaction.data, gas), ""
        to = create_address(sender, transaction.nonce) if to is None else to
        text, is_reserved = text_of(result, ended.output, value, to), InstructionResult.CREATE_CONTRACT_STARTING_WITH_EF
        return text, f"0x{to.hex()}: {text}" if result == is_reserved else text

    def _events(
        self, logs: tuple[tuple[EthAddress, Log], ...], fork: Fork, mode: int, native: NativeCalls | None
    ) -> tuple[StampedEvent, ...]:
        """Return the logs as events. What a simulation creates has the numbers of the next actors."""
        events, unwritten, held = [], dict[EthAddress, ActorID](), self._held
        for address, log in logs:
            actor: ActorID | None
            if address == KERNEL and native is not None:
                events.append(native.event(log))
                continue
            if address == SYSTEM_ADDRESS and fork.transfer_logs:
                actor = SYSTEM_ACTOR
            else:
                actor = held.actors.get(address) or self._look_up(address, mode)
                if actor is None:
                    with self._machine.state_tree.without_held():
                        number = self._machine.state_tree.init_state().next_id + len(unwritten)
                    actor = unwritten.setdefault(address, ActorID(number))
                else:
                    held.actors[address] = actor
            if address not in unwritten:
                held.addresses[actor] = address
            events.append(StampedEvent(actor, tuple(log_to_entries(log))))
        return tuple(events)

    def _look_up(self, address: EthAddress, mode: int) -> ActorID | None:
        """Return the actor of an account, which the transaction may have created, and removed again."""
        tree, delegated = self._machine.state_tree, delegated_address(address)
        with tree.without_held():
            actor = tree.lookup_id(delegated)
        return tree.lookup_id(delegated) if actor is None and mode & Mode.KEEP else actor
