"""Filecoin nodes for forks of tests: fork points, blocks of their state, and chain history.

Blocks are verified against their CIDs (`store.blocks.memory`). Other data is trusted if it has the documented form
(`localnet.fork.forking`, `localnet.replay.sources`). A fork's block is converted to the machine's context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bridge.ethereum.block import EthereumBlock
from hypervisor.context import MachineContext
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.fork.ethereum_fork import blob_gas_of
from localnet.fork.forking import ForkPoint, ForkSource, Origin, find_fork_point, read_block
from localnet.fork.node_client import FORK_REQUESTS, NodeClient, RequestOptions
from localnet.fork.remote_chain import RemoteBlock
from localnet.fork.response_cache import ResponseCache
from store.blocks.memory import MemoryStore, RemoteUnavailable
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.replay.sources import NodeSource, PastTipset


def block_context(context: MachineContext, block: RemoteBlock, chain_id: int) -> MachineContext:
    """Return the context with the number, time, fee, coinbase and chain of a block; the rules stay, as in forge."""
    own = context.block
    if isinstance(own, EthereumBlock):
        excess, _ = blob_gas_of(chain_id, block)
        own = replace(own, coinbase=block.coinbase, gas_limit=block.gas_limit, excess_blob_gas=excess)
    return replace(
        context,
        epoch=ChainEpoch(block.number),
        timestamp=block.timestamp,
        base_fee=TokenAmount(block.base_fee),
        chain_id=chain_id,
        block=own,
    )


@dataclass(frozen=True, slots=True)
class PendingTipset:
    """A message of a node's chain. The earlier messages of its tipset must be executed first."""

    url: str
    tipset: tuple[Cid, ...]
    message: Cid


class TipsetNodes:
    """All nodes of a run's forks; a `store.blocks.memory.Remote` for one store shared by them."""

    def __init__(self, caches: bool | None = None, options: RequestOptions = FORK_REQUESTS) -> None:
        """Set the options of requests, and `ForkSource.caches`."""
        self._caches, self._options = caches, options
        self._clients: dict[str, NodeClient] = {}
        """Clients by URL; the node of the fork used last comes last."""
        self._points: dict[tuple[str, int], ForkPoint] = {}
        self._origins: dict[ForkPoint, Origin] = {}
        self._sources: dict[str, NodeSource] = {}

    def point(self, url: str, epoch: int | None) -> ForkPoint:
        """Return the fork point after the tipset of an epoch, or the latest one. Raises NodeError, InvalidInput."""
        known = None if epoch is None else self._points.get((url, epoch))
        if known is None:
            source = self._source_of(url, epoch)
            known = find_fork_point(source)
            self._client(url, source.cache(known.chain_id))
            if epoch is not None:
                self._points[url, epoch] = known
        self.prefer(url)
        return known

    def prefer(self, url: str) -> None:
        """Query this node first from now on."""
        client = self._client(url)
        del self._clients[url]
        self._clients[url] = client

    def _source_of(self, url: str, epoch: int | None) -> ForkSource:
        return ForkSource(url, epoch, options=self._options, caches=self._caches)

    def _client(self, url: str, cache: ResponseCache | None = None) -> NodeClient:
        """Return the client of a node; a new one uses `cache`."""
        found = self._clients.get(url)
        if found is None:
            found = self._clients[url] = NodeClient(url, options=self._options)
            found.cache = cache or ResponseCache()
        elif cache is not None:
            cache.close()
        return found

    def externs(self, point: ForkPoint) -> Origin:
        """Return the chain history from the node of a fork."""
        if point not in self._origins:
            self._origins[point] = Origin(point, MemoryStore(), self._client(point.url))
        return self._origins[point]

    def source(self, url: str) -> NodeSource:
        """Return the history of a node's chain. Raises NodeError, InvalidInput."""
        if url not in self._sources:
            from localnet.replay.sources import NodeSource  # imports all of block execution, which few tests need

            self._sources[url] = NodeSource(url, options=self._options)
        return self._sources[url]

    def pending(self, url: str, transaction: bytes) -> PendingTipset:
        """Return the tipset of a transaction. Raises NodeError, InvalidInput."""
        found = self.source(url).find_message(f"0x{transaction.hex()}")
        return PendingTipset(url, tuple(found.tipset), found.cid)

    def past(self, url: str, tipset: Sequence[Cid]) -> PastTipset:
        """Return a tipset with its messages. Raises NodeError, InvalidInput."""
        from localnet.replay.sources import read_past_tipset

        return read_past_tipset(self.source(url), tipset)

    def vested_amount(self, url: str, past: PastTipset, epoch: ChainEpoch) -> TokenAmount:
        """Return the attoFIL vested at an epoch."""
        return self.source(url).vested_at(past.headers, epoch)

    # --- remote ---------------------------------------------------------------------------------------------------

    def block(self, cid: Cid) -> bytes | None:
        """Return the bytes of a block from any node.

        Raises RemoteUnavailable if a node did not respond and no other has the block.
        """
        failure: RemoteUnavailable | None = None
        for client in reversed(self._clients.values()):
            try:
                data = read_block(client, cid)
            except RemoteUnavailable as error:
                failure = failure or error
                continue
            if data is not None:
                return data
        if failure is not None:
            raise failure
        return None

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        for source in self._sources.values():
            source.close()
