"""The interface of a network's set of rules, the installed sets, and what all sets share.

`hypervisor.machine.rules` defines the machine's part of a set. Gas is in the units of the rules, amounts in attoFIL,
fees in attoFIL per gas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pkgutil import resolve_name
from typing import Any, NamedTuple, Protocol

from bridge.ethereum.addresses import EthAddress, ethereum_text
from bridge.ethereum.block import ETHEREUM, EthereumBlock, Withdrawal, unit_of
from bridge.ethereum.execution import BlobRules, ForkFacts
from bridge.ethereum.reverts import REVERTED, failure_text
from bridge.ethereum.transactions import SignedTransaction, Transaction
from hypervisor.exit_codes import FIRST_ACTOR_EXIT_CODE, ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import rule_set
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.tracing import Tracer
from hypervisor.types import ActorID, Gas, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion
from localnet.errors import CallFailed, CallHalted, TransactionFailed
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import BlockSettings, Tipset, TransactionReceipt
from localnet.rules.facts import BlockOverride, CallRequest, Features, Fees, RuleLimits, Simulations
from localnet.state.named_code import NamedCode


class SenderInfo(NamedTuple):
    """An actor as a sender: next nonce, balance in attoFIL, and whether it can send and pay."""

    nonce: int
    balance: TokenAmount
    sends: bool


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """Result of a call, and the returned bytes as an Ethereum caller sees them."""

    result: ApplyResult
    data: bytes


@dataclass(frozen=True, slots=True)
class ImplicitResult:
    """Result of an implicit message, and the message in the form that receipts name (FIP-0107: its gas limit is 0)."""

    message: Message
    result: ApplyResult


class SettingRules(Protocol):
    """Block settings of a machine, and facts of the Ethereum fork where the rules have one."""

    def prepare(self, machine: Hypervisor) -> None:
        """Set the block fields that these rules require, on an opened machine."""

    def begin(self, machine: Hypervisor) -> None:
        """Add the actors and contracts that these rules require to a new state."""

    def fork_facts(self, machine: Hypervisor) -> ForkFacts | None:
        """Return the facts of the Ethereum fork."""

    def first_settings(self, machine: Hypervisor) -> BlockSettings:
        """Return the settings of a new network's first block."""

    def apply_settings(self, machine: Hypervisor, settings: BlockSettings) -> None:
        """Set a block's settings in the machine's context, except for the chain ID."""

    def gas_limit_of(self, tipset: Tipset) -> Gas:
        """Return the gas limit of a block of the chain."""

    def override_block(self, machine: Hypervisor, block: BlockOverride, accounts: Iterable[EthAddress]) -> None:
        """Apply the block overrides that are specific to these rules. Raises InvalidInput for unsupported ones.

        `accounts` are the overridden ones: no precompile runs at their addresses.
        """


class BlockRules(Protocol):
    """Actions of the rules before and after a block's messages."""

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """Do the work before a block's messages."""

    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        """Do the work of an epoch without a block; return its implicit messages with their results, none or one."""

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        """Do the work after a block's messages, which paid `tips` attoFIL; return its implicit messages."""

    def withdraw(self, machine: Hypervisor, withdrawals: Iterable[Withdrawal]) -> None:
        """Pay the withdrawals of a simulated block, whose overrides may name some."""

    def next_base_fee(
        self, version: NetworkVersion, base_fee: int, gas_used: int, messages: Iterable[Message]
    ) -> TokenAmount:
        """Return the base fee after a block with these messages; `version` is the next block's network version."""


