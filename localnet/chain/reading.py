"""Read access to a network: its facts, its blocks, its receipts.

`BlockProduction` also makes blocks. `NetworkView` reads a network on another thread (`localnet.chain.view`).
"""

from __future__ import annotations

from hypervisor.address import Address
from hypervisor.argument_checks import whole_number
from hypervisor.machine import Hypervisor
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.chain.mempool import WaitingMessages
from localnet.chain.tips import suggested_premium
from localnet.chain.view import ChainReader, ChainView
from localnet.errors import UnknownBlock, UnknownTransaction
from localnet.ledger.records import GENESIS_PARENT, Tipset, TransactionReceipt
from localnet.rules.parts import NetworkRules
from localnet.state.contract_state import nonce_of


class NetworkReader:
    """A chain, and what waits for its next block."""

    chain: ChainReader
    mempool: WaitingMessages

    @property
    def machine(self) -> Hypervisor:
        """The machine at the head's state."""
        return self.chain.machine

    @property
    def chain_id(self) -> int:
        """Ethereum's chain id."""
        return self.machine.context.chain_id

    @property
    def rules(self) -> NetworkRules:
        """Set of rules: gas limits, fees, work around a block's messages."""
        return self.chain.rules

    @property
    def version(self) -> int:
        """The number of the network version."""
        return self.machine.context.network.number

    @property
    def head(self) -> Tipset:
        """The newest tipset, executed."""
        return self.chain.head

    @property
    def settled(self) -> Tipset:
        """The newest tipset whose receipts are known: the head, unless execution is deferred."""
        return self.chain.settled

    @property
    def block_number(self) -> ChainEpoch:
        """The head's height."""
        return self.chain.head.height

    @property
    def base_fee(self) -> TokenAmount:
        """Return the base fee of the next tipset in attoFIL per gas."""
        return self.chain.head.next_base_fee

    @property
    def blob_base_fee(self) -> TokenAmount:
        """Return the attoFIL per blob gas in the next tipset; 0 without blob transactions."""
        return TokenAmount(self.rules.blob_base_fee(self.chain.head.next_settings.excess_blob_gas))

    @property
    def least_fee(self) -> TokenAmount:
        """The least fee cap with which the next tipset takes a message, in attoFIL per gas."""
        return max(self.base_fee, self.chain.head.next_settings.min_gas_price or TokenAmount(0))

    @property
    def suggested_premium(self) -> TokenAmount:
        """Suggested premium of a transaction, which also reaches the least fee."""
        return max(suggested_premium(self.chain.index, self.head, self.rules), self.least_premium)

    @property
    def usual_premium(self) -> TokenAmount:
        """Premium of the node's own transactions."""
        return max(self.rules.fees.premium, self.least_premium)

    @property
    def least_premium(self) -> TokenAmount:
        """Premium required by the least fee; zero unless one is set (`set_min_gas_price`).

        Clients make their fee cap of twice an old base fee and a premium, and take the premium from two methods: where
        both propose this much, every such cap is at least the least fee.
        """
        return TokenAmount(self.least_fee - self.base_fee)

    @property
    def gas_price(self) -> TokenAmount:
        """Suggested gas price: the next base fee and a premium."""
        return TokenAmount(self.base_fee + self.suggested_premium)

    def block(self, number: int) -> Tipset:
        """Return the tipset at a height. Raises UnknownBlock, also for a null round."""
        found = self.chain.index.at(whole_number(number, "a block's number", None))
        if not isinstance(found, Tipset):
            what = "is a null round" if found else f"is above the head, {self.head.height}"
            raise UnknownBlock(f"block {number} {what}")
        return found

    def executed_at(self, epoch: int) -> Tipset:
        """Return the tipset that was executed at an epoch. Raises UnknownBlock."""
        tipset = self.chain.index.tipset_before(epoch) if 0 <= epoch <= self.head.height else None
        if tipset is None or tipset.height != epoch or tipset.parent == GENESIS_PARENT:
            raise UnknownBlock(f"no tipset was executed at epoch {epoch}: it is a null round, or not of this chain")
        return tipset

    @property
    def producer(self) -> Address:
        """Block producer and recipient of the reward: a miner, or f00 for none."""
        return self.chain.producer

    def find_receipt(self, transaction_hash: bytes) -> TransactionReceipt | None:
        """Return the executed transaction, None if it has no receipt (yet)."""
        receipt = self.chain.index.receipt(transaction_hash)
        return receipt if receipt is None or receipt.block_number <= self.settled.height else None

    def pending_nonce(self, sender: Address) -> int:
        """Return the nonce after all waiting messages of the sender."""
        return self.mempool.pending_nonce(sender, nonce_of(self.machine, sender))

    def receipt(self, transaction_hash: bytes) -> TransactionReceipt:
        """Return the executed transaction. Raises UnknownTransaction, also while it waits."""
        receipt = self.find_receipt(transaction_hash)
        if receipt is None:
            where = f"is not on this chain{self.chain.before_the_fork}"
            if self.mempool.get(transaction_hash) or self.chain.index.receipt(transaction_hash) is not None:
                where = "waits for a block"
            raise UnknownTransaction(f"transaction 0x{transaction_hash.hex()} {where}")
        return receipt


class NetworkView(NetworkReader):
    """A network as it was at a point of its chain. It belongs to one thread at a time.

    Of what waits it may ask for single transactions, and for those of a sender.
    """

    chain: ChainView

    def __init__(self, chain: ChainView, mempool: WaitingMessages) -> None:
        self.chain, self.mempool = chain, mempool
