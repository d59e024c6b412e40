"""One transaction under Ethereum's rules, and the transaction that a Filecoin message stands for.

InvokeEVM of an f410 address and CreateExternal of the Ethereum address manager are how the network represents
transactions (`bridge.filecoin.messages`), and are converted back. Any other message is executed as it is, with its
parameters charged like calldata.

Authorizations set the delegations of their signers (EIP-7702); `runtimes.evm.gas_table` has state gas. Rules: the
execution specifications' `process_transaction`; EIP-1559, 2929, 2930, 3529, 3607, 3651, 4844, 7623, 7702.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bridge.ethereum.addresses import EthAddress, create_address, masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import (
    DYNAMIC_FEE,
    GAS_PER_BLOB,
    Authorization,
    Transaction,
    authority_of,
    is_delegation,
)
from bridge.evm_steps import StateGasUsed
from bridge.filecoin.cbor import ParamsError, byte_string, read_byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasOutputs, GasTracker
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import Mark
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.types import (
    EAM_ACTOR,
    METHOD_CONSTRUCTOR,
    METHOD_SEND,
    ActorID,
    MethodNumber,
    TokenAmount,
)
from runtimes.evm import gas_table
from runtimes.evm.engine import TxContext
from runtimes.evm.ethereum import validation
from runtimes.evm.ethereum.accounts import Accounts, TouchedSlot, delegated_address, ethereum_address
from runtimes.evm.ethereum.calls import EthereumCalls, TransactionEnvironment
from runtimes.evm.ethereum.forks import Fork, ForkBlobs, fork_with
from runtimes.evm.ethereum.record import remaining_tracer
from runtimes.evm.ethereum.validation import MAX_NONCE, BlockLimits, InvalidTransaction, RejectionReason
from runtimes.evm.gas_table import StateGas, StateGasMeter
from store.cid import CBOR, RAW


@dataclass(frozen=True, slots=True)
class Entry:
    """The first call of a message that is not an Ethereum transaction."""

    to: Address
    method: MethodNumber
    params: Block | None


def transaction_of(machine: MachineState, message: Message) -> tuple[EthAddress, Transaction, Entry | None]:
    """Return the sender of a message, its transaction, and its first call if Ethereum has no equivalent.

    Raises InvalidTransaction for a sender that does not exist.
    """
    sender = _address(machine, message.from_)
    if sender is None:
        raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, f"{message.from_} does not exist")
    calldata, to, entry = _calldata(message), ethereum_address(message.to), None
    creates = message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR)
    if calldata is None or not (creates or (message.method == INVOKE_EVM and to is not None)):
        codec = RAW if message.method == METHOD_SEND else CBOR
        params = Block(codec, message.params) if message.params else None
        to, entry = sender, Entry(message.to, message.method, params)
    transaction = Transaction(
        type=DYNAMIC_FEE,
        chain_id=None,
        nonce=message.nonce,
        to=to,
        value=message.value,
        data=message.params if entry is not None or calldata is None else calldata,
        gas_limit=message.gas_limit,
        max_fee=message.gas_fee_cap,
        max_priority_fee=message.gas_premium,
    )
    return sender, transaction, entry


def _address(machine: MachineState, address: Address) -> EthAddress | None:
    known = ethereum_address(address)
    if known is not None:
        return known
    actor = machine.state_tree.lookup_id(address)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        return None
    delegated = None if state.delegated_address is None else ethereum_address(state.delegated_address)
    return delegated or masked_id(actor)


def _calldata(message: Message) -> bytes | None:
    try:
        return read_byte_string(message.params) if message.params else b""
    except ParamsError:
        return None  # not a byte string: parameters of another method


class MeteredCalls(EthereumCalls):
    """Calls whose frames use state gas.

    REVERT returns spilled execution gas to the caller; an exceptional halt burns it (EIP-8037).
    """

    _spilled_of_reverted_frame: int = 0
    """Execution gas spilled by the frame that was rolled back last."""

    @property
    def _meter(self) -> StateGasMeter:
        assert self.state_gas is not None, "the fork has state gas"
        return self.state_gas

    def with_transaction(self, call: Call) -> CallResult:
        return self._within_frame(partial(super().with_transaction, call))

    def rollback(self, mark: Mark) -> None:
        before = self._meter.current.spilled
        super().rollback(mark)
        self._spilled_of_reverted_frame = before - self._meter.current.spilled

    def _within_frame(self, run: Callable[[], CallResult]) -> CallResult:
        outer = self._meter.enter()
        result = None
        try:
            result = run()
        finally:
            if result is None or result.exit_code != ExitCode.OK:
                self._meter.current = outer
        if result is not None and result.exit_code == ExitCode.OK:
            used = self._meter.current.used - outer.used
            if used and self.tracer is not None:
                self.tracer.event(StateGasUsed(used))
            self.gas.used -= self._meter.absorb(outer)
        elif result is not None and result.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
            self.gas.used -= self._spilled_of_reverted_frame
        return result


class Authorizations:
    """Applies the authorizations of one transaction. Invalid ones are skipped."""

    def __init__(self, calls: EthereumCalls, transaction: Transaction, sender: EthAddress, fork: Fork) -> None:
        self._calls = calls
        self._accounts: Accounts = calls.accounts
        self._transaction = transaction
        self._sender = sender
        self._fork = fork
        self._written: set[EthAddress] = set()
        self._delegated: set[EthAddress] = set()
        """Accounts whose delegation is paid for: set by this transaction, or before it."""

    def apply(self) -> int:
        """Set the delegations; return the gas to refund for existing accounts. Raises OutOfGas (EIP-8037)."""
        refund = 0
        accounts, chain_id = self._accounts, self._calls.machine.context.chain_id
        for authorization in self._transaction.authorizations:
            signer = authority_of(authorization, chain_id)
            if signer is None:
                continue
            accounts.warm(signer)
            actor = accounts.find(signer)
            code = accounts.code(actor)
            if code and not is_delegation(code):
                continue
            if authorization.nonce != (0 if actor is None else accounts.nonce(actor)):
                continue
            if self._calls.state_gas is not None:
                self._charge(authorization, signer, actor, bool(code))
            elif actor is not None:
                refund += gas_table.AUTHORIZATION_REFUND
            if actor is None:
                actor = accounts.create_account(signer)
            accounts.set_delegation(actor, authorization.address if any(authorization.address) else None)
            accounts.set_nonce(actor, authorization.nonce + 1)
        return refund

    def _charge(self, authorization: Authorization, signer: EthAddress, actor: ActorID | None, delegates: bool) -> None:
        """Charge for the first write to an account, for a new account and for a new delegation."""
        fork, gas, size = self._fork, self._fork.gas, 0
        meter, transaction = self._calls.state_gas, self._transaction
        assert meter is not None
        if delegates:
            self._delegated.add(signer)
        is_paid = signer == self._sender or (signer == transaction.to and transaction.value)
        execution = 0 if is_paid or signer in self._written else fork.account_write
        self._written.add(signer)
        if actor is None or self._accounts.is_empty(actor):
            size += gas.account_bytes
        if any(authorization.address) and signer not in self._delegated:
            size += gas_table.DELEGATION_BYTES
            self._delegated.add(signer)
        self._calls.gas.charge("OnAuthorization", execution)
        self._calls.gas.charge("OnStateGas", meter.charge(size * gas.state_byte))


SYSTEM_CALL_GAS: Final = 30_000_000
"""Execution gas of a system call."""


@dataclass(slots=True, unsafe_hash=True)
class TransactionResult:
    """Result of a transaction, in Ethereum's gas; `output` is the return value or the revert data, as CBOR."""

    success: Final[bool]
    gas_used: Final[int]
    output: Final[bytes]
    logs: Final[tuple[tuple[EthAddress, Log], ...]]
    created: Final[EthAddress | None]
    events: Final[tuple[StampedEvent, ...]]
    exit_code: Final[int]
    message: Final[str]
    reason: Final[str]
    gas: Final[GasOutputs]
    execution_gas: Final[int] = 0
    """Gas that counts for the block: before refunds under EIP-7778, without state gas under EIP-8037."""
    state_gas: Final[int] = 0
    """Gas for new state that counts for the block (EIP-8037)."""