class MessageRules(Protocol):
    """Admission and execution of messages."""

    def message_from(self, transaction: Transaction, sender: Address) -> Message:
        """Return the message of a transaction in the name of any actor. Raises TransactionError."""

    def carry(self, signed: SignedTransaction, sender: EthAddress) -> SignedMessage:
        """Return the message that carries a transaction. Raises TransactionError if none does."""

    def gas_limit(self, machine: Hypervisor) -> Gas:
        """Return the maximum gas of one message."""

    def check(
        self, machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount, *, is_capped: bool = True
    ) -> None:
        """Raise TransactionRefused if a block may not include the message, whatever its sender.

        Caps of a transaction's gas below the block's limit apply only if `is_capped`.
        """

    def sender(self, machine: Hypervisor, address: Address) -> SenderInfo | None:
        """Return the sender at an address, or None if there is no actor."""

    def address_of(self, machine: Hypervisor, actor: ActorID) -> EthAddress:
        """Return the Ethereum address of an actor."""

    def authorization_nonce(self, machine: Hypervisor, authority: EthAddress) -> int | None:
        """Return the nonce for an account's next authorization; None if transactions carry none."""

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply a message of a sender that pays. Raises TransactionRefused."""

    def apply_unpaid(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply a message of an actor that cannot send, without fees; its nonce is incremented.

        Raises TransactionRefused.
        """

    def apply_simulated(self, machine: Hypervisor, candidate: Candidate, *, is_paid: bool) -> ApplyResult:
        """Apply a message of a simulation at its sender's next nonce, with fees if `is_paid`.

        Raises TransactionRefused.
        """


Rank = Callable[[Candidate], int]
"""Function that returns the sort key of a pending message, by premium or by arrival; the lowest comes first."""


class BuildingRules(Protocol):
    """Selection of pending messages for a block by other criteria than the premium."""

    def pool_class(self, machine: Hypervisor, candidate: Candidate, default: int) -> tuple[int, int]:
        """Return the number of a message's class, and the maximum number of pending messages of that class.

        `default` is the maximum without such rules.
        """

    def choose(
        self, machine: Hypervisor, queues: Sequence[Sequence[Candidate]], rank: Rank, gas_limit: int
    ) -> list[Candidate]:
        """Return the messages of the next block, with gas limits of at most `gas_limit` in total.

        A queue has the executable messages of one sender in nonce order.
        """


