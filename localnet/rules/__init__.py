"""Everything in which a network's sets of rules differ, behind one protocol: `rules_of` a machine says which it has.

The rest of this package asks the object, and never which rules they are. What the machine itself does otherwise is its
executor's (`hypervisor.rules`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from bridge.ethereum_block import EthereumBlock
from hypervisor.context import FILECOIN
from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from bridge.addresses import EthAddress
    from bridge.ethereum_execution import ForkFacts
    from bridge.transactions import SignedTransaction
    from hypervisor.address import Address
    from hypervisor.executor import ApplyResult
    from hypervisor.machine import Hypervisor
    from hypervisor.message import Message, SignedMessage
    from hypervisor.state_tree import ActorState
    from hypervisor.tracing import Tracer
    from hypervisor.types import Gas, TokenAmount
    from localnet.ledger.block_settings import BlockSettings
    from localnet.ledger.candidates import Candidate
    from localnet.ledger.records import Tipset, TransactionReceipt
    from localnet.rules.base_fee import GasBid
    from localnet.rules.call_request import BlockOverride, CallRequest

ETHEREUM = "ethereum"
ENTRY_POINT_GROUP = "hypervisor.network_rules"
"""A name, and what makes the rules of a fork and a block gas limit (`rules_named`). Another set registers here and its
machine part under `hypervisor.rules`, by the same name.
"""


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """An actor as a sender: its next nonce, its attoFIL, and whether it is of a kind that sends and pays itself."""

    nonce: int
    balance: TokenAmount
    sends: bool


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What a call did, and the bytes that an Ethereum caller sees."""

    result: ApplyResult
    data: bytes


