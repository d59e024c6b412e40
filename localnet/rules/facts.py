"""What is constant in a set of rules: limits, fees, simulations, features. Gas in the rules' own, money in attoFIL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.transactions import TransactionError, check_type
from hypervisor.types import Gas, TokenAmount
from localnet.errors import TransactionRefused


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """What blocks, requests and messages may use."""

    block_gas: Gas
    request_gas: Gas
    """What a request may use that executes something and keeps nothing: a call, an estimate, a simulation as a whole.

    It bounds the node's time and memory where blocks have no such bound.
    """
    call_gas: Gas
    """The limit of a call that names none: a block's, within the request's."""
    message_gas: Gas
    """The limit of a message whose sender says none."""
    large_message_gas: Gas
    """The limit of a message that may need much: a new actor, an installation."""
    transaction_bytes: int
    """Bytes that a signed transaction may have."""
    gas_advice: str = ""
    """Where enough gas is to be had, for one whose transaction had too little; empty where every tool knows."""


@dataclass(frozen=True, slots=True)
class Fees:
    """What messages pay for gas, in attoFIL per gas."""

    first_base_fee: TokenAmount
    premium: TokenAmount
    """What is proposed as premium."""
    follows_tips: bool
    """Whether the smallest tip of the newest block is proposed where that is more than `premium`."""
    empty_reward: TokenAmount
    """The reward that a history of fees gives for a block without messages."""
    blob_base_fee: TokenAmount | None = None
    """For one blob gas, where there is such a thing."""


@dataclass(frozen=True, slots=True)
class Simulations:
    """How estimates and simulated blocks are made."""

    estimate_margin: tuple[int, int]
    """An estimate is this much (a fraction) above what was used."""
    estimate_precision: int
    """An estimate that had to be searched for is right to this part of itself."""
    block_time: int
    """Seconds between blocks that are simulated at no time of their own."""


@dataclass(frozen=True, slots=True)
class Features:
    """What there is under the rules."""

    has_null_rounds: bool
    """Whether heights without a block are the network's own; else a simulation puts blocks there."""
    has_official_evm: bool
    """Whether a bundle's own EVM actor may run contracts."""
    has_access_lists: bool
    transaction_types: tuple[int, ...]
    """The types of Ethereum transactions that are accepted."""
    has_filecoin_blocks: bool
    """Whether a block's reward and cron follow its messages."""
    has_pending_block: bool
    """Whether the tag `pending` means the block to come; else it is the head."""
    allows_bare_storage: bool
    """Whether an address without code may have storage, which is then set without a message."""
    has_settings: bool
    """Whether what `BlockSettings` names can be set."""
    keeps_all_reasons: bool
    """Whether a failure always carries its callee's reason; else an engine may run calls in one go and keep none."""
    refused_types: Mapping[int, str] = field(default_factory=dict)
    """Why other types of transactions are refused, where there is a reason to name."""

    def check_type(self, kind: int) -> None:
        """Raise TransactionRefused for a type of transaction that is not accepted."""
        try:
            check_type(kind, self.transaction_types, self.refused_types.get(kind, ""))
        except TransactionError as error:
            raise TransactionRefused("type", str(error)) from None