@dataclass(frozen=True, slots=True)
class TransactionPart:
    """Result of an inner transaction of a message: its gas after refunds, and its effects.

    `slots` and `addresses` are those it touched; addresses with whether they are still warm.
    """

    result: CallResult
    gas_used: int
    refund: int
    slots: Sequence[TouchedSlot]
    addresses: Mapping[EthAddress, bool]
    created: Sequence[ActorID]


class Application:
    """The execution of one transaction."""

    def __init__(
        self,
        machine: MachineState,
        transaction: Transaction,
        sender: EthAddress,
        limits: BlockLimits | None = None,
        paid: bool = True,
        accounts: Accounts | None = None,
    ) -> None:
        """Without `paid` nothing has a price.

        `accounts` are the transaction's accounts, if they are in use already.
        """
        self._machine = machine
        self._transaction = transaction
        self._sender = sender
        self._block = block_of(machine)
        self._fork = fork_of(machine, self._block)
        self._limits = limits or block_limits(machine, self._block, self._fork)
        tracer = remaining_tracer(machine)
        self._gas = GasTracker(transaction.gas_limit, tracer=tracer, per_gas=1)
        self._required = validation.required_gas(transaction, self._fork, sender)
        self._paid = paid
        self._commit = True
        self._price = validation.gas_price(transaction, machine.context.base_fee) if paid else 0
        self._is_capped = True
        environment = transaction_environment(machine, transaction, sender, self._price, self._limits.blob_base_fee)
        self._calls = (MeteredCalls if self._fork.state_gas else EthereumCalls)(
            machine, self._gas, ActorID(0), delegated_address(sender), transaction.nonce, environment, accounts
        )
        self._calls.tracer = tracer
        self._accounts = self._calls.accounts

    def apply(self) -> TransactionResult:
        """Check the transaction, buy gas, call, settle."""
        validation.check(self._transaction, self._fork, self._limits, self._required)
        return self._execute(self._check_sender())

    def simulate(self, commit: bool = True, is_capped: bool = False) -> TransactionResult:
        """Apply without the checks of nonce, sender type, base fee and block limits; the sender must have the funds.

        Without `commit`, changes are not written and logs are not reported. The fork's gas caps apply if
        `is_capped`.
        """
        self._commit, self._is_capped = commit, is_capped
        transaction = self._transaction = validation.with_supported_type(self._fork, self._transaction)
        accounts = self._accounts
        validation.check_simulated(
            transaction, self._fork, self._limits, self._required, is_paid=self._paid, is_capped=is_capped
        )
        sender = accounts.find(self._sender)
        validation.check_funds(transaction, accounts.balance(sender), is_paid=self._paid)
        return self._execute(accounts.create_account(self._sender) if sender is None else sender)

    def _execute(self, sender: ActorID) -> TransactionResult:
        self._calls.origin = sender
        self._buy_gas(sender)
        self._warm_up()
        refund = 0
        if self._transaction.authorizations and self._calls.state_gas is None:
            refund = self._authorize()
        result, created = self._call(sender)
        return self._settle(sender, result, created, refund)

    def _authorize(self) -> int:
        return Authorizations(self._calls, self._transaction, self._sender, self._fork).apply()

    @property
    def accounts(self) -> Accounts:
        return self._accounts

    @property
    def calls(self) -> EthereumCalls:
        return self._calls

    def apply_implicit(self, commit: bool = True) -> TransactionResult:
        """Call for the system itself or for a query: no checks, no fees, no nonce.

        `commit` is as in `simulate`; the caller must roll back the rest.
        """
        self._commit = commit
        sender = self._accounts.find(self._sender)
        if sender is None:
            raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, "the sender does not exist")
        self._calls.origin = sender
        self._warm_up()
        result, created = self._call(sender)
        return self._finish(result, created, self._gas.used, GasOutputs())

    def apply_inner(
        self, around: EthereumCalls, actor: ActorID, limit: int, gas_price: int = 0, base_fee: int = 0
    ) -> TransactionPart:
        """Execute as a separate transaction within a message, at its depth, in its block, without fees.

        `gas_price` and `base_fee` are only visible to contracts.

        Its gas after refunds counts as that of a call with gas limit `limit`; as in forge, it is 0 if it exceeds the
        limit. The sender is any actor. A call increments its nonce here, but as in forge a maximal one stays; a
        creation already did when it was requested.
        The changes of the message so far must have been written back. Raises InvalidTransaction if the gas does not
        cover the intrinsic gas.
        """
        transaction, calls, accounts = self._transaction, self._calls, self._accounts
        own = max(self._required)
        if own > transaction.gas_limit:
            words = f"gas limit {transaction.gas_limit} is below the intrinsic gas {own}"
            raise InvalidTransaction(RejectionReason.INTRINSIC_GAS_TOO_LOW, words)
        calls.depth = calls.first_depth = around.depth
        calls.tracer = around.tracer
        calls.origin, calls.inner_gas_used = around.origin, lambda result: self._inner_gas_used(result, limit)
        context = replace(around.environment.context, gas_price=gas_price, base_fee=base_fee)
        calls.environment = replace(around.environment, context=context)
        if transaction.to is not None:
            accounts.set_nonce(actor, min(accounts.nonce(actor) + 1, MAX_NONCE))
        self._gas.charge("OnIntrinsicGas", self._required[0])
        self._warm_up()
        result, _ = self._call(actor)
        part = TransactionPart(
            result,
            self._inner_gas_used(result, limit),
            self._refund(result),
            accounts.touched_slots(),
            accounts.touched_addresses(),
            accounts.created(),
        )
        around.events.extend(calls.events)
        accounts.write_back()
        return part

    def _refund(self, result: CallResult) -> int:
        counted = self._accounts.refund if result.exit_code == ExitCode.OK else 0
        return min(self._gas.used // self._fork.refund_quotient, counted)

    def _inner_gas_used(self, result: CallResult | None, limit: int) -> int:
        if result is None or result.exit_code not in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED):
            return 0
        used = self._after_refund(self._gas.used, self._refund(result))
        return used if used <= limit else 0

    def call_gas_used(self, used: int) -> int:
        """Return the gas of a call that used `used`, after refunds and without the intrinsic gas."""
        intrinsic = self._required[0]
        return self._after_refund(used + intrinsic, self._accounts.refund) - intrinsic

    # --- before the call --------------------------------------------------------------------------------------

    def _check_sender(self) -> ActorID:
        accounts = self._accounts
        sender = accounts.find(self._sender)
        validation.check_sender(self._transaction, accounts.account(self._sender), self._fork)
        return accounts.create_account(self._sender) if sender is None else sender

    def _buy_gas(self, sender: ActorID) -> None:
        transaction = self._transaction
        cost = transaction.gas_limit * self._price
        if transaction.blob_hashes:
            cost += self._blob_fee()
        self._accounts.buy_gas(sender, cost, transaction.nonce + 1)
        self._gas.charge("OnIntrinsicGas", self._required[0])
        cap = self._fork.execution_gas_cap
        if cap is not None and self._is_capped:
            self._reserve(transaction.gas_limit - cap)

    def _reserve(self, gas: int) -> None:
        """Move gas to the reservoir of state gas, which execution does not use."""
        meter = self._calls.state_gas
        if meter is not None and gas > 0:
            self._gas.charge("OnStateGasReservoir", gas)
            meter.current = StateGas(reservoir=gas)

    def _warm_up(self) -> None:
        transaction, accounts = self._transaction, self._accounts
        accounts.warm_known((*self._fork.precompiles, *self._calls.filecoin_precompiles))
        accounts.warm_all((self._block.coinbase, self._sender) if self._fork.warm_coinbase else (self._sender,))
        if transaction.to is not None:
            accounts.warm(transaction.to)
        for address, slots in transaction.access_list:
            accounts.warm(address)
            for slot in slots:
                accounts.warm_slot(address, slot)

    # --- the call ---------------------------------------------------------------------------------------------

    def _call(self, sender: ActorID) -> tuple[CallResult, EthAddress | None]:
        transaction, accounts = self._transaction, self._accounts
        value, data = TokenAmount(transaction.value), transaction.data
        params = Block(RAW, data) if data else None
        if transaction.to is not None:
            to = accounts.filecoin_address(transaction.to)
            call = Call(sender, to, INVOKE_EVM, params, value)
            if self._fork.resource_gas or self._calls.state_gas is not None:
                return self._with_charges(self._charge_receiver, lambda: (self._calls.send_first(call), None))
            delegate = accounts.delegate_of(accounts.find(transaction.to)) if self._fork.delegations else None
            if delegate is not None:
                accounts.warm(delegate)
            return self._calls.send_first(call), None
        if self._calls.state_gas is None:
            return self._create(sender)
        return self._with_charges(self._charge_creation, lambda: self._create(sender))

    def _create(self, sender: ActorID) -> tuple[CallResult, EthAddress | None]:
        transaction, accounts = self._transaction, self._accounts
        value, data = TokenAmount(transaction.value), transaction.data
        params = Block(RAW, data) if data else None
        address = create_address(self._sender, transaction.nonce)
        accounts.warm(address)
        there = accounts.find(address)
        if there is not None and accounts.collides(there, self._fork.slots_collide):
            self._calls.exhaust()
            return CallResult(ExitCode.USR_FORBIDDEN, message="a contract exists at this address already"), None
        creation = self._calls.creation(Call(sender, delegated_address(address), METHOD_CONSTRUCTOR, params, value))
        result = self._calls.send_first(creation)
        return result, address if result.exit_code == ExitCode.OK else None

    def _with_charges(
        self, charge: Callable[[], bool], send: Callable[[], tuple[CallResult, EthAddress | None]]
    ) -> tuple[CallResult, EthAddress | None]:
        """Make the first call after the authorizations and the charges that depend on the state.

        `charge` returns True for a new account. The refund for one that was not created may have returned spilled
        execution gas; a halted transaction burns it (EIP-8037, go-ethereum's `DrainExecution`).
        """
        try:
            with self._calls.atomically():
                if self._calls.state_gas is not None:
                    self._authorize()
                is_new = charge()
        except OutOfGas as error:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(error)), None
        result, created = send()
        meter, gas = self._calls.state_gas, self._fork.gas
        if is_new and meter is not None and result.exit_code != ExitCode.OK:
            self._gas.used -= meter.refund(gas.account_bytes * gas.state_byte)
            if result.exit_code != ExitCode.EVM_CONTRACT_REVERTED:
                self._calls.exhaust()
        return result, created

    def _charge_receiver(self) -> bool:
        """Charge for the receiver's account if the value creates it, and for reading its delegate (EIP-2780)."""
        transaction, accounts, gas = self._transaction, self._accounts, self._fork.gas
        assert transaction.to is not None
        is_new = bool(transaction.value) and not accounts.is_alive(transaction.to)
        if is_new:
            self._charge_account()
        delegate = accounts.delegate_of(accounts.find(transaction.to)) if self._fork.delegations else None
        if delegate is not None:
            self._gas.charge("OnDelegate", gas.warm if accounts.warm(delegate) else gas.cold_account)
            accounts.find(delegate)
        return is_new

    def _charge_creation(self) -> bool:
        is_new = not self._accounts.is_alive(create_address(self._sender, self._transaction.nonce))
        if is_new:
            self._charge_account()
        return is_new

    def _charge_account(self) -> None:
        meter, gas = self._calls.state_gas, self._fork.gas
        state = 0 if meter is None else meter.charge(gas.account_bytes * gas.state_byte)
        self._gas.charge("OnNewAccount", gas.new_account + state)

    # --- settlement -------------------------------------------------------------------------------------------

    def _settle(
        self, sender: ActorID, result: CallResult, created: EthAddress | None, refund: int
    ) -> TransactionResult:
        """Refund, pay the coinbase, burn the base fee, and write changes."""
        transaction, accounts = self._transaction, self._accounts
        meter = self._calls.state_gas
        state = StateGas() if meter is None else meter.current
        before = self._gas.used - state.reservoir
        used = self._after_refund(before, refund + accounts.refund)
        rest = (transaction.gas_limit - used) * self._price
        accounts.add_balance(sender, rest)
        tip, burnt = self._pay_coinbase(used)  # the sender is not touched: its nonce shows that it is not empty
        gas = GasOutputs(base_fee_burn=TokenAmount(burnt), miner_tip=TokenAmount(tip), refund=TokenAmount(rest))
        counted = before if self._fork.gas_before_refunds else used
        execution = max(counted - state.used, self._required[1])
        return self._finish(result, created, used, gas, (execution, state.used))

    def _after_refund(self, used: int, refund: int) -> int:
        used -= min(used // self._fork.refund_quotient, refund)
        return max(used, self._required[1])

    def _finish(
        self,
        result: CallResult,
        created: EthAddress | None,
        used: int,
        gas: GasOutputs,
        block_gas: tuple[int, int] = (0, 0),
    ) -> TransactionResult:
        logs: tuple[tuple[EthAddress, Log], ...] = ()
        if self._commit:
            logs = tuple(self._logs())  # before their emitters are removed
            self._accounts.write_back()
        return TransactionResult(
            success=result.exit_code == ExitCode.OK,
            gas_used=used,
            output=in_cbor(result.block),
            logs=logs,
            created=created,
            events=tuple(self._calls.events),
            exit_code=result.exit_code,
            message=result.message,
            reason=self._calls.backtrace.reason,
            gas=gas,
            execution_gas=block_gas[0],
            state_gas=block_gas[1],
        )

    def _pay_coinbase(self, used: int) -> tuple[int, int]:
        """Pay the tip and burn the rest, and the price of blobs; return what gas has cost of both, in attoFIL.

        The price of a simulated call may be below the base fee.
        """
        accounts, base_fee = self._accounts, min(self._price, self._machine.context.base_fee)
        tip = used * (self._price - base_fee)
        if tip:  # a paid account is not empty, so it is not marked as touched
            accounts.pay(self._block.coinbase, tip)
        else:
            accounts.touch(self._block.coinbase)
        burnt, blob_fee = used * base_fee, self._blob_fee() if self._transaction.blob_hashes else 0
        if burnt or blob_fee:
            accounts.burn(burnt + blob_fee)
        return tip, burnt

    def _blob_fee(self) -> int:
        """Return the price of the transaction's blobs in attoFIL.

        A simulated call pays at most the fee that it offers.
        """
        transaction = self._transaction
        price = min(self._limits.blob_base_fee, transaction.max_fee_per_blob_gas) if self._paid else 0
        return transaction.blob_gas * price

    def _logs(self) -> list[tuple[EthAddress, Log]]:
        """Return the logs with the addresses of their emitters."""
        logs = []
        for event in self._calls.events:
            log = entries_to_log(event.entries)
            if log is not None:
                logs.append((self._accounts.address_of(event.emitter), log))
        return logs


def transaction_environment(
    machine: MachineState, transaction: Transaction, sender: EthAddress, gas_price: int, blob_base_fee: int
) -> TransactionEnvironment:
    """Return the constants of a transaction in the machine's block; `gas_price` is what it pays."""
    context, block = machine.context, block_of(machine)
    return TransactionEnvironment(
        fork=fork_of(machine, block),
        block=block,
        context=TxContext(
            gas_price=gas_price,
            coinbase=block.coinbase,
            number=context.epoch,
            timestamp=context.timestamp,
            gas_limit=block.gas_limit,
            chain_id=context.chain_id,
            base_fee=context.base_fee,
        ),
        origin=sender,
        blob_hashes=transaction.blob_hashes,
        blob_base_fee=blob_base_fee,
    )


def in_cbor(block: Block | None) -> bytes:
    """Return a result as CBOR for the receipt: precompiles return raw bytes."""
    if block is None:
        return b""
    return byte_string(block.data) if block.codec == RAW else block.data


def block_of(machine: MachineState) -> EthereumBlock:
    """Return the block in the machine's context; defaults if there is none."""
    block = machine.context.block
    return block if isinstance(block, EthereumBlock) else EthereumBlock()


def fork_of(machine: MachineState, block: EthereumBlock | None = None) -> Fork:
    """Return the fork of a block, by default of the machine's current one, with users' precompiles."""
    return fork_with((block_of(machine) if block is None else block).fork, machine.context.precompiles)


def block_limits(machine: MachineState, block: EthereumBlock, fork: Fork, base_fee: int | None = None) -> BlockLimits:
    """Return the limits for the first transaction of the machine's block, optionally at another base fee."""
    blob_base_fee = block.blob_base_fee
    return BlockLimits(
        gas=block.gas_limit,
        blob_gas=GAS_PER_BLOB * fork.blobs.maximum,
        base_fee=machine.context.base_fee if base_fee is None else base_fee,
        blob_base_fee=ForkBlobs(fork).base_fee(block.excess_blob_gas) if blob_base_fee is None else blob_base_fee,
        chain_id=machine.context.chain_id,
        state_gas=block.gas_limit if fork.state_gas else None,
    )
