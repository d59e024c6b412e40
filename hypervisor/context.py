"""The context of an epoch's messages and of one invocation, and the chain data that they need.

Chain data are randomness and tipset CIDs. `DevelopmentExterns` provides deterministic digests for a machine without a
chain. A local network, a node or a test provides its own implementation of `Externs`. Source: ref-fvm fvm/src/externs.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hypervisor.installation import FILECOIN
from hypervisor.messages.address import Address
from hypervisor.precompiles import PrecompileTable
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import LATEST, NetworkVersion
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


DEVNET_CHAIN_ID = 31_415_926


CirculatingSupply = TokenAmount | Callable[[], TokenAmount]
"""The circulating supply in attoFIL at the start of an epoch, or a function that computes it when an actor asks."""


@dataclass(slots=True, unsafe_hash=True)
class MachineContext:
    """Context of an epoch: timestamp in Unix seconds, amounts in attoFIL. Source: ref-fvm machine::MachineContext."""

    network: Final[NetworkVersion] = LATEST
    epoch: Final[ChainEpoch] = ChainEpoch(0)
    timestamp: Final[int] = 0
    base_fee: Final[TokenAmount] = TokenAmount(0)
    chain_id: Final[int] = DEVNET_CHAIN_ID
    circulating_supply: Final[CirculatingSupply] = TokenAmount(0)
    rules: Final[str] = FILECOIN
    """Name of the set of rules; see `hypervisor.machine.rules`."""
    block: Final[object | None] = None
    """Data that a set of rules or a tool adds to the epoch; opaque to the machine."""
    precompiles: Final[PrecompileTable | None] = None
    """User-defined precompiles in addition to those of the rules (`hypervisor.machine.opening`)."""


@dataclass(slots=True, unsafe_hash=True)
class InvocationContext:
    """Parameters of one invocation. `origin_address` is the sender as written in the message."""

    origin: Final[ActorID]
    origin_address: Final[Address]
    nonce: Final[int]
    caller: Final[ActorID]
    receiver: Final[ActorID]
    method: Final[MethodNumber]
    value: Final[TokenAmount]
    gas_premium: Final[TokenAmount]
    read_only: Final[bool]
