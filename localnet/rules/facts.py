"""Facts of a set of rules: features, fees, limits, simulations, the base fee, and the requests of calls.

Gas is the rules' own, amounts are in attoFIL. The base fee of the next tipset is in attoFIL per gas. The row of a
network version selects one of two rules (`hypervisor.versions.network_versions.BaseFee`). Source: lotus
chain/store/basefee.go. The request of a call and its block overrides are independent of the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.block import Withdrawal
from bridge.ethereum.transactions import AccessList, Authorization, TransactionError, check_type
from hypervisor.messages.message import Message
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from hypervisor.versions.network_versions import BaseFee
from localnet.errors import TransactionRefused

BLOCK_GAS_LIMIT: Final = 10_000_000_000
MINIMUM_BASE_FEE: Final = TokenAmount(100)
_CHANGE_DENOMINATOR = 8
_PERCENTILE = 80


def next_base_fee(rule: BaseFee, base_fee: int, messages: Iterable[Message], blocks: int = 1) -> TokenAmount:
    """Return the base fee after a tipset of `blocks` blocks with these messages."""
    if rule is BaseFee.FULLNESS:
        return _by_fullness(base_fee, sum(each.gas_limit for each in messages), blocks)
    premiums = [(max(0, min(each.gas_premium, each.gas_fee_cap - base_fee)), each.gas_limit) for each in messages]
    return by_premium(base_fee, percentile_premium(premiums))


def percentile_premium(premiums: Iterable[tuple[int, int]]) -> int:
    """Return the premium that more than a fifth of the block's gas does not exceed, of (premium, gas limit)."""
    wanted, passed = BLOCK_GAS_LIMIT * _PERCENTILE // 100, 0
    for premium, gas in sorted(premiums, reverse=True):
        passed += gas
        if passed >= wanted:
            return premium
    return 0


def by_premium(base_fee: int, premium: int) -> TokenAmount:
    """Apply the rule of `BaseFee.PREMIUM`."""
    largest = -(-base_fee // _CHANGE_DENOMINATOR)
    return TokenAmount(max(MINIMUM_BASE_FEE, base_fee + min(largest, premium - largest)))


def _by_fullness(base_fee: int, gas_limits: int, blocks: int) -> TokenAmount:
    half = BLOCK_GAS_LIMIT // 2
    delta = max(-half, min(half, gas_limits // blocks - half))
    change = base_fee * delta // half // _CHANGE_DENOMINATOR  # floors below zero too, as the network's division does
    return TokenAmount(max(MINIMUM_BASE_FEE, base_fee + change))


class CallRequest(NamedTuple):
    """A call request; `to` is None for a contract creation. Value in attoFIL.

    Fees (attoFIL per gas), access list, authorizations and blobs are used only if the rules support them.
    """

    to: EthAddress | None
    data: bytes = b""
    value: TokenAmount = TokenAmount(0)
    sender: EthAddress = ZERO_ADDRESS
    gas: Gas | None = None
    max_fee: int = 0
    max_priority_fee: int = 0
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_hashes: tuple[bytes, ...] = ()


class BlockOverride(NamedTuple):
    """Block fields of a call; None keeps the value. Time in Unix seconds, base fee in attoFIL per gas.

    Gas limit, fee recipient, randomness and blob base fee (attoFIL per blob gas) apply to blocks under Ethereum's rules
    only, withdrawals and the beacon root to simulated ones of these.
    """

    number: ChainEpoch | None = None
    time: int | None = None
    base_fee: TokenAmount | None = None
    gas_limit: Gas | None = None
    coinbase: EthAddress | None = None
    randomness: bytes | None = None
    blob_base_fee: TokenAmount | None = None
    withdrawals: tuple[Withdrawal, ...] | None = None
    beacon_root: bytes | None = None

    def over(self, other: BlockOverride) -> BlockOverride:
        """Return these overrides, with the other's for fields that these do not name."""
        return other._replace(**{name: value for name in self._fields if (value := getattr(self, name)) is not None})


SAME_BLOCK: Final = BlockOverride()


class RuleLimits(NamedTuple):
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
    base_fee: TokenAmount
    """Maximum base fee that can be set, in attoFIL per gas."""
    batch: int = 1_000
    """Maximum number of requests in a JSON-RPC batch."""
    gas_advice: str = ""
    """Hint for the error of a transaction with too little gas; empty if none is needed."""


class Fees(NamedTuple):
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


class Simulations(NamedTuple):
    """Options of estimates and simulated blocks."""

    estimate_margin: tuple[int, int]
    """Safety margin of an estimate above the gas used, as numerator and denominator."""
    estimate_precision: int
    """Maximum relative error of an estimate found by search."""
    block_time: int
    """Seconds between simulated blocks without an explicit time."""


class Features(NamedTuple):
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
    executor_checks_senders: bool
    """True if the executor refuses transactions that a block cannot include for their nonce, funds or fees."""
    has_geth_pool: bool
    """True if the mempool follows geth: replacements raise all fees, and what its sender cannot pay is dropped."""
    refused_types: Mapping[int, str] = {}
    """Reasons for rejecting other transaction types, where one is known."""

    def check_type(self, kind: int) -> None:
        """Raise TransactionRefused for a type of transaction that is not accepted."""
        try:
            check_type(kind, self.transaction_types, self.refused_types.get(kind, ""))
        except TransactionError as error:
            raise TransactionRefused("type", str(error)) from None
