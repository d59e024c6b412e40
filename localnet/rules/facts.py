"""Constants of a set of rules: limits, fees, simulations, features. Gas is the rules' own, amounts are in attoFIL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.ethereum.transactions import TransactionError, check_type
from hypervisor.types import Gas, TokenAmount
from localnet.errors import TransactionRefused


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """Limits of blocks, requests and messages."""

    block_gas: Gas
    request_gas: Gas
    """Gas limit of a request without effect: a call, an estimate, or a whole simulation.

    It limits the node's time and memory if blocks have no limit.
    """
    call_gas: Gas
    """Default gas limit of a call: the block's, within `request_gas`."""
    message_gas: Gas
    """Default gas limit of a message."""
    large_message_gas: Gas
    """Default gas limit of an expensive message: creation of an actor, installation of code."""
    transaction_bytes: int
    """Maximum size of a signed transaction in bytes."""
    balance: TokenAmount
    """Maximum balance that can be given to an account, in attoFIL."""
    value: TokenAmount
    """Maximum value of a message, in attoFIL."""
    batch: int = 1_000
    """Maximum number of requests in a JSON-RPC batch."""
    gas_advice: str = ""
    """Hint for the error of a transaction with too little gas; empty if none is needed."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Gas fees of messages, in attoFIL per gas."""

    first_base_fee: TokenAmount
    premium: TokenAmount
    """Suggested premium."""
    follows_tips: bool
    """True if the smallest tip of the newest block is suggested when it exceeds `premium`."""
    empty_reward: TokenAmount
    """Reward that `eth_feeHistory` reports for a block without messages."""
    reward_counts_own_gas: bool
    """True if a message's own gas counts towards its percentile in `eth_feeHistory`."""


@dataclass(frozen=True, slots=True)
class Simulations:
    """Options of estimates and simulated blocks."""

    estimate_margin: tuple[int, int]
    """Safety margin of an estimate above the gas used, as numerator and denominator."""
    estimate_precision: int
    """Maximum relative error of an estimate found by search."""
    block_time: int
    """Seconds between simulated blocks without an explicit time."""


@dataclass(frozen=True, slots=True)
class Features:
    """Features of the rules."""

    has_null_rounds: bool
    """True if heights without a block are part of the network; otherwise a simulation fills them with blocks."""
    has_official_evm: bool
    """True if the bundle's own EVM actor may run contracts."""
    has_access_lists: bool
    transaction_types: tuple[int, ...]
    """The types of Ethereum transactions that are accepted."""
    has_filecoin_blocks: bool
    """True if a block's reward and cron follow its messages."""
    has_pending_block: bool
    """True if the tag `pending` means the next block; otherwise it is the head."""
    every_account_has_code: bool
    """True if state diffs show the code `0x` for accounts without code; otherwise they show no code."""
    allows_bare_storage: bool
    """True if an address without code may have storage, which can be set without a message."""
    has_settings: bool
    """True if the fields of `BlockSettings` can be set."""
    keeps_all_reasons: bool
    """True if a failure always includes the callee's reason; otherwise an engine may run a call tree without it."""
    refused_types: Mapping[int, str] = field(default_factory=dict)
    """Reasons for rejecting other transaction types, where one is known."""

    def check_type(self, kind: int) -> None:
        """Raise TransactionRefused for a type of transaction that is not accepted."""
        try:
            check_type(kind, self.transaction_types, self.refused_types.get(kind, ""))
        except TransactionError as error:
            raise TransactionRefused("type", str(error)) from None
