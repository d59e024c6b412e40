"""What the machine must ask the chain around it: randomness, tipset CIDs, proofs of faults and of storage.

`Externs` is the seam. The machine ships one implementation: `DevelopmentExterns`, deterministic digests for a machine
without a chain. A local network, a node or a test gives its own. Source: ref-fvm fvm/src/externs.
"""

import hashlib
from typing import Protocol

from hypervisor.types import ChainEpoch
from store.cid import Cid, cid_of


class ExternError(Exception):
    """The chain has no answer: an epoch before genesis or in the future."""


class Externs(Protocol):
    """The chain's side of execution. Every answer must be a pure function of chain and arguments."""

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """The 32-byte digest of the ticket chain at an epoch."""

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """The 32-byte digest of the beacon entry at an epoch."""

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """The CID of the tipset key at an epoch; of the tipset before it where the round was null."""


class DevelopmentExterns:
    """Digests drawn from the epoch's number alone: predictable, so never for anything that holds value."""

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return _digest(b"chain", epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return _digest(b"beacon", epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        return cid_of(b"tipset" + (epoch & (1 << 64) - 1).to_bytes(8, "big"))


def _digest(domain: bytes, epoch: int) -> bytes:
    return hashlib.blake2b(domain + (epoch & (1 << 64) - 1).to_bytes(8, "big"), digest_size=32).digest()
