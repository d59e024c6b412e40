"""The machine's externs, from the chain's index: tickets, beacon entries, tipset CIDs and state roots.

A null round has the ticket of the tipset after it and the key of the tipset before it. Source: lotus chain/rand.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from hypervisor.context import ExternError
from hypervisor.types import ChainEpoch
from localnet.ledger.blocks import beacon_digest, ticket
from localnet.ledger.headers import digest
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import NullRound
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.fork.ethereum_fork import EthereumFork
    from localnet.fork.forking import Origin


class ChainExterns:
    """Externs from the index; `executing` is the height of the tipset being executed above the head."""

    def __init__(self) -> None:
        self._index: ChainIndex | None = None
        self._origin: Origin | EthereumFork | None = None
        self.executing = 0

    def attach(self, index: ChainIndex, origin: Origin | EthereumFork | None = None) -> None:
        """Use this index, and for a fork the origin up to the fork point.

        A machine is created with its externs before its chain has an index.
        """
        self._index, self._origin = index, origin

    def snapshot(self) -> ChainExterns:
        """Return a copy that later blocks do not change."""
        externs = ChainExterns()
        externs._index, externs._origin, externs.executing = copy(self._index), self._origin, self.executing
        return externs

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the Blake2b-256 digest of the ticket."""
        if (origin := self._origin_of(epoch)) is not None:
            return origin.chain_randomness(epoch)
        found = self._chain().at(max(0, epoch))
        if found is None:
            height = self._above_head(epoch)
        else:
            height = found.after if isinstance(found, NullRound) else found.height
        return digest(ticket(height))

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the Blake2b-256 digest of the beacon entry. Null rounds have one too."""
        if (origin := self._origin_of(epoch)) is not None:
            return origin.beacon_randomness(epoch)
        return beacon_digest(ChainEpoch(max(0, epoch)))

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the tipset key's CID."""
        if (origin := self._origin_of(epoch)) is not None:
            return origin.tipset_cid(epoch)
        chain = self._chain()
        found = chain.tipset_before(min(epoch, chain.head))
        if found is None:
            raise ExternError(f"no tipset at or before epoch {epoch}")
        return found.key

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the state root after a tipset."""
        chain = self._chain()
        if self._origin is not None and epoch < chain.first:
            return self._origin.state_root(epoch)
        found = chain.tipset_before(min(epoch, chain.head))
        if found is None:
            raise ExternError(f"no tipset at or before epoch {epoch}")
        return found.state

    def _origin_of(self, epoch: int) -> Origin | EthereumFork | None:
        """Return the origin of a fork if the epoch is not after the fork point, else None."""
        return self._origin if self._origin is not None and epoch <= self._chain().first else None

    def _above_head(self, epoch: int) -> int:
        if epoch > self.executing:
            raise ExternError(f"epoch {epoch} is in the future")
        return self.executing

    def _chain(self) -> ChainIndex:
        if self._index is None:
            raise ExternError("the chain has no tipset yet")
        return self._index