class StateCallRules(Protocol):
    """Calls without effect (`eth_call`, Lotus's StateCall), and tracers of executions."""

    def call(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallOutcome:
        """Execute a call; the caller discards its effects. Raises TransactionRefused if it cannot be made."""

    def call_as_message(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallOutcome:
        """Execute a request as a message of a block, without fees. Raises TransactionRefused."""

    def transaction_gas(self, machine: Hypervisor, request: CallRequest, result: ApplyResult) -> tuple[Gas, Gas]:
        """Return the gas limit of a call with this result, and the gas that it would use as a transaction."""

    def adapt_tracer(self, tracer: Tracer) -> Tracer:
        """Return a tracer that passes these rules' events to an inner one, with gas as on the network."""


class ViewRules(Protocol):
    """JSON fields of blocks and receipts, and descriptions of failures."""

    def block_fields(self, tipset: Tipset) -> Mapping[str, Any]:
        """Return the JSON fields of a block that differ from Lotus's, or are added."""

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Return the additional fields of a receipt."""

    def receipt_contract(self, receipt: TransactionReceipt) -> EthAddress | None:
        """Return the contract that a receipt names as created by its transaction."""

    def exit_text(self, exit_code: int) -> str:
        """Return the rules' own text for an exit code, or an empty string."""

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
        """Describe a failed execution; `data` is revert data, `words` the machine's message, `reason` a callee's.

        `revert` is the revert data as the contract's interface names it. The exit codes of a `native` actor have no
        names of contracts' codes.
        """

    def allowance_text(self, highest: Gas) -> str:
        """Return the text of an estimate that runs out of gas at the highest gas limit."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkRules:
    """A set of rules."""

    name: str
    chain_id: int
    """Chain id of a new network if none is given."""
    limits: RuleLimits
    fees: Fees
    simulations: Simulations
    features: Features
    settings: SettingRules
    blocks: BlockRules
    messages: MessageRules
    calls: StateCallRules
    views: ViewRules
    building: BuildingRules | None = None
    """Selection of messages; None selects the highest premiums first (`localnet.chain.mempool`)."""
    code: tuple[NamedCode, ...] = ()
    """Names of code that networks of these rules have from genesis, in addition to built-in actors."""
    hardfork: str = ""
    """Fork of Ethereum; empty under rules without forks."""
    blobs: BlobRules | None = None
    """Limits and fees of blobs; None if there are no blob transactions."""
    access_list: Callable[[Hypervisor], bytes] | None = None
    """Returns the encoded access list of a block that was executed (EIP-7928); None if blocks have no such list."""

    @property
    def unit(self) -> str:
        """Smallest unit of amounts, as errors name it."""
        return unit_of(self.name)

    def address_text(self, address: Address) -> str:
        """Return an address as errors show it: under Ethereum's rules, an f410 address as 0x..."""
        return ethereum_text(address) if self.name == ETHEREUM else str(address)

    def blob_base_fee(self, excess: int) -> int:
        """Return the blob base fee of a block with this excess of blob gas; 0 without blob transactions."""
        return 0 if self.blobs is None else self.blobs.base_fee(excess)

    def next_excess_blob_gas(self, excess: int, blob_gas_used: int, base_fee: int) -> int:
        """Return a block's excess of blob gas from its parent's figures."""
        return 0 if self.blobs is None else self.blobs.next_excess(excess, blob_gas_used, base_fee)


def rules_of(machine: Hypervisor) -> NetworkRules:
    """Return the rules of a machine."""
    block = machine.context.block
    if isinstance(block, EthereumBlock):
        return rules_named(machine.context.rules, block.fork, block.gas_limit)
    return rules_named(machine.context.rules)


@lru_cache
def rules_named(name: str, hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    """Return the rules of a name, with an Ethereum fork if they have one (empty: the newest). Raises InvalidInput.

    `gas_limit` is the block gas limit, if the rules allow one to be set (None: default).
    """
    found = rule_set(name)
    labs = (name,) if found.takes_labs else ()
    rules: NetworkRules = resolve_name(found.network)(hardfork, gas_limit, *labs)
    return rules


def exit_text(rules: NetworkRules, exit_code: int, *, native: bool) -> str:
    """Return the rules' own text for an exit code; empty if they have none, and for a `native` actor's own codes."""
    return "" if native and exit_code >= FIRST_ACTOR_EXIT_CODE else rules.views.exit_text(exit_code)


def output_of(rules: NetworkRules, outcome: CallOutcome, *, native: bool = False) -> bytes:
    """Return the returned data of a call. Raises CallFailed, and the machine's own failure.

    `native` is true for a call of a native actor.
    """
    result = outcome.result
    if result.fatal is not None:
        raise result.fatal
    if result.receipt.exit_code:
        text = partial(
            rules.views.failure_text, result.exit_code, outcome.data, result.message, result.reason, native=native
        )
        is_halt = rules.name == ETHEREUM and result.exit_code != ExitCode.EVM_CONTRACT_REVERTED
        raise (CallHalted if is_halt else CallFailed)(result.exit_code, outcome.data, result.message, text)
    return outcome.data


def vm_error(rules: NetworkRules, exit_code: int, data: bytes, message: str, *, creates: bool = False) -> str:
    """Return geth's text for a failed execution; `message` is the machine's."""
    if exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        return REVERTED
    if text := failure_text(exit_code, message, creates=creates) if rules.hardfork else "":
        return text
    return f"vm execution error: {rules.views.failure_text(exit_code, data, message)}"


def native_output_of(rules: NetworkRules, result: ApplyResult) -> bytes:
    """Return the return value of a native actor's method, in CBOR. Raises like `output_of`."""
    return output_of(rules, CallOutcome(result, result.return_data), native=True)


def transaction_failed(rules: NetworkRules, receipt: TransactionReceipt) -> TransactionFailed:
    """Return the error of a transaction in a block whose execution failed."""
    describe = partial(rules.views.failure_text, native=receipt.is_native)
    text = partial(describe, receipt.exit_code, receipt.return_data, receipt.error_message, "")
    return TransactionFailed(receipt, text)
