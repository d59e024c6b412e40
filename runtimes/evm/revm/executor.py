"""The machine's executor under Ethereum's rules: transactions and Filecoin messages.

A message is treated as a transaction of type 2 from its sender, with its fee cap and premium as Ethereum's two fees and
its gas limit in Ethereum gas.

They run in the machine's session (`session`).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Final, TypeVar

from bridge.ethereum.addresses import EthAddress, address_of_actor
from bridge.ethereum.block import BLOCK_HASHES, ETHEREUM, SYSTEM_ADDRESS, BlockAccessList
from bridge.ethereum.execution import BlobRules, CallMessage, ForkFacts, HeldAccount
from bridge.ethereum.transactions import (
    BLOB,
    DYNAMIC_FEE,
    SET_CODE,
    SignedTransaction,
    Transaction,
)
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CreateReturn, unwrap_return
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput, MessageError
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasOutputs
from hypervisor.machine.executor import ApplyResult, BlockGas
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.events import events_tree
from hypervisor.messages.message import Message, Receipt
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import MessageEnded, MessageStarted
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, ActorID, Gas, TokenAmount
from runtimes.evm.forks.forks import Fork, ForkBlobs, fork_named, fork_names, with_case
from runtimes.evm.forks.validation import (
    BlockLimits,
    InvalidBlock,
    InvalidTransaction,
    RejectionReason,
    check,
    may_send,
    refusals,
    required_gas,
    with_supported_type,
)
from runtimes.evm.revm.accounts import Accounts, ContractCache, ethereum_address
from runtimes.evm.revm.guest import ACCESSES, CAPPED, CHECKED, IMPLICIT, INTERCEPTS, KEEP, NONCE, PAID, SYSTEM
from runtimes.evm.revm.guest_rules import fork_message
from runtimes.evm.revm.session import account_of, session_of
from runtimes.evm.revm.transactions import (
    SYSTEM_CALL_GAS,
    Entry,
    TransactionResult,
    block_limits,
    block_of,
    fork_of,
    transaction_of,
)

_MAX_I64 = (1 << 63) - 1
_ON_CHAIN: Final = KEEP | CHECKED | PAID | CAPPED
T = TypeVar("T")
_SYSTEM_CALL_SLOTS: Final = 16
"""Number of new slots that a system call has state gas for (EIP-8037)."""

_EXIT_CODES = {
    RejectionReason.SENDER_NOT_EOA: ExitCode.SYS_SENDER_INVALID,
    RejectionReason.INTRINSIC_GAS_TOO_LOW: ExitCode.SYS_OUT_OF_GAS,
    RejectionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST: ExitCode.SYS_OUT_OF_GAS,
    RejectionReason.EXECUTION_GAS_CAP_EXCEEDED: ExitCode.SYS_OUT_OF_GAS,
}


class EthereumExecutor:
    """Applies transactions to a machine's state tree; raises InvalidInput unless its context has these rules."""

    def __init__(self, machine: MachineState) -> None:
        if machine.context.rules != ETHEREUM:
            raise InvalidInput(f"the machine's context has the rules '{machine.context.rules}', not '{ETHEREUM}'")
        self._machine = machine
        self._known = ContractCache()
        self.recorder: AccessRecorder | None = None
        """The recorder of the block's accesses, under rules with access lists."""
        self._unpriced: tuple[MachineContext, MachineContext] | None = None
        """A context, and the one that calls without a price see in its place."""

    def apply_transaction(
        self, transaction: Transaction, sender: EthAddress, limits: BlockLimits | None = None
    ) -> TransactionResult:
        """Apply a sender's transaction; `limits` are the block's remaining limits (default: a whole block's).

        Raises InvalidTransaction, without any change.
        """
        return self._in_session(transaction, sender, _ON_CHAIN, limits)

    def _in_session(
        self, transaction: Transaction, sender: EthAddress, mode: int, limits: BlockLimits | None = None,
        entry: Entry | None = None,
    ) -> TransactionResult:  # fmt: skip
        """Run a transaction in the machine's session. Raises InvalidTransaction."""
        session = session_of(self._machine)
        recorder = self.recorder if mode & KEEP else None
        mode |= ACCESSES if recorder is not None else 0
        mode |= INTERCEPTS if self._machine.interceptor is not None else 0
        if self._machine.tracer is None:
            result = session.transact(transaction, sender, mode, limits, entry)
        else:  # the tracer may raise
            with self._machine.state_tree.transaction():
                result = session.transact(transaction, sender, mode, limits, entry)
        if recorder is not None:
            recorder.add(session.accesses)
        return result

    def refusals(self, transaction: Transaction, sender: EthAddress, limits: BlockLimits | None = None) -> list[str]:
        """Return the names of all rules that a transaction breaks."""
        block = block_of(self._machine)
        fork = fork_of(self._machine, block)
        limits = limits or block_limits(self._machine, block, fork)
        required, account = required_gas(transaction, fork, sender), account_of(self._machine, sender)
        return refusals(transaction, fork, limits, required, account)

    def system_call(self, to: EthAddress, data: bytes) -> bytes | None:
        """Call a contract from the system address: no fees, nothing warm, its own gas.

        Returns its data, or None if there is no contract or the call failed.
        """
        result = self._system_call(to, data, fork_of(self._machine))
        return unwrap_return(result.output) if result.success else None

    def _system_call(self, to: EthAddress, data: bytes, fork: Fork) -> TransactionResult:
        system = Transaction(DYNAMIC_FEE, None, 0, to, 0, data, _system_gas(fork), 0, 0)
        return self._in_session(system, SYSTEM_ADDRESS, KEEP | SYSTEM)

    def required_system_call(self, to: EthAddress) -> bytes:
        """Make a system call that a valid block requires (EIP-7002, EIP-7251, EIP-8282). Raises InvalidBlock."""
        accounts = self._accounts()
        if not accounts.code(accounts.find(to)):
            message = f"a block requires a contract at 0x{to.hex()}, which does not exist"
            raise InvalidBlock(message, "SYSTEM_CONTRACT_EMPTY")
        returned = self.system_call(to, b"")
        if returned is None:
            raise InvalidBlock(f"the system call of 0x{to.hex()} failed", "SYSTEM_CONTRACT_CALL_FAILED")
        return returned

    def pay(self, amounts: Iterable[tuple[EthAddress, int]], recorded: bool = True) -> None:
        """Credit addresses with withdrawals or rewards, in wei; an account that stays empty is removed.

        `recorded` is False if the block's access list omits the accounts.
        """
        accounts, recorder = self._accounts(), self.recorder if recorded else None
        for address, amount in amounts:
            accounts.touch(address)
            access = None if recorder is None else recorder.accesses.account(address)
            if amount:
                actor = accounts.find(address)
                actor = accounts.create_account(address) if actor is None else actor
                accounts.add_balance(actor, amount)
                if recorder is not None and access is not None:
                    access.balances[recorder.index] = accounts.balance(actor)
        accounts.remove_empty()

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply a Filecoin message; its length on chain is free under these rules.

        The receipt's gas is Ethereum gas. An invalid message changes nothing; its exit code is 1 for a bad sender, 2
        for a bad nonce or missing funds, 7 for too little gas.
        """
        if not 0 < message.gas_limit <= _MAX_I64:
            raise MessageError(f"gas limit {message.gas_limit} is not between 1 and 2^63 - 1")
        tracer = self._machine.tracer
        if tracer is not None:
            tracer.event(MessageStarted(message.from_, message.to, message.method, message.nonce, implicit))
        result = self._apply_or_refuse(message, implicit)
        if tracer is not None:
            tracer.event(MessageEnded(result.exit_code, result.gas_used))
        return result

    @staticmethod
    def fork_names() -> tuple[str, ...]:
        """Return the names of the supported forks, oldest first (`bridge.ethereum.execution.ForkTable`)."""
        return fork_names()

    @staticmethod
    def fork_name(wanted: str) -> str:
        """Return the name of a fork, ignoring case (`bridge.ethereum.execution.ForkTable`). Raises InvalidInput."""
        fork = fork_named(with_case(wanted))
        fork_message(fork)
        return fork.name

    @staticmethod
    def header_fields(fork: str) -> frozenset[str]:
        """Return the header fields added after Frontier (`bridge.ethereum.execution.ForkTable`)."""
        return frozenset(fork_named(fork).header_fields)

    @staticmethod
    def transaction_types(fork: str) -> tuple[int, ...]:
        """Return the transaction types of a fork (`bridge.ethereum.execution.ForkTable`)."""
        return fork_named(fork).transaction_types

    @staticmethod
    def blob_rules(fork: str) -> BlobRules:
        """Return a fork's rules of blobs (`bridge.ethereum.execution.ForkTable`)."""
        return ForkBlobs(fork_named(fork))

    # --- interface to the chain (`bridge.ethereum.execution.EthereumExecution`) -------------------------------

    def apply_signed(self, signed: SignedTransaction, sender: EthAddress) -> ApplyResult:
        """Apply a transaction signed by this sender. Raises InvalidTransaction."""
        transaction = signed.transaction
        result = self._apply_traced(transaction, sender, lambda: self.apply_transaction(transaction, sender))
        self._next_index()
        return result

    def simulate(self, call: CallMessage) -> ApplyResult:
        """Simulate a call by an external sender; the caller rolls back its effects. Raises InvalidTransaction.

        Storage is written only if it may be read: by a tracer, or for created code. Otherwise the receipt has no events
        root. As in geth, contracts see a base fee of 0 without a price, and a blob base fee of 0 with a blob fee cap of
        0.
        """
        machine, context = self._machine, self._machine.context
        try:
            if not call.max_fee:
                if self._unpriced is None or self._unpriced[0] is not context:
                    self._unpriced = context, replace(context, base_fee=TokenAmount(0))
                machine.context = self._unpriced[1]
            if call.blob_hashes and not call.max_fee_per_blob_gas:
                block = replace(block_of(machine), blob_base_fee=TokenAmount(0))
                machine.context = replace(machine.context, block=block)
            return self._simulate(call)
        finally:
            machine.context = context

    def _simulate(self, call: CallMessage) -> ApplyResult:
        is_paid = bool(call.max_fee or call.max_priority_fee or call.max_fee_per_blob_gas)
        is_traced, mode = self._machine.tracer is not None, (PAID if is_paid else 0) | (CAPPED if call.is_capped else 0)
        stores_events = is_traced or call.to is None
        mode |= KEEP if stores_events else 0
        nonce = account_of(self._machine, call.sender).nonce if call.to is None else 0  # any nonce may call
        transaction = _transaction_of(call, nonce)
        return self._apply_traced(
            transaction, call.sender, lambda: self._in_session(transaction, call.sender, mode), stores_events
        )

    def apply_unpaid(self, message: Message, transaction: Transaction | None = None) -> ApplyResult:
        """Apply a message of any sender, at any nonce and without fees. Raises InvalidTransaction.

        `transaction` is the message's transaction; it is required if the message does not represent all of its fields.
        """
        sender, found, entry = transaction_of(self._machine, message)
        complete = found if transaction is None else transaction

        result = self._apply_traced(
            complete, sender, lambda: self._in_session(complete, sender, KEEP | NONCE, None, entry)
        )
        self._next_index()
        return result

    def apply_simulated(
        self, message: Message, transaction: Transaction | None = None, *, is_paid: bool
    ) -> ApplyResult:
        """Apply a message of any sender at its next nonce, with its fees if `is_paid`, without the fork's gas caps.

        `transaction` is as in `apply_unpaid`. Raises InvalidTransaction.
        """
        sender, found, entry = transaction_of(self._machine, message)
        nonce, mode = account_of(self._machine, sender).nonce, KEEP | (PAID if is_paid else 0)
        complete = replace(found if transaction is None else transaction, nonce=nonce)
        result = self._apply_traced(complete, sender, lambda: self._in_session(complete, sender, mode, None, entry))
        self._next_index()
        return result

    def check(
        self, item: Message | Transaction, base_fee: TokenAmount, sender: EthAddress, *, is_capped: bool = True
    ) -> None:
        """Check that a block with this base fee may contain a message or transaction.

        Nonce and funds of the sender are not checked, the fork's gas caps only if `is_capped`. Raises
        InvalidTransaction.
        """
        block = block_of(self._machine)
        fork = fork_of(self._machine, block)
        if isinstance(item, Message):
            transaction = with_supported_type(fork, transaction_of(self._machine, item)[1])
        else:
            transaction = item
        limits = block_limits(self._machine, block, fork, base_fee)
        check(transaction, fork, limits, required_gas(transaction, fork, sender), is_capped=is_capped)

    def held_account(self, address: Address) -> HeldAccount | None:
        """Return an account that the session holds (`bridge.ethereum.execution.EthereumExecution`)."""
        own = ethereum_address(address)
        return None if own is None else session_of(self._machine).account(own)

    def without_held(self) -> AbstractContextManager[None]:
        return self._machine.state_tree.without_held()

    def address_of(self, actor: ActorID) -> EthAddress:
        session = session_of(self._machine)
        known = session.addresses.get(actor) if session.is_current else None
        return address_of_actor(self._machine.state_tree, actor) if known is None else known

    def may_send(self, code: bytes) -> bool:
        return may_send(code, fork_of(self._machine))

    def fork_facts(self) -> ForkFacts:
        fork = fork_of(self._machine)
        blobs = fork.blobs
        return ForkFacts(
            precompiles=frozenset(fork.precompiles),
            blob_target=blobs.target,
            blob_maximum=blobs.maximum,
            blob_update_fraction=blobs.update_fraction,
            keeps_block_hashes=fork.block_hash_contract,
            has_delegations=fork.delegations,
            transaction_gas_cap=fork.transaction_gas_cap,
            draft=fork.draft_date,
        )

    def begin_block(self, parent_hash: bytes) -> None:
        """Update the block hash contract with the parent's hash (EIP-2935), if the fork has it."""
        fork = fork_of(self._machine)
        self.recorder = AccessRecorder() if fork.access_lists else None
        if fork.block_hash_contract:
            session, mode = session_of(self._machine), 0 if self.recorder is None else ACCESSES
            is_traced = self._machine.tracer is not None
            if is_traced or not session.call_system(BLOCK_HASHES, parent_hash, _system_gas(fork), mode):
                self._system_call(BLOCK_HASHES, parent_hash, fork)
            elif self.recorder is not None:
                self.recorder.add(session.accesses)
        self._next_index()

    def take_access_list(self) -> bytes | None:
        recorder, self.recorder = self.recorder, None
        return None if recorder is None else recorder.accesses.rlp()

    def _next_index(self) -> None:
        if self.recorder is not None:
            self.recorder.index += 1

    def _accounts(self) -> Accounts:
        """Return the accounts of the state, with the cache of earlier messages."""
        self._known.trim()
        block = block_of(self._machine)
        fork = fork_named(block.fork)
        return Accounts(self._machine, Journal(), block.filecoin_addresses, self._known, fork.clears_empty)

    def _apply_traced(
        self,
        transaction: Transaction,
        sender: EthAddress,
        apply: Callable[[], TransactionResult],
        stores_events: bool = True,
    ) -> ApplyResult:
        """Run `apply`, report it to the tracer as a message, and convert its result."""
        tracer, to = self._machine.tracer, transaction.to
        if tracer is not None:
            address = Address.delegated(EAM_NAMESPACE, sender)
            receiver = Address.id(EAM_ACTOR) if to is None else Address.delegated(EAM_NAMESPACE, to)
            tracer.event(MessageStarted(address, receiver, INVOKE_EVM, transaction.nonce, False))
        result = self._apply_result(apply(), stores_events)
        if tracer is not None:
            tracer.event(MessageEnded(result.exit_code, result.gas_used))
        return result

    # --- results ----------------------------------------------------------------------------------------------

    def _apply_or_refuse(self, message: Message, implicit: bool) -> ApplyResult:
        try:
            sender, transaction, entry = transaction_of(self._machine, message)
            transaction = with_supported_type(fork_of(self._machine), transaction)
            if implicit:
                result = self._apply_implicit(transaction, sender, entry)
            else:
                result = self._in_session(transaction, sender, _ON_CHAIN, None, entry)
        except InvalidTransaction as error:
            code = _EXIT_CODES.get(error.refusal, ExitCode.SYS_SENDER_STATE_INVALID)
            return ApplyResult(Receipt(code, b"", Gas(0)), GasOutputs(), message=str(error))
        self._next_index()
        return self._apply_result(result)

    def _apply_implicit(self, transaction: Transaction, sender: EthAddress, entry: Entry | None) -> TransactionResult:
        """Run a message without checks and fees; it leaves the sender's nonce. Raises InvalidTransaction."""
        accounts, creates = self._accounts(), transaction.to is None
        actor = accounts.find(sender)
        if actor is None:
            raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, "the sender does not exist")
        nonce = accounts.nonce(actor)
        result = self._in_session(transaction, sender, KEEP | IMPLICIT | (NONCE if creates else 0), None, entry)
        if creates:
            self._accounts().set_nonce(actor, nonce)
        return result

    def _apply_result(self, result: TransactionResult, stores_events: bool = True) -> ApplyResult:
        output = result.output
        if result.created is not None:
            actor = self._machine.state_tree.lookup_id(Address.delegated(EAM_NAMESPACE, result.created))
            output = CreateReturn(ActorID(actor or 0), None, result.created).encode()
        root, event_blocks = events_tree(result.events) if stores_events and result.events else (None, ())
        receipt = Receipt(result.exit_code, output, Gas(result.gas_used), root)
        equals_receipt = result.execution_gas == result.gas_used and not result.state_gas
        block_gas = None if equals_receipt else BlockGas(result.execution_gas, result.state_gas)
        max_gas = None if result.max_gas_used == result.gas_used else Gas(result.max_gas_used)
        return ApplyResult(
            receipt, result.gas, result.events, result.message, result.reason, None, block_gas, None, event_blocks,
            max_gas,
        )  # fmt: skip