class NetworkRules(Protocol):
    """One set of rules. Gas in the rules' own, money in attoFIL, fees in attoFIL per gas."""

    name: str
    hardfork: str
    """The fork of Ethereum, where the rules have one; empty otherwise."""
    chain_id: int
    """Of a new network that is given none."""
    block_gas_limit: Gas
    request_gas_cap: Gas
    """What a request may use that executes something and keeps nothing: a call, an estimate, a simulation as a whole.

    It bounds the node's time and memory where blocks have no such bound.
    """
    call_gas_limit: Gas
    """The limit of a call that names none: a block's, within the cap."""
    message_gas: Gas
    """The limit of a message whose sender says none."""
    generous_gas: Gas
    """The limit of a message that may need much: a new actor, an installation."""
    has_null_rounds: bool
    """Whether heights without a block are the network's own; else a simulation puts blocks there."""
    simulated_block_time: int
    """Seconds between blocks that are simulated at no time of their own."""
    first_base_fee: TokenAmount
    premium: TokenAmount
    """What is proposed as premium."""
    follows_tips: bool
    """Whether the smallest tip of the newest block is proposed where that is more than `premium`."""
    empty_reward: TokenAmount
    """The reward that a history of fees gives for a block without messages."""
    headroom: tuple[int, int]
    """An estimate is so much (a fraction) above what was used."""
    accuracy: int
    """An estimate that had to be searched for is right to this part of itself."""
    largest_transaction: int
    """Bytes that a signed transaction may have."""
    has_official_evm: bool
    """Whether a bundle's own EVM actor may run contracts."""
    has_access_lists: bool
    has_filecoin_blocks: bool
    """Whether a block's reward and cron follow its messages."""
    blob_base_fee: TokenAmount | None
    """attoFIL for one blob gas, where there is such a thing."""
    has_pending_block: bool
    """Whether the tag `pending` means the block to come; else it is the head."""
    has_bare_storage: bool
    """Whether an address without code may have storage, which is then set by hand."""
    has_settings: bool
    """Whether what `BlockSettings` names can be set."""
    keeps_all_reasons: bool
    """Whether a failure always carries its callee's reason; else an engine may run calls in one go and keep none."""
    gas_advice: str
    """Where enough gas is to be had, for one whose transaction had too little; empty where every tool knows."""

    # --- blocks -----------------------------------------------------------------------------------------------

    def prepare(self, machine: Hypervisor) -> None:
        """Let a machine that was opened know what these rules know of every block."""

    def begin(self, machine: Hypervisor) -> None:
        """Put into a new state what these rules expect in it."""

    def fork_facts(self, machine: Hypervisor) -> ForkFacts | None:
        """What the fork of Ethereum offers, where the rules have one."""

    def transaction_gas_limit(self, machine: Hypervisor) -> Gas:
        """The most that one transaction may use."""

    def first_settings(self, machine: Hypervisor) -> BlockSettings:
        """The settings of a new network's first block."""

    def apply_settings(self, machine: Hypervisor, settings: BlockSettings) -> None:
        """Put a block's settings into the machine's context, without the chain id, which every context has."""

    def gas_limit_of(self, tipset: Tipset) -> Gas:
        """The gas limit of a block of the chain."""

    def suppose(self, machine: Hypervisor, block: BlockOverride) -> None:
        """Let a machine suppose of a block what only these rules know. Raises InvalidInput for what they do not."""

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """What happens before a block's messages."""

    def null_round(self, machine: Hypervisor) -> None:
        """What happens in an epoch without a block."""

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> None:
        """What happens behind a block's messages, which paid so many attoFIL as tips."""

    def next_base_fee(self, version: int, base_fee: int, gas_used: int, bids: Iterable[GasBid]) -> TokenAmount:
        """The base fee behind a block with these messages; `version` is the network's of the block to come."""

    def block_fields(self, tipset: Tipset) -> Mapping[str, Any]:
        """What a block shows in JSON otherwise than Lotus would, or besides."""

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """The same of a receipt."""

    def receipt_contract(self, receipt: TransactionReceipt) -> EthAddress | None:
        """The contract that a receipt names as created by its transaction."""

    # --- messages ---------------------------------------------------------------------------------------------

    def carried(self, signed: SignedTransaction, sender: EthAddress) -> SignedMessage:
        """The message that carries a transaction. Raises TransactionError where none does."""

    def check(self, machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount) -> None:
        """Whether a block may hold a message, whatever its sender. Raises TransactionRefused."""

    def standing(self, machine: Hypervisor, actor: ActorState) -> SenderInfo:
        """What an actor is as a sender."""

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply a message of a sender that pays. Raises TransactionRefused."""

    def apply_unpaid(self, machine: Hypervisor, message: Message) -> ApplyResult:
        """Apply a message in the name of an actor that sends none, without fees; it counts one further.

        Raises TransactionRefused.
        """

    def try_out(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply a message of a simulation that does not look at nonces and fees. Raises TransactionRefused."""

    def end_words(self, exit_code: int) -> str:
        """How an execution ended, where these rules have words of their own for an exit code; else nothing."""

    def failure_text(self, exit_code: int, data: bytes, words: str, reason: str = "") -> str:
        """A failed execution in words; `data` is revert data, `words` the machine's, `reason` those of a callee."""

    def allowance_text(self, highest: Gas) -> str:
        """What an estimate says that runs out of gas at the highest limit there is; nothing: what any failure says."""

    # --- questions --------------------------------------------------------------------------------------------

    def ask(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallAnswer:
        """What a call answers; taking it back is the caller's. Raises TransactionRefused where it cannot be made."""

    def attempt(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallAnswer:
        """What would come of a request as a message of a block, without fees. Raises TransactionRefused."""

    def heard(self, tracer: Tracer) -> Tracer:
        """A tracer that takes these rules' events and tells its inner one gas as if it were the network's."""


def rules_of(machine: Hypervisor) -> NetworkRules:
    """The rules of a machine."""
    block = machine.context.block
    if isinstance(block, EthereumBlock):
        return rules_named(machine.context.rules, block.fork, block.gas_limit)
    return rules_named(machine.context.rules)


def rule_names() -> tuple[str, ...]:
    """The names of the sets of rules that are installed, the network's own first."""
    return tuple(sorted(entry_points(group=ENTRY_POINT_GROUP).names, key=lambda name: (name != FILECOIN, name)))


@lru_cache
def rules_named(name: str, hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    """The rules of a name, with a fork of Ethereum where they have one (empty: the newest). Raises InvalidInput.

    `gas_limit` is that of blocks, where it can be set (None: as the rules have it).
    """
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        rules: NetworkRules = entry_point.load()(hardfork, gas_limit)
        return rules
    raise InvalidInput(f"rules '{name}' are not known: choose one of {', '.join(rule_names())}")
