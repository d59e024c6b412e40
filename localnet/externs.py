"""The chain's answers to the machine: tickets, beacon entries, tipset CIDs.

A null round takes the ticket of the tipset after it and the key of the one before it. Rules: lotus chain/rand.
"""

from __future__ import annotations

import hashlib

from hypervisor.externs import ExternError
from hypervisor.types import ChainEpoch
from localnet.blocks import beacon_entry, ticket
from localnet.index import ChainIndex
from localnet.records import NullRound
from store.cid import Cid


class ChainExterns:
    """Answers from the index; `executing` is the height of the tipset that is being executed above the head."""

    def __init__(self) -> None:
        self._index: ChainIndex | None = None
        self.executing = 0

    def attach(self, index: ChainIndex) -> None:
        """Answer from this index: the machine, which needs externs, exists before it."""
        self._index = index

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Blake2b-256 of the ticket."""
        found = self._chain().at(max(0, epoch))
        if found is None:
            height = self._above_head(epoch)
        else:
            height = found.after if isinstance(found, NullRound) else found.height
        return _digest(ticket(height))

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Blake2b-256 of the beacon's entry; every epoch has one, null or not."""
        return _digest(beacon_entry(max(0, epoch)))

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """The tipset key's CID."""
        chain = self._chain()
        found = chain.tipset_before(min(epoch, chain.head))
        if found is None:
            raise ExternError(f"no tipset at or before epoch {epoch}")
        return found.key

    def _above_head(self, epoch: int) -> int:
        if epoch > self.executing:
            raise ExternError(f"epoch {epoch} is in the future")
        return self.executing

    def _chain(self) -> ChainIndex:
        if self._index is None:
            raise ExternError("there is no chain yet")
        return self._index


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()