def _system_gas(fork: Fork) -> int:
    """Return the gas limit of a system call."""
    return SYSTEM_CALL_GAS + _SYSTEM_CALL_SLOTS * fork.gas.slot_bytes * fork.gas.state_byte


def _transaction_of(call: CallMessage, nonce: int) -> Transaction:
    return Transaction(
        type=SET_CODE if call.authorizations else BLOB if call.blob_hashes else DYNAMIC_FEE,
        chain_id=None,
        nonce=nonce,
        to=call.to,
        value=call.value,
        data=call.data,
        gas_limit=call.gas_limit,
        max_fee=call.max_fee,
        max_priority_fee=call.max_priority_fee,
        access_list=call.access_list,
        authorizations=call.authorizations,
        max_fee_per_blob_gas=call.max_fee_per_blob_gas,
        blob_hashes=call.blob_hashes,
    )


# --- accesses of a block, for its access list (EIP-7928) --------------------------------------------------------------

_ACCOUNT: Final = Struct("<20sI32sQI")
_COUNT: Final = Struct("<I")
_SLOT: Final = Struct("<32s32sI")
_BALANCE, _NONCE, _CODE = 1, 2, 4


@dataclass(slots=True)
class AccessRecorder:
    """The accesses of a block so far. `index` is that of the message that is executed."""

    accesses: BlockAccessList = field(default_factory=BlockAccessList)
    index: int = 0

    def add(self, data: bytes) -> None:
        """Add the accesses of a message as a session's guest lists them (guests/revm/src/amsterdam.rs)."""
        at = 0
        while at < len(data):
            address, flags, balance, nonce, size = _ACCOUNT.unpack_from(data, at)
            at += _ACCOUNT.size
            access, index = self.accesses.account(EthAddress(address)), self.index
            if flags & _BALANCE:
                access.balances[index] = int.from_bytes(balance, "big")
            if flags & _NONCE:
                access.nonces[index] = nonce
            if flags & _CODE:
                access.codes[index] = data[at : at + size]
            slots_at = at + size + _COUNT.size
            at = slots_at + _SLOT.size * _COUNT.unpack_from(data, at + size)[0]
            for slot, word, is_changed in _SLOT.iter_unpack(data[slots_at:at]):
                access.add_slot(int.from_bytes(slot, "big"), int.from_bytes(word, "big") if is_changed else None, index)
