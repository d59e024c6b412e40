"""Onboarding of sectors and DataCap: messages, the epochs at which they are due, and the network that they need.

Sectors are onboarded with unverified proofs. Nothing is sealed: the bytes of a proof are zeros. Networks that accept
such proofs (fake-proofs bundles, `AcceptProofs`) treat the sectors as sealed. Source: builtin-actors miner, methods 28,
34 and 5.

DataCap is granted to clients, who allocate it to fictitious pieces. The registry's root key (f080) has no signers here,
so a grant is written to the head's state, like `set_balance`. Allocations are messages of the client. Source:
builtin-actors verifreg and datacap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.actors.binding import Call, R
from bridge.bindings import datacap, storageminer, verifiedregistry
from bridge.bindings.common import BatchReturn
from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.proofs.verifier import POSEIDON_BLS12_381_A1_FC1, SHA2_256_TRUNC254_PADDED
from hypervisor.types import DATACAP_ACTOR, VERIFIED_REGISTRY_ACTOR, ActorID, ChainEpoch, whole_number
from localnet.accounts import BLS_ACCOUNT, Account
from localnet.addresses import Target
from localnet.chain.chain import Chain
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.miners.policy import DATACAP_PER_BYTE, DEADLINE, PROVING_PERIOD
from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, Cid, write_uvarint
from store.codec import encode


class MinerNetwork(Protocol):
    """Messages to built-in actors, and mining of blocks."""

    @property
    def accounts(self) -> Sequence[Account]:
        """The unlocked accounts."""

    @property
    def chain(self) -> Chain:
        """The chain, which commits direct changes."""

    @property
    def version(self) -> int:
        """The network version."""

    @property
    def machine(self) -> Hypervisor:
        """Machine at the head's state."""

    @property
    def block_number(self) -> ChainEpoch:
        """Height of the head."""

    def mine(self, blocks: int = 1, *, null_rounds: int = 0) -> Tipset:
        """Mine blocks, each after N null rounds; return the new head."""

    def send_native(self, to: Target, /, *, sender: Target | None) -> TransactionReceipt:
        """Send and execute a message without value. Raises the errors of `Network.send_native`."""

    def invoke(self, to: Target, call: Call[R], *, value: int = 0, sender: Account | None = None) -> R:
        """Send a message and return the method's result; value in attoFIL. Raises the errors of `Network.invoke`."""

    def ask(self, to: Target, call: Call[R], *, sender: Account | None = None) -> R:
        """Return a method's result without effect. Raises CallFailed, ValueError."""

    def close(self) -> None:
        """Close the folder."""


PROVE_COMMIT_DELAY: Final = 150
"""Epochs between pre-commit and proof on mainnet, the longest delay; development networks require 10."""

_CHAIN_COMMIT: Final = 9
"""Domain separation tag of the randomness that binds a proof to its chain."""

_SEAL_PROOF_BYTES: Final = 192
_POST_PROOF_BYTES: Final = 192
_WINDOW_TO_SEAL: Final = 5
"""Difference between the numbers of a window PoSt proof type and the seal proof type of its sectors."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a verified client: its padded size in bytes, and its allocation."""

    cid: Cid
    size: int
    client: ActorID
    allocation: int


@dataclass(frozen=True, slots=True)
class NewSector:
    """A new sector: its number, and its piece if it has one."""

    number: int
    piece: Piece | None = None


def sealed_cid(miner: int, number: int) -> Cid:
    """Return a placeholder for the commitment to a sector's replica, unique per sector."""
    seed = miner.to_bytes(8, "big") + number.to_bytes(8, "big")
    return _commitment(FIL_COMMITMENT_SEALED, POSEIDON_BLS12_381_A1_FC1, seed)


def pre_commit(miner: int, window_proof: int, sectors: Sequence[NewSector], now: int, expiration: int) -> Call[None]:
    """Encode parameters of PreCommitSectorBatch2, for an epoch after 0."""
    return storageminer.pre_commit_sector_batch2(
        [
            storageminer.SectorPreCommitInfo(
                seal_proof=window_proof - _WINDOW_TO_SEAL,
                sector_number=sector.number,
                sealed_cid=sealed_cid(miner, sector.number),
                seal_rand_epoch=ChainEpoch(max(0, now - 1)),
                deal_ids=(),
                expiration=ChainEpoch(expiration),
                unsealed_cid=sector.piece.cid if sector.piece else None,
            )
            for sector in sectors
        ]
    )


def prove_commit(sectors: Sequence[NewSector]) -> Call[BatchReturn]:
    """Encode parameters of ProveCommitSectors3: every sector must succeed."""
    manifests = [
        storageminer.SectorActivationManifest(sector.number, (_manifest(sector.piece),) if sector.piece else ())
        for sector in sectors
    ]
    proofs = [bytes(_SEAL_PROOF_BYTES)] * len(sectors)
    return storageminer.prove_commit_sectors3(manifests, proofs, b"", None, True, False)


def _manifest(piece: Piece) -> storageminer.PieceActivationManifest:
    key = storageminer.VerifiedAllocationKey(piece.client, piece.allocation)
    return storageminer.PieceActivationManifest(piece.cid, piece.size, key, ())


