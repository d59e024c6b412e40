"""Filecoin's rules: Filecoin gas, block rewards and cron, and messages in the chain's format.

Calls run at the block gas limit and pay no fees. A gas estimate adds a quarter to the gas used. Sources: lotus
chain/consensus/compute_state.go, chain/messagepool and node/impl/eth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, address_of_actor, to_filecoin
from bridge.ethereum.block import Withdrawal
from bridge.ethereum.execution import ForkFacts
from bridge.ethereum.transactions import DYNAMIC_FEE, SET_CODE, Transaction
from bridge.filecoin.messages import REPRESENTABLE_TYPES, UNREPRESENTABLE_TYPES, message_from, signed_message
from bridge.filecoin.receipts import failure_text, return_bytes
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.installation import FILECOIN
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import Tracer
from hypervisor.types import (
    ATTO_PER_FIL,
    CRON_ACTOR,
    MAX_FILECOIN_BALANCE,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    Gas,
    MethodNumber,
    TokenAmount,
    encode_bigint,
)
from hypervisor.versions.network_versions import NetworkVersion
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import DEFAULT_SETTINGS, BlockSettings, Tipset, TransactionReceipt
from localnet.rules.facts import (
    BLOCK_GAS_LIMIT,
    MINIMUM_BASE_FEE,
    BlockOverride,
    CallRequest,
    Features,
    Fees,
    RuleLimits,
    Simulations,
    next_base_fee,
)
from localnet.rules.parts import CallOutcome, ImplicitResult, MessageRules, NetworkRules, SenderInfo
from localnet.state.controls import nonce_of_actor, set_nonce
from store.codec import encode

MAX_MESSAGE_BYTES: Final = 64 << 10
"""Maximum size of a message on chain in bytes (lotus)."""

_ZERO_BLS_KEY: Final = b"\xc0" + bytes(47)
_AWARD_BLOCK_REWARD: Final = MethodNumber(2)
_EPOCH_TICK: Final = MethodNumber(2)
_REWARD_GAS: Final = Gas(1 << 30)
_CRON_GAS: Final = Gas(BLOCK_GAS_LIMIT * 10_000)
_WIN_COUNT: Final = 1


LIMITS: Final = RuleLimits(
    block_gas=Gas(BLOCK_GAS_LIMIT),
    request_gas=Gas(BLOCK_GAS_LIMIT),
    call_gas=Gas(BLOCK_GAS_LIMIT),
    message_gas=Gas(BLOCK_GAS_LIMIT // 10),
    large_message_gas=Gas(BLOCK_GAS_LIMIT // 2),
    transaction_bytes=2 * MAX_MESSAGE_BYTES,
    balance=MAX_FILECOIN_BALANCE,
    value=TokenAmount(2_000_000_000 * ATTO_PER_FIL),
    base_fee=MAX_FILECOIN_BALANCE,
    batch=100,
    gas_advice="call eth_estimateGas to get the required limit; with forge script, pass --skip-simulation",
)
PREMIUM: Final = TokenAmount(100_000)
FEES: Final = Fees(
    first_base_fee=MINIMUM_BASE_FEE,
    premium=PREMIUM,
    follows_tips=False,
    empty_reward=PREMIUM,  # this and the next as in Lotus' calculateRewardsAndGasUsed (node/impl/eth/gas.go)
    reward_counts_own_gas=False,
)
FEATURES: Final = Features(
    has_null_rounds=True,
    has_official_evm=True,
    has_access_lists=False,
    transaction_types=REPRESENTABLE_TYPES,
    refused_types=UNREPRESENTABLE_TYPES,
    has_filecoin_blocks=True,
    has_pending_block=False,
    every_account_has_code=False,
    allows_bare_storage=False,
    has_settings=False,
    executor_checks_senders=False,
    has_geth_pool=False,
)


def filecoin_rules(hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    """Return the network's own rules, with a fixed block gas limit. Raises InvalidInput for a fork or another limit."""
    if hardfork:
        raise InvalidInput(
            f"hardfork '{hardfork}' does not apply to Filecoin's rules: pass --rules ethereum, or a network version"
        )
    if gas_limit not in (None, BLOCK_GAS_LIMIT):
        raise InvalidInput(
            f"Filecoin's rules fix the gas limit of a block, {BLOCK_GAS_LIMIT}: it cannot be {gas_limit}"
        )
    messages = FilecoinMessages()
    return NetworkRules(
        name=FILECOIN,
        chain_id=31415926,
        limits=LIMITS,
        fees=FEES,
        simulations=Simulations(estimate_margin=(5, 4), estimate_precision=100, block_time=1),
        features=FEATURES,
        settings=FilecoinSettings(),
        blocks=FilecoinBlocks(),
        messages=messages,
        calls=FilecoinStateCalls(messages),
        views=FilecoinViews(),
    )


