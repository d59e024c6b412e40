"""Methods about the price of gas, in attoFIL per unit of gas as the network's rules count it."""

from __future__ import annotations

from typing import Any

from bridge.ethereum.transactions import GAS_PER_BLOB
from localnet.chain.tips import tips_of
from localnet.ledger.records import Tipset
from localnet.rpc.blocks_and_null_rounds import BlockRef, number_or_tag, resolve
from localnet.rpc.errors import invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import as_quantity, list_of, number

MAX_HISTORY = 1_024
"""Maximum number of blocks in a response of `eth_feeHistory`."""
MAX_PERCENTILES = 100


def gas_price(node: NodeReader) -> str:
    """Return the suggested gas price: the next base fee and the premium of `eth_maxPriorityFeePerGas`."""
    node.require_small_read(len(node.network.head.transactions))
    return as_quantity(node.network.gas_price)


def max_priority_fee(node: NodeReader) -> str:
    """Return the suggested premium; under Ethereum's rules the newest block's smallest tip, at least the minimum."""
    node.require_small_read(len(node.network.head.transactions))
    return as_quantity(node.network.suggested_premium)


def base_fee(node: Node) -> str:
    """Return the base fee of the next block."""
    return as_quantity(node.network.base_fee)


def fee_history(
    node: NodeReader, count: int, newest: BlockRef, percentiles: list[float] | None = None
) -> dict[str, Any]:
    """Return base fees, gas ratios and premiums (by percentile of gas) of up to 1,024 blocks up to the newest one.

    Premiums are at least the current minimum (`anvil_setMinGasPrice`), because clients propose these values. Under
    Ethereum's rules, other block counts have geth's results: none for 0, and 1,024 blocks for more. Before Cancun the
    blob fees and ratios are 0, as in geth (go-ethereum eth/gasprice/feehistory.go).
    """
    blobs = node.network.rules.blobs
    if blobs is None and not 1 <= count <= MAX_HISTORY:
        raise invalid_params(f"block count {count} is not between 1 and {MAX_HISTORY}")
    if not count:
        return {"oldestBlock": "0x0", "gasUsedRatio": None}
    if blobs is not None and len(set(percentiles or ())) < len(percentiles or ()):
        raise invalid_params("percentiles must ascend, without equal ones")
    tipsets = _back_from(node, resolve(node.network, newest, or_older=True), min(count, MAX_HISTORY))
    history: dict[str, Any] = {
        "oldestBlock": as_quantity(tipsets[0].height),
        "baseFeePerGas": [as_quantity(fee) for fee in (*(t.base_fee for t in tipsets), tipsets[-1].next_base_fee)],
        "gasUsedRatio": [tipset.gas_used / node.network.rules.settings.gas_limit_of(tipset) for tipset in tipsets],
    }
    if blobs is not None:
        settings = [*(tipset.settings for tipset in tipsets), tipsets[-1].next_settings]
        limit = blobs.maximum * GAS_PER_BLOB
        blob_fees = [blobs.base_fee(one.excess_blob_gas) if limit else 0 for one in settings]
        history["baseFeePerBlobGas"] = [*map(as_quantity, blob_fees)]
        history["blobGasUsedRatio"] = [tipset.blob_gas_used / limit if limit else 0.0 for tipset in tipsets]
    if percentiles is not None:
        history["reward"] = [_rewards(node, tipset, percentiles) for tipset in tipsets]
    return history


def percentile(value: Any) -> float:
    """Read a number from 0 to 100."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise invalid_params(f"percentile {value!r} is not between 0 and 100")
    return float(value)


def percentiles(value: Any) -> list[float]:
    """Read at most a hundred percentiles, ascending."""
    given: list[float] = list_of(percentile, MAX_PERCENTILES)(value)
    if sorted(given) != given:
        raise invalid_params("percentiles must ascend")
    return given


def _back_from(node: NodeReader, newest: Tipset, count: int) -> list[Tipset]:
    """Return up to `count` tipsets ending with `newest`, oldest first; null rounds do not count."""
    tipsets = [newest]
    while len(tipsets) < count and tipsets[-1].parent >= 0:
        tipsets.append(node.network.chain.index.tipset(tipsets[-1].parent))
    return tipsets[::-1]


def _rewards(node: NodeReader, tipset: Tipset, wanted: list[float]) -> list[str]:
    """Return the premium at each percentile of the tipset's gas; the rules' default if the tipset has no message."""
    paid, rules = tips_of(node.network.chain.index, tipset), node.network.rules.fees
    if not paid:
        found: list[int] = [rules.empty_reward] * len(wanted)
    else:
        found = [
            at_percentile(paid, tipset.gas_used, share, counts_own=rules.reward_counts_own_gas) for share in wanted
        ]
    return [as_quantity(max(premium, node.network.min_premium)) for premium in found]


def at_percentile(paid: list[tuple[int, int]], total: int, share: float, *, counts_own: bool) -> int:
    """Return the first premium, of (premium, gas) in ascending order, by which a share of the total gas is reached.

    The gas of the messages before it is counted, and its own with `counts_own` (`Fees.reward_counts_own_gas`).
    """
    threshold, passed = int(total * share / 100), 0
    for premium, gas in paid:
        if passed + (gas if counts_own else 0) >= threshold:
            return premium
        passed += gas
    return paid[-1][0]


METHODS = (
    Method("eth_gasPrice", (), gas_price, reads=True, short=True),
    Method("eth_maxPriorityFeePerGas", (), max_priority_fee, reads=True, short=True),
    Method("eth_baseFee", (), base_fee, inline=True),
    Method("eth_feeHistory", (number, number_or_tag, optional(percentiles)), fee_history, reads=True),
)
