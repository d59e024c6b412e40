"""Ethereum's rules on the same actors: its gas and fees, no block rewards or cron, transactions of all types.

Blocks are the network's tipsets, so the fields of the consensus layer (withdrawals, requests, beacon roots, slot
numbers) are empty. The machine's beacon supplies prevrandao. Sources: the execution specifications, EIP-1559 and
EIP-2935.

Gas in the events of a message has one unit, thousandths of Ethereum gas. Under Filecoin's rules listeners get milligas,
so call trees and traces can treat both alike. Under Ethereum's rules the calls that the kernel sends, for a native
actor or a Filecoin precompile, are measured in milligas of Filecoin; every other call is measured in whole gas
(`runtimes.evm.revm`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, create_address, to_filecoin
from bridge.ethereum.block import (
    BLOCK_HASHES,
    BLOCK_HASHES_CODE,
    ETHEREUM,
    EthereumBlock,
    Withdrawal,
    next_base_fee,
)
from bridge.ethereum.execution import (
    BlobRules,
    CallMessage,
    EthereumExecution,
    ForkFacts,
    ForkTable,
    RefusedTransaction,
)
from bridge.ethereum.patricia import EMPTY_ROOT
from bridge.ethereum.reverts import REVERTED, TEXTS, failure_text, reverted_with
from bridge.filecoin.messages import envelope_message, message_from
from bridge.filecoin.parameters import CreateReturn, unwrap_return
from bridge.gas import CHARGE_NAME, DEFAULT_RATE
from hypervisor.errors import InvalidInput, MessageError
from hypervisor.exit_codes import FIRST_ACTOR_EXIT_CODE, exit_meaning
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.registry import EVM
from hypervisor.machine.rules import executor_factory
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import (
    CallEnded,
    CallStarted,
    Dispatched,
    GasCharged,
    KernelSend,
    RuntimeEvent,
    TraceEvent,
    Tracer,
)
from hypervisor.types import MAX_BALANCE, ActorID, Gas, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion
from localnet.errors import TransactionRefused
from localnet.ledger.blocks import beacon_digest
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import BlockSettings, Tipset, TransactionReceipt
from localnet.rules.facts import BlockOverride, CallRequest, Features, Fees, RuleLimits, Simulations
from localnet.rules.parts import CallOutcome, ImplicitResult, NetworkRules, SenderInfo
from localnet.state.controls import code_of, code_of_contract, contract_state, nonce_of, nonce_of_actor, set_code
from store.keccak import keccak

_OF_ETHEREUM: Final = frozenset(
    ("OnIntrinsicGas", "OnCodeDeposit", "OnStateGas", "OnFailure", "OnNativeCall", "OnPrecompile", CHARGE_NAME)
)
"""Names of charges in Ethereum gas while a contract runs."""


class ThousandthsTracer(Tracer):
    """A tracer that forwards events to another one, with gas in thousandths of Ethereum gas."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.takes_record, self.detail = tracer.takes_record, tracer.detail
        self._sent = False
        self._open: list[tuple[bool, bool]] = []
        """For each open call: True if the kernel sent it, and True if not the session runs the actor."""

    def event(self, event: TraceEvent, /) -> None:
        """Forward an event."""
        match event:
            case KernelSend():
                self._sent = True
            case CallStarted():
                self._open.append((self._sent, False))
                event = event._replace(gas_available=_thousandths(event.gas_available, self._sent))
                self._sent = False
            case Dispatched() if self._open:
                self._open[-1] = self._open[-1][0], event.runtime != EVM
            case CallEnded() if self._open:
                sent, _ = self._open.pop()
                event = event._replace(gas_used=_thousandths(event.gas_used, sent))
            case GasCharged():
                native = bool(self._open) and (self._open[-1][1] or event.name not in _OF_ETHEREUM)
                amounts = (_thousandths(amount, native) for amount in (event.milligas, event.other))
                event = GasCharged(event.name, *amounts)
            case _:
                pass
        self._tracer.event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Forward an instruction, whose gas is already Ethereum's."""
        self._tracer.step(event)

    def visit_all(self, counters: array[int], /) -> None:
        """Forward program counters."""
        self._tracer.visit_all(counters)

    def visit(self, counter: int, /) -> None:
        """Forward a program counter."""
        self._tracer.visit(counter)

    def pause(self, number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Forward an instruction and return the response."""
        return self._tracer.pause(number, counter, read_step)

    def frame_stopped(self, number: int, counter: int, /) -> None:
        """Forward the end of a frame."""
        self._tracer.frame_stopped(number, counter)


def _thousandths(gas: int, is_milligas: bool) -> int:
    return gas * MILLIGAS_PER_GAS // DEFAULT_RATE if is_milligas else gas * MILLIGAS_PER_GAS


BLOCK_GAS_LIMIT: Final = Gas(30_000_000)
GWEI: Final = TokenAmount(10**9)

MESSAGE_GAS: Final = Gas(1 << 24)
"""Default gas limit of a message, within the block's limit."""

REQUEST_GAS_CAP: Final = Gas(50_000_000)
"""Default of geth's `--rpc.gascap` (go-ethereum eth/ethconfig/config.go, `RPCGasCap`)."""

_ACCOUNTS: Final = ("account", "ethaccount", "placeholder")
_ZERO_HASH: Final = "0x" + "00" * 32
_EMPTY_LIST: Final = b"\xc0"
"""Encoding of the access list of a block that executed nothing."""
_NO_REQUESTS: Final = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

_WORDS: Final = {
    "RLP_INVALID_VALUE": ("value", "invalid value"),
    "INTRINSIC_GAS_TOO_LOW": ("gas", "intrinsic gas too low"),
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": ("gas", "insufficient gas for floor data gas cost"),
    "EXECUTION_GAS_CAP_EXCEEDED": ("gas", "insufficient gas for floor data gas cost"),
    "NONCE_IS_MAX": ("nonce", "nonce has max value"),
    "INITCODE_SIZE_EXCEEDED": ("size", "max initcode size exceeded"),
    "GAS_LIMIT_EXCEEDS_MAXIMUM": ("gas", "transaction gas limit too high"),
    "GAS_ALLOWANCE_EXCEEDED": ("gas", "exceeds block gas limit"),
    "INVALID_CHAINID": ("chain", "invalid chain id for signer"),
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": ("tip", "max priority fee per gas higher than max fee per gas"),
    "INSUFFICIENT_MAX_FEE_PER_GAS": ("fee", "max fee per gas less than block base fee"),
    "TYPE_4_TX_PRE_FORK": ("type", "transaction type not supported"),
    "TYPE_4_TX_CONTRACT_CREATION": ("type", "EIP-7702 transaction cannot be used to create contract"),
    "TYPE_4_EMPTY_AUTHORIZATION_LIST": ("type", "EIP-7702 transaction with empty auth list"),
    "NONCE_MISMATCH_TOO_LOW": ("nonce", "nonce too low"),
    "NONCE_MISMATCH_TOO_HIGH": ("nonce", "nonce too high"),
    "INSUFFICIENT_ACCOUNT_FUNDS": ("funds", "insufficient funds for gas * price + value"),
    "GASLIMIT_PRICE_PRODUCT_OVERFLOW": ("fee", "gas limit * max fee per gas exceeds 128 bits"),
    "SENDER_NOT_EOA": ("sender", "sender not an eoa"),
    "TYPE_3_TX_ZERO_BLOBS": ("type", "blobless blob transaction"),
    "TYPE_3_TX_BLOB_COUNT_EXCEEDED": ("blobs", "too many blobs in transaction"),
    "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED": ("blobs", "blob gas limit reached"),
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": ("blobs", "invalid hash version"),
    "TYPE_3_TX_CONTRACT_CREATION": ("type", "blob transaction of type create"),
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": ("fee", "max fee per blob gas less than block blob gas fee"),
}
"""Mapping from the execution specifications' rejection reasons to our reason and geth's error text."""


FEES: Final = Fees(
    first_base_fee=GWEI,
    premium=GWEI,
    follows_tips=True,
    empty_reward=TokenAmount(0),
    reward_counts_own_gas=True,
)
FEATURES: Final = Features(
    has_null_rounds=False,
    has_official_evm=False,
    has_access_lists=True,
    transaction_types=(),
    has_filecoin_blocks=False,
    has_pending_block=True,
    every_account_has_code=True,
    allows_bare_storage=True,
    has_settings=True,
    executor_checks_senders=True,
    has_geth_pool=True,
)


def _forks() -> ForkTable:
    """Return the forks of the machine part of these rules."""
    machine_part = executor_factory(ETHEREUM)
    if not isinstance(machine_part, ForkTable):
        raise InvalidInput(f"the machine part of the rules '{ETHEREUM}' names no forks: it is not this project's")
    return machine_part


def ethereum_rules(hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    """Rules of a fork (default: Osaka), in any spelling, with a block gas limit. Raises InvalidInput."""
    forks = _forks()
    fork, limits = forks.fork_name(hardfork), _limits(BLOCK_GAS_LIMIT if gas_limit is None else Gas(gas_limit))
    blobs, fields = forks.blob_rules(fork), forks.header_fields(fork)
    has_base_fee = "base_fee" in fields
    return NetworkRules(
        name=ETHEREUM,
        hardfork=fork,
        chain_id=31337,
        limits=limits,
        fees=FEES if has_base_fee else FEES._replace(first_base_fee=TokenAmount(0)),
        simulations=Simulations(estimate_margin=(1, 1), estimate_precision=int(BLOCK_GAS_LIMIT), block_time=12),
        features=FEATURES._replace(transaction_types=tuple(forks.transaction_types(fork))),
        settings=EthereumSettings(fork, limits),
        blocks=EthereumBlocks(limits, has_base_fee),
        messages=EthereumMessages(limits),
        calls=EthereumStateCalls(limits),
        views=EthereumViews(blobs, fields),
        blobs=blobs,
        access_list=_access_list if "access_list_hash" in fields else None,
    )


def _limits(block_gas: Gas) -> RuleLimits:
    message_gas = min(block_gas, MESSAGE_GAS)
    return RuleLimits(
        block_gas=block_gas,
        request_gas=REQUEST_GAS_CAP,
        call_gas=min(block_gas, REQUEST_GAS_CAP),
        message_gas=message_gas,
        large_message_gas=message_gas,
        transaction_bytes=128 << 10,
        balance=MAX_BALANCE,
        value=MAX_BALANCE,
        base_fee=TokenAmount((1 << 64) - 1),
    )


class EthereumSettings:
    """Block settings under Ethereum's rules (`SettingRules`)."""

    def __init__(self, fork: str, limits: RuleLimits) -> None:
        self._fork, self._limits = fork, limits

    def prepare(self, machine: Hypervisor) -> None:
        """Set the fork and the block's gas limit; tips go to the zero address."""
        machine.advance(block=EthereumBlock(fork=self._fork, gas_limit=self._limits.block_gas))

    def begin(self, machine: Hypervisor) -> None:
        """Create the contract that stores block hashes."""
        set_code(machine, to_filecoin(BLOCK_HASHES), BLOCK_HASHES_CODE)

    def fork_facts(self, machine: Hypervisor) -> ForkFacts | None:
        """Return the executor's fork facts."""
        return _execution(machine).fork_facts()

    def first_settings(self, machine: Hypervisor) -> BlockSettings:
        """Return settings with the chain ID: a later one holds from its block on, so each block records its own."""
        return BlockSettings(chain_id=machine.context.chain_id)

    def apply_settings(self, machine: Hypervisor, settings: BlockSettings) -> None:
        """Set gas limit, fee recipient and randomness. The minimum gas price only affects pending transactions."""
        now = _block(machine)
        wanted: dict[str, Any] = {
            "coinbase": settings.coinbase or ZERO_ADDRESS,
            "gas_limit": BLOCK_GAS_LIMIT if settings.gas_limit is None else settings.gas_limit,
            "randomness": settings.randomness,
            "excess_blob_gas": settings.excess_blob_gas,
            "blob_base_fee": None,
            "removed_precompiles": frozenset(),
        }
        if any(getattr(now, name) != value for name, value in wanted.items()):  # rarely, and a copy takes longer
            machine.advance(block=replace(now, **wanted))

    def gas_limit_of(self, tipset: Tipset) -> Gas:
        """Return the configured gas limit."""
        return BLOCK_GAS_LIMIT if tipset.settings.gas_limit is None else tipset.settings.gas_limit

    def override_block(self, machine: Hypervisor, block: BlockOverride, accounts: Iterable[EthAddress]) -> None:
        """Override gas limit, recipient of fees, randomness and blob base fee; overridden accounts run their code."""
        now = _block(machine)
        coinbase = now.coinbase if block.coinbase is None else block.coinbase
        limit = now.gas_limit if block.gas_limit is None else block.gas_limit
        randomness = now.randomness if block.randomness is None else block.randomness
        blob_base_fee = now.blob_base_fee if block.blob_base_fee is None else block.blob_base_fee
        machine.advance(
            block=replace(
                now,
                coinbase=coinbase,
                gas_limit=limit,
                randomness=randomness,
                blob_base_fee=blob_base_fee,
                removed_precompiles=_execution(machine).fork_facts().precompiles.intersection(accounts),
            )
        )


class EthereumBlocks:
    """The work before and after a block's messages under Ethereum's rules (`BlockRules`)."""

    def __init__(self, limits: RuleLimits, has_base_fee: bool) -> None:
        self._limits, self._has_base_fee = limits, has_base_fee

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """Store the parent's hash in the contract for block hashes."""
        _execution(machine).begin_block(parent_hash)

    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        """Do nothing: there is no cron."""
        return ()

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        """Do nothing: tips are paid per transaction, and there is neither reward nor cron."""
        return ()

    def withdraw(self, machine: Hypervisor, withdrawals: Iterable[Withdrawal]) -> None:
        """Credit the receivers, whose amounts are in gwei."""
        _execution(machine).pay((each.address, each.amount * GWEI) for each in withdrawals)

    def next_base_fee(
        self, version: NetworkVersion, base_fee: int, gas_used: int, messages: Iterable[Message]
    ) -> TokenAmount:
        """Return the base fee of the next block by EIP-1559, 0 before London."""
        fee = next_base_fee(base_fee, gas_used, self._limits.block_gas) if self._has_base_fee else 0
        return TokenAmount(fee)


class EthereumMessages:
    """Admission and execution of messages under Ethereum's rules (`MessageRules`)."""

    def __init__(self, limits: RuleLimits) -> None:
        self._limits = limits

    message_from, carry = staticmethod(message_from), staticmethod(envelope_message)

    def gas_limit(self, machine: Hypervisor) -> Gas:
        """Return a block's gas limit, within the fork's bound."""
        cap = _execution(machine).fork_facts().transaction_gas_cap
        return self._limits.block_gas if cap is None else Gas(min(self._limits.block_gas, cap))

    def check(
        self, machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount, *, is_capped: bool = True
    ) -> None:
        """Run the executor's checks."""
        sent = candidate.transaction
        try:
            item = candidate.bare if sent is None else sent.transaction
            _execution(machine).check(item, base_fee, candidate.sender, is_capped=is_capped)
        except RefusedTransaction as error:
            raise _as_refused(error) from None
        except MessageError as error:
            raise TransactionRefused("invalid", str(error)) from None

    def sender(self, machine: Hypervisor, address: Address) -> SenderInfo:
        """Return the sender; accounts can send, also with delegated code and without state."""
        execution = _execution(machine)
        held = execution.held_account(address)
        if held is not None:
            return SenderInfo(held.nonce, TokenAmount(held.balance), execution.may_send(held.code))
        with execution.without_held():
            return self._sender(machine, address)

    def _sender(self, machine: Hypervisor, address: Address) -> SenderInfo:
        actor = machine.actor(address)
        if actor is None:
            return SenderInfo(0, TokenAmount(0), True)
        contract = contract_state(machine, actor)
        if contract is None:
            return SenderInfo(actor.nonce, actor.balance, machine.manifest.name_of(actor.code) in _ACCOUNTS)
        code = code_of_contract(machine, contract)
        return SenderInfo(nonce_of_actor(machine, actor), actor.balance, _execution(machine).may_send(code))

    def address_of(self, machine: Hypervisor, actor: ActorID) -> EthAddress:
        """Return the actor's delegated address, or its masked ID."""
        return _execution(machine).address_of(actor)

    def authorization_nonce(self, machine: Hypervisor, authority: EthAddress) -> int | None:
        """Return the account's nonce (EIP-7702), from Prague on."""
        return nonce_of(machine, to_filecoin(authority)) if _execution(machine).fork_facts().has_delegations else None

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply the signed transaction, or the message as one."""
        sent = candidate.transaction
        if sent is None:
            return machine.apply(candidate.message)
        try:
            return _execution(machine).apply_signed(sent, candidate.sender)
        except RefusedTransaction as error:
            raise _as_refused(error) from None

    def apply_unpaid(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply the message as a transaction without fees, with any sender. Raises TransactionRefused."""
        sent = candidate.transaction
        try:
            return _execution(machine).apply_unpaid(candidate.bare, None if sent is None else sent.transaction)
        except RefusedTransaction as error:
            raise _as_refused(error) from None

    def apply_simulated(self, machine: Hypervisor, candidate: Candidate, *, is_paid: bool) -> ApplyResult:
        """Apply the message as a transaction of any sender, as go-ethereum does."""
        sent = candidate.transaction
        try:
            transaction = None if sent is None else sent.transaction
            return _execution(machine).apply_simulated(candidate.bare, transaction, is_paid=is_paid)
        except RefusedTransaction as error:
            raise _as_refused(error) from None


class EthereumStateCalls:
    """Calls and tracers under Ethereum's rules (`StateCallRules`)."""

    def __init__(self, limits: RuleLimits) -> None:
        self._limits = limits

    def call(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallOutcome:
        """Execute the request as a transaction of any sender, with its gas and fees; without fees it is free.

        The fork's gas caps apply only with a gas `limit`.
        """
        base_fee = machine.context.base_fee
        if 0 < request.max_fee < base_fee:
            reason = f"max fee per gas less than block base fee: maxFeePerGas: {request.max_fee}, baseFee: {base_fee}"
            raise TransactionRefused("fee", reason)
        call = CallMessage(
            sender=request.sender,
            to=request.to,
            gas_limit=self._call_gas(request) if limit is None else limit,
            value=request.value,
            data=request.data,
            max_fee=request.max_fee,
            max_priority_fee=request.max_priority_fee,
            access_list=request.access_list,
            authorizations=request.authorizations,
            max_fee_per_blob_gas=request.max_fee_per_blob_gas,
            blob_hashes=request.blob_hashes,
            is_capped=limit is not None,
        )
        try:
            result = _execution(machine).simulate(call)
        except RefusedTransaction as error:
            raise _as_refused(error) from None
        if request.to is not None or result.exit_code:
            return CallOutcome(result, unwrap_return(result.return_data))
        created = CreateReturn.decode(result.return_data).eth_address
        return CallOutcome(result, code_of(machine, to_filecoin(created)))

    def call_as_message(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallOutcome:
        """Execute the call with the gas costs of a transaction."""
        return self.call(machine, request, limit)

    def transaction_gas(self, machine: Hypervisor, request: CallRequest, result: ApplyResult) -> tuple[Gas, Gas]:
        """Return the limit and the gas used of the call, which is executed as a transaction."""
        return self._call_gas(request), result.gas_used

    def _call_gas(self, request: CallRequest) -> Gas:
        return min(self._limits.call_gas if request.gas is None else request.gas, self._limits.request_gas)

    def adapt_tracer(self, tracer: Tracer) -> Tracer:
        """Return a tracer that gives the tracer gas in thousandths of Ethereum gas."""
        return ThousandthsTracer(tracer)


class EthereumViews:
    """JSON fields of blocks and receipts under Ethereum's rules (`ViewRules`)."""

    def __init__(self, blobs: BlobRules, fields: frozenset[str]) -> None:
        self._blobs, self._fields = blobs, fields

    def block_fields(self, tipset: Tipset) -> Mapping[str, Any]:
        """Return prevrandao and the fields that later forks added."""
        later: Mapping[str, Mapping[str, Any]] = {
            "base_fee": {"baseFeePerGas": hex(tipset.base_fee)},
            "withdrawals_root": {"withdrawals": [], "withdrawalsRoot": f"0x{EMPTY_ROOT.hex()}"},
            "blob_gas_used": {"blobGasUsed": hex(tipset.blob_gas_used)},
            "excess_blob_gas": {"excessBlobGas": hex(tipset.settings.excess_blob_gas)},
            "beacon_root": {"parentBeaconBlockRoot": _ZERO_HASH},
            "requests_hash": {"requestsHash": _NO_REQUESTS},
            "access_list_hash": {"blockAccessListHash": f"0x{keccak(tipset.access_list or _EMPTY_LIST).hex()}"},
            "slot_number": {"slotNumber": "0x0"},
        }
        return {
            "miner": f"0x{(tipset.settings.coinbase or ZERO_ADDRESS).hex()}",
            "mixHash": f"0x{(tipset.settings.randomness or beacon_digest(tipset.height)).hex()}",
            **{key: value for name, fields in later.items() if name in self._fields for key, value in fields.items()},
        }

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Return the block's cumulative gas up to the transaction, and the price of blob gas."""
        blob_gas = receipt.candidate.blob_gas
        return {
            "cumulativeGasUsed": hex(receipt.gas_before + receipt.gas_used),
            "blobGasPrice": hex(self._blobs.base_fee(receipt.tipset.settings.excess_blob_gas)),
            **({"blobGasUsed": hex(blob_gas)} if blob_gas else {}),
        }

    def receipt_contract(self, receipt: TransactionReceipt) -> EthAddress | None:
        """Return the address of the creation, also of a failed one, as geth and anvil do."""
        sent = receipt.candidate
        return create_address(sent.sender, sent.bare.nonce) if sent.to is None else None

    def exit_text(self, exit_code: int) -> str:
        """Describe a failed frame with geth's texts, and other failures with the built-in actors'."""
        return TEXTS.get(exit_code, "")

    def failure_text(
        self,
        exit_code: int,
        data: bytes,
        words: str,
        reason: str = "",
        revert: str | None = None,
        *,
        native: bool = False,
    ) -> str:
        """Return the failure in anvil's form: a revert with its reason; built-in actors' exit codes."""
        end = "" if native and exit_code >= FIRST_ACTOR_EXIT_CODE else failure_text(exit_code, words, creates=False)
        if not end:
            detail = reason or words
            return f"execution failed: exit {exit_meaning(exit_code, native=native)}{f': {detail}' if detail else ''}"
        text = reverted_with(data) if revert is None else revert
        shown = end if text is None else f"{REVERTED}: {text}"
        return f"{shown} ({reason})" if reason else shown

    def allowance_text(self, highest: Gas) -> str:
        """Return anvil's text for an estimate that exceeds the gas limit."""
        return f"Out of gas: gas required exceeds allowance: {highest}"


def _block(machine: Hypervisor) -> EthereumBlock:
    block = machine.context.block
    assert isinstance(block, EthereumBlock), "a network under these rules has such blocks (prepare)"
    return block


_execution: Final[Callable[[Hypervisor], EthereumExecution]] = attrgetter("executor")
"""Returns the machine's executor, which is Ethereum's under these rules (`ethereum_rules`)."""


def _access_list(machine: Hypervisor) -> bytes:
    return _execution(machine).take_access_list() or _EMPTY_LIST


def _as_refused(error: RefusedTransaction) -> TransactionRefused:
    reason, words = _WORDS.get(error.name, ("invalid", error.name))
    return TransactionRefused(reason, f"{words}: {error.details}")
