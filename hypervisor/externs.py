"""Chain data that execution needs: randomness and tipset CIDs.

`DevelopmentExterns` provides deterministic digests for a machine without a chain. A local network, a node or a test
provides its own implementation of `Externs`. Source: ref-fvm fvm/src/externs.
"""

import hashlib
from typing import Protocol

from hypervisor.types import ChainEpoch
from store.cid import Cid, cid_of


class ExternError(Exception):
    """Raised when the chain has no data for an epoch before genesis or in the future."""


class Externs(Protocol):
    """The chain's side of execution. Every result must be a pure function of chain and arguments."""

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the 32-byte digest of the ticket chain at an epoch."""

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the 32-byte digest of the beacon entry at an epoch."""

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the CID of the tipset key at an epoch, or of the preceding tipset for a null round."""

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the state root after the tipset at an epoch, or after the preceding tipset for a null round."""


class DevelopmentExterns:
    """Digests derived from the epoch number alone: predictable, so unsuitable where value is at stake."""

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return _digest(b"chain", epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return _digest(b"beacon", epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        return cid_of(b"tipset" + (epoch & (1 << 64) - 1).to_bytes(8, "big"))

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"a machine without a chain has no state of epoch {epoch}")


def _digest(domain: bytes, epoch: int) -> bytes:
    return hashlib.blake2b(domain + (epoch & (1 << 64) - 1).to_bytes(8, "big"), digest_size=32).digest()
