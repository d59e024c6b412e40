"""Messages that onboard sectors with unverified proofs, and the epochs at which they are due.

Nothing is sealed: the bytes of a proof are zeros. Networks that accept such proofs (fake-proofs bundles,
`AcceptProofs`) treat the sectors as sealed. Source: builtin-actors miner, methods 28, 34 and 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.actors.binding import Call
from bridge.bindings import storageminer
from bridge.bindings.common import BatchReturn
from hypervisor.proofs.inputs import POSEIDON_BLS12_381_A1_FC1, SHA2_256_TRUNC254_PADDED
from hypervisor.types import ActorID, ChainEpoch
from localnet.miners.policy import DEADLINE, PROVING_PERIOD
from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, Cid, write_uvarint

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
