"""Filecoin's nodes as forks of tests ask them: where a fork begins, the blocks of its state, and its past.

A block cannot be forged: its bytes are checked against its CID (`store.remote`). What a node says besides is believed,
in the shapes that it is documented in (`localnet.fork.forking`, `localnet.chain.node_source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypervisor.types import ChainEpoch, TokenAmount
from localnet.fork.forking import ForkPoint, ForkSource, Origin, find_fork_point
from localnet.fork.node_blocks import read_block
from localnet.fork.node_client import NodeClient
from localnet.fork.request_options import FORK_REQUESTS
from store.cid import Cid
from store.memory import MemoryStore
from store.remote import RemoteUnavailable

if TYPE_CHECKING:
    from localnet.chain.node_source import NodeSource
    from localnet.chain.tipset_sources import PastTipset


@dataclass(frozen=True, slots=True)
class PendingTipset:
    """A message of a node's chain in its tipset: what comes before it there is executed first."""

    url: str
    tipset: tuple[Cid, ...]
    message: Cid

    def __deepcopy__(self, _memo: object) -> PendingTipset:
        """Itself: nothing of it ever changes."""
        return self


class TipsetNodes:
    """All nodes of a run's forks; as a `store.remote.Remote` the far side of one store for all of them."""

    def __init__(self) -> None:
        self._clients: dict[str, NodeClient] = {}
        """The node of the fork that was made or entered last is the last one."""
        self._points: dict[tuple[str, int], ForkPoint] = {}
        self._origins: dict[ForkPoint, Origin] = {}
        self._sources: dict[str, NodeSource] = {}

    def point(self, url: str, epoch: int | None) -> ForkPoint:
        """Where a fork begins: after the tipset of an epoch, or the newest one. Raises NodeError, InvalidInput."""
        known = None if epoch is None else self._points.get((url, epoch))
        if known is None:
            known = find_fork_point(ForkSource(url, epoch))
            if epoch is not None:
                self._points[url, epoch] = known
        self.prefer(url)
        return known

    def prefer(self, url: str) -> None:
        """Ask a node first from now on."""
        client = self._client(url)
        del self._clients[url]
        self._clients[url] = client

    def _client(self, url: str) -> NodeClient:
        if url not in self._clients:
            self._clients[url] = NodeClient(url, options=FORK_REQUESTS)
        return self._clients[url]

    def externs(self, point: ForkPoint) -> Origin:
        """What the node of a fork says of the past."""
        if point not in self._origins:
            self._origins[point] = Origin(point, MemoryStore(), self._client(point.url))
        return self._origins[point]

    def source(self, url: str) -> NodeSource:
        """The past of a node's chain. Raises NodeError, InvalidInput."""
        if url not in self._sources:
            from localnet.chain.node_source import NodeSource  # with all that executes blocks, as few tests do

            self._sources[url] = NodeSource(url)
        return self._sources[url]

    def pending(self, url: str, transaction: bytes) -> PendingTipset:
        """The tipset of a transaction. Raises NodeError, InvalidInput."""
        found = self.source(url).find_message(f"0x{transaction.hex()}")
        return PendingTipset(url, tuple(found.tipset), found.cid)

    def past(self, url: str, tipset: Sequence[Cid]) -> PastTipset:
        """A tipset with its messages. Raises NodeError, InvalidInput."""
        from localnet.chain.tipset_sources import read_past_tipset

        return read_past_tipset(self.source(url), tipset)

    def vested(self, url: str, past: PastTipset, epoch: ChainEpoch) -> TokenAmount:
        """attoFIL that are vested at an epoch."""
        return self.source(url).vested_at(past.headers, epoch)

    # --- as a remote ------------------------------------------------------------------------------------------

    def block(self, cid: Cid) -> bytes | None:
        """The bytes that some node has under a CID. Raises RemoteUnavailable where one does not answer, and no other
        has the block.
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
        """Release all connections."""
        for client in self._clients.values():
            client.close()
        for source in self._sources.values():
            source.close()
