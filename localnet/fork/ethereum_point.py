"""The fork point of an Ethereum network: the block after which a fork begins, read from a node or from the folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import next_base_fee
from hypervisor.errors import InvalidInput
from hypervisor.types import Gas, TokenAmount
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import redacted_url
from localnet.fork.remote_chain import RemoteBlock, RemoteChain
from localnet.ledger.block_settings import LEAST_GAS_LIMIT, MAX_GAS_LIMIT
from localnet.ledger.index import first_entries
from store.blockstore import Store
from store.codec import decode, encode

_FORK: Final = b"ethereum fork"
_HARDFORKS: Final = {
    1: (("Osaka", 1_764_798_551), ("Prague", 1_746_612_311)),
    11_155_111: (("Osaka", 1_760_427_360), ("Prague", 1_741_159_776)),
    17_000: (("Osaka", 1_759_308_480), ("Prague", 1_740_434_112)),
    560_048: (("Osaka", 1_761_677_592), ("Prague", 1_742_999_832)),
}
"""Hardforks by chain ID (mainnet, Sepolia, Holesky, Hoodi), newest first, with their times in Unix seconds.

Source: go-ethereum params/config.go. Blocks before Prague run under the rules of Cancun, the oldest supported fork
here.
"""
_OLDEST: Final = "Cancun"
_BLOB_TARGETS: Final = {
    1: ((14, 1_767_747_671), (10, 1_765_290_071)),
    11_155_111: ((14, 1_761_607_008), (10, 1_761_017_184)),
    17_000: ((14, 1_760_389_824), (10, 1_759_800_000)),
    560_048: ((14, 1_762_955_544), (10, 1_762_365_720)),
}
"""Targets of the forks after Osaka that change the blob schedule only (EIP-7892): BPO2 and BPO1, with their times.

Keys and source as above. These forks multiply Osaka's target, maximum and update fraction by the same factor.
"""
_OSAKA_TARGET: Final = 6


def blob_gas_of(chain_id: int, block: RemoteBlock) -> tuple[int, int]:
    """Return excess and use of blob gas of a network's block, in proportion to the schedule of its hardfork here.

    The blob base fee that follows from them is the network's, also where it has more blobs than Osaka.
    """
    targets = _BLOB_TARGETS.get(chain_id, ())
    target = next((target for target, begins in targets if block.timestamp >= begins), _OSAKA_TARGET)
    return block.excess_blob_gas * _OSAKA_TARGET // target, block.blob_gas_used * _OSAKA_TARGET // target


@dataclass(frozen=True, slots=True)
class EthereumForkPoint:
    """A fork point: a block of the network of the node at `url`, whose chain ID is `chain_id`."""

    url: str
    chain_id: int
    block: RemoteBlock

    @property
    def height(self) -> int:
        """The number of the block."""
        return self.block.number

    @property
    def hardfork(self) -> str:
        """The hardfork of the block, or an empty string if the network's hardforks are unknown."""
        known = _HARDFORKS.get(self.chain_id)
        if known is None:
            return ""
        return next((name for name, begins in known if self.block.timestamp >= begins), _OLDEST)

    @property
    def gas_limit(self) -> Gas:
        """The gas limit of the block; the maximum for a network without a limit, whose blocks have 0."""
        limit = self.block.gas_limit
        return Gas(min(max(limit, LEAST_GAS_LIMIT), MAX_GAS_LIMIT) if limit else MAX_GAS_LIMIT)

    @property
    def next_base_fee(self) -> TokenAmount:
        """The base fee of the next block, in wei per gas."""
        block = self.block
        return TokenAmount(next_base_fee(block.base_fee, min(block.gas_used, self.gas_limit), self.gas_limit))

    def entries(self) -> dict[bytes, bytes | None]:
        """Return the entries of the index that record the fork."""
        block = self.block
        numbers = [block.number, block.timestamp, block.base_fee, block.gas_limit, block.gas_used]
        if block.excess_blob_gas or block.blob_gas_used:
            numbers += [block.excess_blob_gas, block.blob_gas_used]
        return {
            **first_entries(self.height),
            _FORK: encode(
                [self.url, self.chain_id, numbers, block.hash, bytes(block.coinbase), block.randomness]
            )
        }  # fmt: skip


def recorded_point(store: Store) -> EthereumForkPoint | None:
    """Return the fork point that a folder records, or None."""
    data = store.index(_FORK)
    if data is None:
        return None
    url, chain_id, numbers, block_hash, coinbase, randomness = decode(data)
    number, timestamp, base_fee, gas_limit, gas_used, *blob_gas = numbers
    excess, blob_gas_used = blob_gas or (0, 0)
    block = RemoteBlock(
        number, block_hash, timestamp, base_fee, EthAddress(coinbase), randomness, gas_limit, excess, gas_used,
        blob_gas_used,
    )  # fmt: skip
    return EthereumForkPoint(url, chain_id, block)


def forgotten_entries() -> dict[bytes, bytes | None]:
    """Return the index entries that remove the record of the fork."""
    return {_FORK: None}


def find_point(chain: RemoteChain, requested: ForkSource) -> EthereumForkPoint:
    """Read the fork point from a node. Raises NodeError, InvalidInput."""
    return EthereumForkPoint(
        requested.url, chain.chain_id, chain.block(requested.number_at(chain.block_number(), "block"))
    )


def check_same(found: EthereumForkPoint, requested: ForkSource) -> None:
    """Raise InvalidInput if the fork that a folder records begins after another block than the requested one."""
    if requested.epoch is not None and requested.epoch >= 0 and requested.epoch != found.height:
        raise InvalidInput(
            f"the folder's network was forked at block {found.height}, not at {requested.epoch}: omit "
            f"the block, or name another folder (the node was {redacted_url(found.url)})"
        )
    requested.check_chain_id(found.chain_id)
