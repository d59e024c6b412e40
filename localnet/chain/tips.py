"""Tips of a block's messages above its base fee, and the suggestion derived from them, in attoFIL per gas."""

from __future__ import annotations

from operator import itemgetter

from hypervisor.types import TokenAmount
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.rules.parts import NetworkRules


def tips_of(index: ChainIndex, tipset: Tipset) -> list[tuple[int, int]]:
    """Return (tip, gas used) of each message of a tipset, the smallest tip first, equal ones in order of execution."""
    paid: list[tuple[int, int]] = []
    for receipt in index.receipts(tipset):
        message = receipt.execution.message.message
        tip = max(0, min(message.gas_premium, message.gas_fee_cap - tipset.base_fee))
        paid.append((tip, receipt.gas_used))
    return sorted(paid, key=itemgetter(0))


def suggested_premium(index: ChainIndex, head: Tipset, rules: NetworkRules) -> TokenAmount:
    """Return the rules' premium, or the smallest tip of the head's messages if tips count and it is higher.

    Source: anvil's answers to eth_maxPriorityFeePerGas, which fall back to the usual premium after an empty block.
    """
    paid = tips_of(index, head) if rules.fees.follows_tips else []
    return max(rules.fees.premium, TokenAmount(paid[0][0])) if paid else rules.fees.premium