class FilecoinSettings:
    """Block settings under Filecoin's rules (`SettingRules`)."""

    def prepare(self, machine: Hypervisor) -> None:
        """Do nothing: a Filecoin block has no values other than those of its epoch."""

    def begin(self, machine: Hypervisor) -> None:
        """Do nothing: the genesis has all actors."""

    def fork_facts(self, machine: Hypervisor) -> ForkFacts | None:
        """Return None: network versions replace forks."""
        return None

    def first_settings(self, machine: Hypervisor) -> BlockSettings:
        """Return the default settings, which are the network's."""
        return DEFAULT_SETTINGS

    def apply_settings(self, machine: Hypervisor, settings: BlockSettings) -> None:
        """Do nothing."""

    def gas_limit_of(self, tipset: Tipset) -> Gas:
        """Return the network's block gas limit."""
        return LIMITS.block_gas

    def override_block(self, machine: Hypervisor, block: BlockOverride, accounts: Iterable[EthAddress]) -> None:
        """Refuse fields that blocks do not have, and a base fee that is no amount. Raises InvalidInput."""
        own = {
            "gasLimit": block.gas_limit,
            "feeRecipient": block.coinbase,
            "prevRandao": block.randomness,
            "blobBaseFee": block.blob_base_fee,
            "withdrawals": block.withdrawals,
            "beaconRoot": block.beacon_root,
        }
        for name, value in own.items():
            if value is not None:
                raise InvalidInput(f"{name}: Filecoin blocks have no such field to override")
        if block.base_fee is not None and block.base_fee > MAX_FILECOIN_BALANCE:
            raise InvalidInput(f"baseFeePerGas: {block.base_fee} is above the maximum, {MAX_FILECOIN_BALANCE}")


class FilecoinBlocks:
    """The work before and after a block's messages under Filecoin's rules (`BlockRules`)."""

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """Do nothing: no work precedes a tipset's messages."""

    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        """Run cron."""
        return (tick_cron(machine),)

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        """Pay the block's reward, with the tips, and run cron."""
        return award_block(machine, producer, 0, tips, _WIN_COUNT), tick_cron(machine)

    def withdraw(self, machine: Hypervisor, withdrawals: Iterable[Withdrawal]) -> None:
        """Do nothing: `override_block` refuses withdrawals."""

    def next_base_fee(
        self, version: NetworkVersion, base_fee: int, gas_used: int, messages: Iterable[Message]
    ) -> TokenAmount:
        """Return the next base fee by the version's rule (`localnet.rules.facts`)."""
        return next_base_fee(version.base_fee, base_fee, messages)


def why_invalid(message: Message, block_gas: int) -> str:
    """Return why no block may include a message; empty if one may.

    Source: lotus chain/types/message.go, `ValidForBlockInclusion`.
    """
    for wrong, text in (
        (message.version != 0, "'Version' unsupported"),
        (message.to.protocol is Protocol.BLS and message.to.payload == _ZERO_BLS_KEY, "invalid 'To' address"),
        (message.value < 0, "'Value' field cannot be negative"),
        (message.value > LIMITS.value, "'Value' field cannot be greater than total filecoin supply"),
        (message.gas_fee_cap < 0, "'GasFeeCap' field cannot be negative"),
        (message.gas_premium < 0, "'GasPremium' field cannot be negative"),
        (message.gas_premium > message.gas_fee_cap, "'GasFeeCap' less than 'GasPremium'"),
        (message.gas_limit > block_gas,
         f"'GasLimit' field cannot be greater than a block's gas limit ({message.gas_limit} > {block_gas})"),
        (message.gas_limit <= 0, f"'GasLimit' field {message.gas_limit} must be positive"),
    ):  # fmt: skip
        if wrong:
            return text
    return ""


