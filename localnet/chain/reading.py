"""Read access to a network: parameters, blocks, receipts, and tips.

The tips of a block's messages above its base fee, and the suggestion derived from them, are in attoFIL per gas.
`BlockProduction` also builds blocks. `NetworkView` reads a network on another thread (`localnet.chain.view`).
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import ChainEpoch, TokenAmount, whole_number
from hypervisor.versions.overlay import Overlay
from localnet.chain.mempool import PendingMessages
from localnet.chain.view import ChainReader, ChainView
from localnet.errors import UnknownBlock, UnknownTransaction
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import GENESIS_PARENT, Tipset, TransactionReceipt
from localnet.rules.parts import NetworkRules
from localnet.state.controls import nonce_of


def tips_of(receipts: Iterable[TransactionReceipt]) -> list[tuple[int, int]]:
    """Return (tip, gas used) of each message of a tipset, the smallest tip first, equal ones in order of execution."""
    paid: list[tuple[int, int]] = []
    for receipt in receipts:
        message = receipt.candidate.bare
        tip = max(0, min(message.gas_premium, message.gas_fee_cap - receipt.tipset.base_fee))
        paid.append((tip, receipt.gas_used))
    return sorted(paid, key=itemgetter(0))


def suggested_premium(index: ChainIndex, head: Tipset, rules: NetworkRules, blocks: int = 1) -> TokenAmount:
    """Return the premium for inclusion in the next `blocks` blocks, in attoFIL per gas.

    Under rules whose tips count it is the smallest tip of the head's messages, and at least their premium (anvil's
    answers to eth_maxPriorityFeePerGas).
    """
    least = rules.fees.premium
    if rules.fees.follows_tips:
        paid = tips_of(index.receipts(head))
        return max(least, TokenAmount(paid[0][0])) if paid else least
    count = min(max(blocks, 1), _MAX_GAS_HISTORY)
    prices: list[tuple[int, int]] = []
    seen, tipset = 0, head
    while seen < 2 * count and tipset.parent >= index.first:
        tipset = index.tipset(tipset.parent)
        messages = (receipt.candidate.bare for receipt in index.receipts(tipset))
        prices += [(message.gas_premium, message.gas_limit) for message in messages]
        seen += 1
    found = _median_premium(prices, seen * rules.limits.block_gas // 2)
    return TokenAmount(found if found >= least else least * _EMPTY_BLOCKS.get(count, 2) // 2)


_MAX_GAS_HISTORY: Final = 128
_EMPTY_BLOCKS: Final = {1: 4, 2: 3}
"""Twice the factor of the least premium for inclusion in one and in two blocks, if the median is below it."""


def _median_premium(prices: list[tuple[int, int]], target: int) -> int:
    """Return the premium at 52.5 % of the gas that blocks target, from the highest one on.

    Source: lotus node/impl/gasutils, `medianGasPremium`; its noise of about 1 % is left out.
    """
    left = target // 2 + target // 40
    last = before = 0
    for premium, limit in sorted(prices, key=itemgetter(0), reverse=True):
        last, before = premium, last
        left -= limit
        if left < 0:
            break
    return (last + before) // 2 if before else last


class NetworkReader:
    """A chain and its pending messages."""

    chain: ChainReader
    mempool: PendingMessages

    @property
    def machine(self) -> Hypervisor:
        """Machine at the head's state."""
        return self.chain.machine

    @property
    def chain_id(self) -> int:
        """EIP-155 chain ID."""
        return self.machine.context.chain_id

    @property
    def rules(self) -> NetworkRules:
        """Set of rules: gas limits, fees, and the steps before and after a block's messages."""
        return self.chain.rules

    @property
    def version(self) -> int:
        """Network version number."""
        return self.machine.context.network.number

    @property
    def overlay(self) -> Overlay | None:
        """Changes to prices and rules of network versions, or a draft version."""
        return self.machine.context.network.overlay

    @property
    def head(self) -> Tipset:
        """Newest tipset."""
        return self.chain.head

    @property
    def executed_head(self) -> Tipset:
        """Newest tipset with receipts: the head, or its parent if execution is deferred."""
        return self.chain.executed_head

    @property
    def block_number(self) -> ChainEpoch:
        """Height of the head."""
        return self.chain.head.height

    @property
    def base_fee(self) -> TokenAmount:
        """Base fee of the next tipset in attoFIL per gas."""
        return self.chain.head.next_base_fee

    @property
    def blob_base_fee(self) -> TokenAmount:
        """Base fee of blobs in the next tipset, in attoFIL per blob gas; 0 without blob transactions."""
        return TokenAmount(self.rules.blob_base_fee(self.chain.head.next_settings.excess_blob_gas))

    @property
    def min_fee_cap(self) -> TokenAmount:
        """Minimum fee cap of the next tipset in attoFIL per gas."""
        head = self.chain.head
        return max(head.next_base_fee, head.next_settings.min_gas_price or TokenAmount(0))

    @property
    def suggested_premium(self) -> TokenAmount:
        """Suggested premium of a transaction in attoFIL per gas, at least `min_premium`."""
        return max(suggested_premium(self.chain.index, self.head, self.rules), self.min_premium)

    @property
    def default_premium(self) -> TokenAmount:
        """Premium of transactions signed by the node."""
        return max(self.rules.fees.premium, self.min_premium)

    @property
    def min_premium(self) -> TokenAmount:
        """Premium required to reach `min_fee_cap`; 0 unless `set_min_gas_price` was called.

        Clients compute a fee cap as twice a base fee plus a premium from one of two RPC methods. If both methods
        return at least this premium, such a cap reaches `min_fee_cap`.
        """
        return TokenAmount(self.min_fee_cap - self.base_fee)

    @property
    def gas_price(self) -> TokenAmount:
        """Suggested gas price: the next base fee plus a premium."""
        return TokenAmount(self.base_fee + self.suggested_premium)

    def block(self, number: int) -> Tipset:
        """Return the tipset at a height. Raises UnknownBlock, also for a null round."""
        found = self.chain.index.at(whole_number(number, "the block number", None))
        if not isinstance(found, Tipset):
            what = "is a null round" if found else f"is above the head, {self.head.height}"
            raise UnknownBlock(f"block {number} {what}")
        return found

    def executed_at(self, epoch: int) -> Tipset:
        """Return the tipset that was executed at an epoch. Raises UnknownBlock."""
        tipset = self.chain.index.tipset_before(epoch) if 0 <= epoch <= self.head.height else None
        if tipset is None or tipset.height != epoch or tipset.parent == GENESIS_PARENT:
            raise UnknownBlock(f"no tipset was executed at epoch {epoch}: it is a null round or not part of this chain")
        return tipset

    @property
    def producer(self) -> Address:
        """Block producer and recipient of the reward: a miner, or f00 for none."""
        return self.chain.producer

    def find_receipt(self, transaction_hash: bytes) -> TransactionReceipt | None:
        """Return the executed transaction, None if it has no receipt (yet)."""
        receipt = self.chain.index.receipt(transaction_hash)
        return receipt if receipt is None or receipt.block_number <= self.executed_head.height else None

    def find_executed(self, message_hash: bytes) -> TransactionReceipt | None:
        """Return the receipt of a mined transaction, or of a reward or cron; None if there is none (yet)."""
        found = self.find_receipt(message_hash)
        if found is not None:
            return found
        implicit = self.chain.index.implicit_receipt(message_hash)
        return implicit if implicit is None or implicit.block_number <= self.executed_head.height else None

    def executed(self, message_hash: bytes) -> TransactionReceipt:
        """Return the same as `find_executed`. Raises UnknownTransaction if there is no receipt."""
        return self.find_executed(message_hash) or self.receipt(message_hash)

    def pending_nonce(self, sender: Address) -> int:
        """Return the sender's nonce after all of its pending messages."""
        return self.mempool.pending_nonce(sender, nonce_of(self.machine, sender))

    def receipt(self, transaction_hash: bytes) -> TransactionReceipt:
        """Return the receipt of a mined transaction. Raises UnknownTransaction, also for a pending one."""
        receipt = self.find_receipt(transaction_hash)
        if receipt is None:
            where = f"is not on this chain{self.chain.before_the_fork}"
            if self.mempool.get(transaction_hash) or self.chain.index.receipt(transaction_hash) is not None:
                where = "is pending"
            elif self.chain.index.implicit_receipt(transaction_hash) is not None:
                where = "is an implicit message (reward or cron), which no block contains: use `hypervisor trace`"
            raise UnknownTransaction(f"transaction 0x{transaction_hash.hex()} {where}")
        return receipt


class NetworkView(NetworkReader):
    """A network at one tipset of its chain, used by one thread at a time.

    Of the pending transactions, only single ones and those of one sender are available.
    """

    chain: ChainView

    def __init__(self, chain: ChainView, mempool: PendingMessages) -> None:
        self.chain, self.mempool = chain, mempool
