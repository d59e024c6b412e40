"""The price of blob gas, and how it follows the use of blobs from block to block.

Rules: EIP-4844, EIP-7918 (the bound of the blob base fee).
"""

from functools import lru_cache
from typing import Final, NamedTuple

from bridge.ethereum.transactions import GAS_PER_BLOB
from runtimes.evm.ethereum import prices
from runtimes.evm.ethereum.forks import Fork

_BLOB_BASE_COST: Final = 1 << 13


class ForkBlobs(NamedTuple):
    """A fork's rules of blobs (`bridge.ethereum.execution.BlobRules`)."""

    fork: Fork

    @property
    def maximum(self) -> int:
        return self.fork.blobs.maximum

    @property
    def maximum_per_transaction(self) -> int:
        limit = self.fork.blobs.per_transaction
        return self.fork.blobs.maximum if limit is None else limit

    @property
    def has_cell_proofs(self) -> bool:
        """True if a blob comes with proofs of its cells (EIP-7594), not with one of its own."""
        return self.fork.cell_proofs

    def base_fee(self, excess: int) -> int:
        """Return the blob base fee of a block with this excess of blob gas."""
        return _base_fee(excess, self.fork.blobs.update_fraction)

    def next_excess(self, excess: int, blob_gas_used: int, base_fee: int) -> int:
        """Return a block's excess of blob gas from its parent's figures."""
        target, maximum = self.fork.blobs.target * GAS_PER_BLOB, self.fork.blobs.maximum * GAS_PER_BLOB
        if excess + blob_gas_used < target:
            return 0
        if self.fork.bounded_blob_fee and _BLOB_BASE_COST * base_fee > GAS_PER_BLOB * self.base_fee(excess):
            return excess + blob_gas_used * (maximum - target) // maximum
        return excess + blob_gas_used - target


@lru_cache
def _base_fee(excess: int, fraction: int) -> int:
    return prices.fake_exponential(prices.MIN_BLOB_BASE_FEE, excess, fraction)