class FilecoinMessages:
    """Admission and execution of messages under Filecoin's rules (`MessageRules`)."""

    message_from, carry = staticmethod(message_from), staticmethod(signed_message)

    def gas_limit(self, machine: Hypervisor) -> Gas:
        """Return a block's gas limit."""
        return LIMITS.block_gas

    def check(
        self, machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount, *, is_capped: bool = True
    ) -> None:
        """Check size, fees, and the gas for inclusion on chain."""
        message, length = candidate.bare, candidate.message.chain_length()
        if length > MAX_MESSAGE_BYTES:
            raise TransactionRefused("size", f"oversized data: message of {length} bytes, at most {MAX_MESSAGE_BYTES}")
        if message.gas_premium > message.gas_fee_cap:
            raise TransactionRefused("fee", "max priority fee per gas higher than max fee per gas")
        if message.gas_limit > BLOCK_GAS_LIMIT:
            raise TransactionRefused("gas", f"exceeds block gas limit: {message.gas_limit} > {BLOCK_GAS_LIMIT}")
        needed = inclusion_gas(machine, length)
        if message.gas_limit < needed:
            text = f"intrinsic gas too low: have {message.gas_limit}, want {needed}"
            raise TransactionRefused("gas", f"{text}; {LIMITS.gas_advice}")
        if invalid := why_invalid(message, BLOCK_GAS_LIMIT):
            raise TransactionRefused("invalid", f"message not valid for block inclusion: {invalid}")
        if message.gas_fee_cap < base_fee:
            raise TransactionRefused(
                "fee", f"max fee per gas less than block base fee: {message.gas_fee_cap} < {base_fee} attoFIL"
            )

    def sender(self, machine: Hypervisor, address: Address) -> SenderInfo | None:
        """Return the sender; accounts and unused placeholders can send."""
        actor = machine.actor(address)
        if actor is None:
            return None
        name = machine.manifest.name_of(actor.code)
        if name in ("account", "ethaccount"):
            return SenderInfo(actor.nonce, actor.balance, True)
        return SenderInfo(nonce_of_actor(machine, actor), actor.balance, name == "placeholder" and actor.nonce == 0)

    def address_of(self, machine: Hypervisor, actor: ActorID) -> EthAddress:
        """Return the actor's delegated address, or its masked ID."""
        return address_of_actor(machine.state_tree, actor)

    def authorization_nonce(self, machine: Hypervisor, authority: EthAddress) -> int | None:
        """Return None: no message has authorizations."""
        return None

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply the message with the machine's executor."""
        return machine.apply(candidate.message)

    def apply_unpaid(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply the message implicitly. As in Ethereum, the nonce is incremented before contracts are created."""
        message = candidate.bare
        set_nonce(machine, message.from_, message.nonce + 1)
        return machine.apply_implicit(message)

    def apply_simulated(self, machine: Hypervisor, candidate: Candidate, *, is_paid: bool) -> ApplyResult:
        """Apply the message as in a block: a sender that can send messages is checked and pays."""
        sender = self.sender(machine, candidate.bare.from_)
        message = replace(candidate.bare, nonce=0 if sender is None else sender.nonce)
        candidate = replace(candidate, message=replace(candidate.message, message=message))
        pays = sender is None or sender.sends
        return self.apply(machine, candidate) if pays else self.apply_unpaid(machine, candidate)


class FilecoinStateCalls:
    """Calls and tracers under Filecoin's rules (`StateCallRules`)."""

    def __init__(self, messages: MessageRules) -> None:
        self._messages = messages

    def call(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallOutcome:
        """Apply the message implicitly at the block gas limit, ignoring the request's gas and fees."""
        message = self._message(machine, request, limit or LIMITS.call_gas)
        return _call_outcome(message, machine.apply_implicit(message))

    def call_as_message(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallOutcome:
        """Execute the request as a block would, without fees."""
        message = self._message(machine, request, limit)
        length = message.chain_length()
        sender = self._messages.sender(machine, message.from_)
        if sender is not None and sender.sends:
            return _call_outcome(message, machine.apply(message, length))
        # A contract or a built-in actor sends no messages: the same call without the sender's checks, and the price
        # of carrying it added.
        inclusion = inclusion_gas(machine, length)
        if limit <= inclusion:
            return _call_outcome(message, machine.apply(message, length))
        set_nonce(machine, message.from_, message.nonce + 1)
        result = machine.apply_implicit(replace(message, gas_limit=Gas(limit - inclusion)))
        paid = replace(result, receipt=replace(result.receipt, gas_used=Gas(result.gas_used + inclusion)))
        return _call_outcome(message, paid)

    def transaction_gas(self, machine: Hypervisor, request: CallRequest, result: ApplyResult) -> tuple[Gas, Gas]:
        """Return the limit of calls, and the gas used with that of the message's inclusion in a block."""
        length = self._message(machine, request, LIMITS.call_gas).chain_length()
        return LIMITS.call_gas, Gas(result.gas_used + inclusion_gas(machine, length))

    def adapt_tracer(self, tracer: Tracer) -> Tracer:
        """Return the tracer unchanged."""
        return tracer

    def _message(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> Message:
        """Return the request as a message; a sender without an actor becomes a placeholder (inside a trial)."""
        sender = to_filecoin(request.sender)
        state = sender_of(machine, sender)
        transaction = Transaction(
            type=SET_CODE if request.authorizations else DYNAMIC_FEE,
            chain_id=machine.context.chain_id,
            nonce=0 if state is None else nonce_of_actor(machine, state),
            to=request.to,
            value=request.value,
            data=request.data,
            gas_limit=limit,
            max_fee=0,
            max_priority_fee=0,
            authorizations=request.authorizations,
        )
        return self._messages.message_from(transaction, sender)


class FilecoinViews:
    """JSON fields of blocks and receipts under Filecoin's rules (`ViewRules`)."""

    def block_fields(self, tipset: Tipset) -> Mapping[str, Any]:
        """Return the base fee: blocks are Lotus's."""
        return {"baseFeePerGas": hex(tipset.base_fee)}

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Return a root of zeros, as Lotus does."""
        return {"root": f"0x{bytes(32).hex()}"}

    def receipt_contract(self, receipt: TransactionReceipt) -> EthAddress | None:
        """Return the created contract: None for a failed transaction, and for one with a receiver, as in Lotus."""
        return receipt.contract_address if receipt.candidate.to is None else None

    def exit_text(self, exit_code: int) -> str:
        """Return no text: the exit code's own name is used."""
        return ""

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
        """Return the failure text in Lotus's form."""
        return failure_text(exit_code, data, reason or words, revert, native=native)

    def allowance_text(self, highest: Gas) -> str:
        """Return Lotus's text for an estimate that runs out of gas (lotus 1.38, lotus#13911)."""
        return f"out of gas: gas required exceeds: {highest}"


def inclusion_gas(machine: Hypervisor, length: int) -> int:
    """Return the gas to carry a message of `length` bytes on chain, which its limit must cover."""
    return -(-machine.context.network.prices.message_inclusion(length) // MILLIGAS_PER_GAS)


def award_block(machine: Hypervisor, producer: Address, penalty: int, tips: int, win_count: int) -> ImplicitResult:
    """Award a block with `win_count` wins: its producer owes the penalty and gets the tips, both in attoFIL."""
    params = encode([producer.to_bytes(), encode_bigint(penalty), encode_bigint(tips), win_count])
    return _implicit(machine, REWARD_ACTOR, _AWARD_BLOCK_REWARD, params, _REWARD_GAS)


def tick_cron(machine: Hypervisor) -> ImplicitResult:
    """Run an epoch's cron."""
    return _implicit(machine, CRON_ACTOR, _EPOCH_TICK, b"", _CRON_GAS)


def _implicit(machine: Hypervisor, to: ActorID, method: MethodNumber, params: bytes, gas: Gas) -> ImplicitResult:
    """Execute an implicit message with the limit `gas`; the gas limit of its canonical form is 0 (FIP-0107)."""
    epoch, system = machine.context.epoch, Address.id(SYSTEM_ACTOR)
    message = Message(Address.id(to), system, nonce=epoch, method=method, params=params, gas_limit=Gas(0))
    result = machine.apply_implicit(replace(message, gas_limit=gas))
    if result.exit_code != ExitCode.OK:  # on the network the tipset would be invalid
        raise result.fatal or Fatal(f"f0{to} exited with {result.exit_code} in the epoch's work: {result.message}")
    return ImplicitResult(message, result)


def sender_of(machine: Hypervisor, sender: Address) -> ActorState | None:
    """Return the sender's actor of a call; a missing one becomes a placeholder, to be reverted."""
    state = machine.actor(sender)
    if state is None and sender.protocol is Protocol.DELEGATED:
        tree = machine.state_tree
        state = ActorState(machine.manifest.code("placeholder"), delegated_address=sender)
        tree.set_actor(tree.register_address(sender), state)
    return state


def _call_outcome(message: Message, result: ApplyResult) -> CallOutcome:
    return CallOutcome(result, return_bytes(message, result.receipt))