def window_post(
    window_proof: int, deadline: int, partitions: Sequence[int], epoch: ChainEpoch, ticket: bytes
) -> Call[None]:
    """Encode parameters of SubmitWindowedPoSt; `ticket` is the chain's randomness at `epoch`."""
    posted = [storageminer.PoStPartition(index, b"") for index in partitions]
    proof = storageminer.PoStProof(window_proof, bytes(_POST_PROOF_BYTES))
    return storageminer.submit_windowed_post(deadline, posted, [proof], epoch, post_commitment(epoch, ticket))


def unsealed_cid(seed: bytes) -> Cid:
    """Return the CID of a synthetic piece of data."""
    return _commitment(FIL_COMMITMENT_UNSEALED, SHA2_256_TRUNC254_PADDED, seed)


def _commitment(codec: int, hash_code: int, seed: bytes) -> Cid:
    digest = bytearray(hashlib.blake2b(seed, digest_size=32).digest())
    digest[31] &= 0x3F  # a number of the proofs' field
    return Cid(b"\x01" + write_uvarint(codec) + write_uvarint(hash_code) + b"\x20" + bytes(digest))


def post_commitment(epoch: ChainEpoch, ticket: bytes) -> bytes:
    """Return the randomness that binds a proof to the chain with this ticket."""
    drawn = _CHAIN_COMMIT.to_bytes(8, "big") + ticket + epoch.to_bytes(8, "big", signed=True)
    return hashlib.blake2b(drawn, digest_size=32).digest()


def next_opening(period_start: int, deadline: int, now: int) -> int:
    """Return the first epoch of a deadline's next window from `now` on; `now` within the open window."""
    opening = period_start + deadline * DEADLINE
    passed = (now - opening) // PROVING_PERIOD
    opening += passed * PROVING_PERIOD
    return now if opening <= now < opening + DEADLINE else opening + PROVING_PERIOD * (opening < now)


_MIN_TERM: Final = 180 * PROVING_PERIOD
_MAX_TERM: Final = 5 * 1_051_897
"""Minimum and maximum number of epochs of storage."""
_MAX_WAIT: Final = 60 * PROVING_PERIOD
"""Number of epochs after which an unclaimed allocation expires."""

_REGISTRY: Final = Address.id(VERIFIED_REGISTRY_ACTOR)


def grant(chain: Chain, client: Address, size: int) -> None:
    """Grant an account DataCap for `size` more bytes (at least 256) without a transaction.

    Raises InvalidInput if the registry rejects the grant; then nothing changes.
    """
    grant_on(chain.machine, client, size)
    chain.keep_changes()


def grant_on(machine: Hypervisor, client: Address, size: int) -> None:
    """Grant DataCap on a machine's state only; also allowed while a message executes."""
    whole_number(size, "DataCap", None, unit="bytes")
    root, verifier = Address.id(VERIFIED_REGISTRY_ROOT), BLS_ACCOUNT
    with machine.state_tree.transaction():
        _implicit(machine, root, verifiedregistry.add_verifier(verifier, size))
        _implicit(machine, verifier, verifiedregistry.add_verified_client(client, size))


def _implicit(machine: Hypervisor, sender: Address, call: Call[None]) -> None:
    result = machine.apply_implicit(Message(_REGISTRY, sender, method=call.method, params=call.params))
    if result.exit_code == ExitCode.USR_FORBIDDEN:  # DataCap is frozen; the callers' roles are sufficient
        raise InvalidInput(
            f"DataCap is frozen on this network of nv{machine.context.network.number}, where every new sector counts "
            "tenfold (FIP-0118): use a network at nv28 to grant DataCap"
        )
    if result.exit_code:
        raise InvalidInput(
            f"the verified registry rejected the grant with exit code {result.exit_code}: {result.message}"
        )


def allocate(network: MinerNetwork, client: Account, provider: int, sizes: Sequence[int]) -> list[Piece]:
    """Allocate a client's DataCap to a provider, for pieces of `sizes` padded bytes.

    The client is first granted the necessary DataCap. Raises TransactionFailed, InvalidInput.
    """
    grant(network.chain, client.native, sum(sizes))
    now = network.block_number
    actor = network.machine.state_tree.lookup_id(client.native)
    assert actor is not None, "a client that was granted DataCap exists"
    cids = [unsealed_cid(encode([int(actor), provider, now, index])) for index in range(len(sizes))]
    terms = (ChainEpoch(_MIN_TERM), ChainEpoch(_MAX_TERM), ChainEpoch(now + _MAX_WAIT))
    requests = tuple(
        verifiedregistry.AllocationRequest(ActorID(provider), cid, size, *terms)
        for cid, size in zip(cids, sizes, strict=True)
    )
    params = verifiedregistry.AllocationRequests(requests, ()).encode()
    transfer = datacap.transfer(_REGISTRY, sum(sizes) * DATACAP_PER_BYTE, params)
    response = network.invoke(Address.id(DATACAP_ACTOR), transfer, sender=client)
    ids = verifiedregistry.AllocationsResponse.decode(response.recipient_data).new_allocations
    return [Piece(cid, size, actor, number) for cid, size, number in zip(cids, sizes, ids, strict=True)]
