"""The base fee of the next tipset, in attoFIL per gas.

The row of a network version selects one of two rules (`hypervisor.versions.network_versions.BaseFee`). Source: lotus
chain/store/basefee.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hypervisor.types import TokenAmount
from hypervisor.versions.network_versions import BaseFee

BLOCK_GAS_LIMIT: Final = 10_000_000_000
MINIMUM_BASE_FEE: Final = TokenAmount(100)
_CHANGE_DENOMINATOR = 8
_PERCENTILE = 80


@dataclass(frozen=True, slots=True)
class GasBid:
    """Offer of one message of the tipset: gas limit, premium and fee cap (attoFIL per gas)."""

    gas_limit: int
    premium: int
    fee_cap: int


def next_base_fee(rule: BaseFee, base_fee: int, bids: Iterable[GasBid], blocks: int = 1) -> TokenAmount:
    """Return the base fee after a tipset of `blocks` blocks with these `bids`, one for each message."""
    if rule is BaseFee.FULLNESS:
        return _by_fullness(base_fee, sum(bid.gas_limit for bid in bids), blocks)
    premiums = [(max(0, min(bid.premium, bid.fee_cap - base_fee)), bid.gas_limit) for bid in bids]
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
