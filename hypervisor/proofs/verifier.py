"""Verification of storage proofs: policies, and the extension `fvm-hypervisor-proofs`.

The machine uses a `ProofVerifier`: the default fails with an error, `StorageProofs` verifies with a separate extension,
`AcceptProofs` accepts all proofs (for local networks), and tests can supply recorded
results. Consensus faults need no circuits and are always verified. Source: ref-fvm kernel/default.rs.

The extension wraps the crate `filecoin-proofs-api`, as ref-fvm does. It reads verifying keys from a folder and
downloads nothing (docs/proofs.md). Source: ref-fvm fvm/src/kernel/filecoin.rs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from hypervisor.context import ExternError
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.proofs.inputs import (
    AGGREGATE,
    REPLICA_UPDATE,
    SEAL,
    WINDOW_PROOF,
    piece_commitment,
    read_proof_input,
    replica_commitment,
    sector_size,
)
from store.cid import Cid, write_uvarint

if TYPE_CHECKING:
    from hypervisor.proofs.consensus_faults import ConsensusFault, WorkerKey


class ProofVerifier(Protocol):
    """Verifies proofs; arguments are the actor's CBOR, whose structure is already checked.

    Methods raise ExternError if no verdict is possible, as for bytes that are not a proof; the actor gets
    ILLEGAL_ARGUMENT.
    """

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        """Verify `count` seal proofs, and return a result for each."""

    def verify_window_post(self, info: bytes) -> bool:
        """Verify a window proof of spacetime."""

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """Verify an aggregate of seal proofs."""

    def verify_replica_update(self, info: bytes) -> bool:
        """Verify a proof of a replica update."""

    def verify_consensus_fault(
        self, first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey
    ) -> ConsensusFault | None:
        """Return the fault that two block headers (and a third) prove, or None. Raises NoFault, with the reason."""


class FaultVerifier:
    """Verifies consensus faults by the headers."""

    def verify_consensus_fault(
        self, first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey
    ) -> ConsensusFault | None:
        from hypervisor.proofs.consensus_faults import find_fault  # loaded by the first fault

        return find_fault(first, second, extra, worker_key)


class RefuseProofs(FaultVerifier):
    """The default verifier, which cannot verify storage proofs and raises Fatal."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        raise _unavailable("seal proofs")

    def verify_window_post(self, info: bytes) -> bool:
        raise _unavailable("window proofs of spacetime")

    def verify_aggregate_seals(self, info: bytes) -> bool:
        raise _unavailable("aggregated seal proofs")

    def verify_replica_update(self, info: bytes) -> bool:
        raise _unavailable("replica updates")


class AcceptProofs(FaultVerifier):
    """Accepts every storage proof, for local networks and tests."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        return [True] * count

    def verify_window_post(self, info: bytes) -> bool:
        return True

    def verify_aggregate_seals(self, info: bytes) -> bool:
        return True

    def verify_replica_update(self, info: bytes) -> bool:
        return True


def _unavailable(what: str) -> Fatal:
    return Fatal(f"this machine has no verifier for {what}: pass `StorageProofs`, or `AcceptProofs` on a local network")


EXTENSION: Final = "fvm_hypervisor_proofs"
_ID_BYTES: Final = 32
_NI_SEALS: Final = range(15, 20)
"""Types of non-interactive seals (FIP-0090)."""
_MAX_AGGREGATED: Final = 819
_MAX_AGGREGATED_NI: Final = 65
"""Maximum number of sectors in an aggregate, interactive or not.

The published keys verify at most 8,192 SNARKs (filecoin-proofs caches.rs, `FIP0013_MAX_SNARKS`), and a seal of 32 GiB
has 10 of them, a non-interactive one 126. Source: builtin-actors runtime/src/runtime/policy.rs.
"""
_MAX_AGGREGATE_BYTES: Final = 81_960
"""Maximum size of an aggregate proof (policy.rs, `MAX_AGGREGATED_PROOF_SIZE`)."""

_Result = TypeVar("_Result")
SectorFields = tuple[int, bytes, bytes, bytes, bytes]
"""Number, sealed and data commitment, ticket, seed."""


class ProofExtension(Protocol):
    """Functions of the extension; commitments, randomness and provers are 32 bytes."""

    ParametersError: type[Exception]
    """Raised for missing or altered keys, and if another folder is in use."""
    ProofError: type[Exception]
    """Raised for input that is not a proof."""

    def configure(self, folder: str, check_digests: bool) -> None:
        """Set the folder of keys for this process."""

    def verify_seal(self, seal_type: int, prover: bytes, fields: SectorFields, proof: bytes) -> bool:
        """Verify a seal."""

    def verify_aggregate(
        self, seal_type: int, aggregate_type: int, prover: bytes, sectors: list[SectorFields], proof: bytes
    ) -> bool:
        """Verify an aggregate of seals."""

    def verify_window_post(
        self, post_type: int, randomness: bytes, proofs: list[bytes], sectors: list[tuple[int, bytes]], prover: bytes
    ) -> bool:
        """Verify a window proof."""

    def verify_winning_post(
        self, post_type: int, randomness: bytes, proof: bytes, sectors: list[tuple[int, bytes]], prover: bytes
    ) -> bool:
        """Verify a winning proof."""

    def winning_challenge(self, post_type: int, randomness: bytes, count: int, prover: bytes) -> list[int]:
        """Return the positions of the sectors that a winning proof covers."""

    def verify_replica_update(self, update_type: int, old: bytes, new: bytes, data: bytes, proof: bytes) -> bool:
        """Verify the update of a replica."""


class StorageProofs(FaultVerifier):
    """Verifies storage proofs with the verifying keys in a folder.

    Missing or altered keys raise Fatal when a proof needs them: then no verdict is possible. Keys must have the
    published digests, unless `check_digests` is False, for keys of a test network. The folder is the same for a whole
    process.
    """

    def __init__(self, folder: str | Path, *, check_digests: bool = True) -> None:
        """Load the extension. Raises InvalidInput if it is not installed, or for a folder that cannot be used."""
        self._extension = _load()
        path = Path(folder).absolute()
        if not path.is_dir():
            raise InvalidInput(
                f"{path}, the folder of verifying keys, does not exist: fetch the keys first (docs/proofs.md)"
            )
        self._process = os.getpid()
        try:
            self._extension.configure(str(path), check_digests)
        except self._extension.ParametersError as error:
            raise InvalidInput(f"verifying keys: {error}") from None

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        """Verify seals. Input that is not a seal gives False."""
        return [self._seal(*fields) for fields in read_proof_input(infos, [SEAL])]

    def _seal(
        self,
        seal_type: int,
        sector: Sequence[int],
        _: object,
        ticket: bytes,
        seed: bytes,
        proof: bytes,
        sealed: Cid,
        data: Cid,
    ) -> bool:
        miner, number = sector
        try:
            fields = _sector(number, ticket, seed, sealed, data)
            if sector_size(seal_type) is None:
                return False
            return self._verdict(lambda: self._extension.verify_seal(seal_type, prover_id(miner), fields, proof))
        except (ValueError, ExternError):
            return False

    def verify_window_post(self, info: bytes) -> bool:
        randomness, proofs, sectors, miner = read_proof_input(info, WINDOW_PROOF)
        replicas = [(number, _commitment(replica_commitment, sealed)) for _, number, sealed in sectors]
        post_type, each = proofs[0][0], [proof for _, proof in proofs]
        return self._verdict(
            lambda: self._extension.verify_window_post(post_type, randomness, each, replicas, prover_id(miner))
        )

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """Verify an aggregate of seals. Raises ExternError for more sectors or bytes than a miner may submit."""
        miner, seal_type, aggregate_type, proof, sectors = read_proof_input(info, AGGREGATE)
        limit = _MAX_AGGREGATED_NI if seal_type in _NI_SEALS else _MAX_AGGREGATED
        if len(sectors) > limit:
            raise ExternError(f"{len(sectors)} seals of type {seal_type} exceed the maximum of {limit}")
        if len(proof) > _MAX_AGGREGATE_BYTES:
            raise ExternError(f"a proof of {len(proof)} bytes exceeds the maximum of {_MAX_AGGREGATE_BYTES}")
        try:
            fields = [_sector(*each) for each in sectors]
        except ValueError as error:
            raise ExternError(str(error)) from None
        return self._verdict(
            lambda: self._extension.verify_aggregate(seal_type, aggregate_type, prover_id(miner), fields, proof)
        )

    def verify_replica_update(self, info: bytes) -> bool:
        update_type, old, new, data, proof = read_proof_input(info, REPLICA_UPDATE)
        before, after = _commitment(replica_commitment, old), _commitment(replica_commitment, new)
        content = _commitment(piece_commitment, data)
        return self._verdict(
            lambda: self._extension.verify_replica_update(update_type, before, after, content, bytes(proof))
        )

    def verify_winning_post(
        self, post_type: int, randomness: bytes, proof: bytes, sectors: Sequence[tuple[int, Cid]], miner: int
    ) -> bool:
        """Verify the winning proof of a block; `sectors` are those of `winning_challenge`, as (number, sealed CID).

        Raises ExternError for input that is not a proof, and Fatal for missing keys. No syscall needs this.
        """
        replicas = [(number, _commitment(replica_commitment, sealed)) for number, sealed in sectors]
        return self._verdict(
            lambda: self._extension.verify_winning_post(post_type, randomness, proof, replicas, prover_id(miner))
        )

    def winning_challenge(self, post_type: int, randomness: bytes, count: int, miner: int) -> list[int]:
        """Return the positions of the sectors that a winning proof covers, among `count` sectors of a miner."""
        return self._verdict(lambda: self._extension.winning_challenge(post_type, randomness, count, prover_id(miner)))

    def _verdict(self, verify: Callable[[], _Result]) -> _Result:
        if os.getpid() != self._process:
            # the extension's thread pool does not survive a fork of the process: a verification would never end
            raise Fatal("storage proofs are verified in the process that opened them only: execute without `parallel`")
        try:
            return verify()
        except self._extension.ParametersError as error:
            raise Fatal(f"storage proofs cannot be verified: {error}; fetch the keys (docs/proofs.md)") from None
        except (self._extension.ProofError, ValueError, OverflowError) as error:
            raise ExternError(str(error)) from None


def prover_id(miner: int) -> bytes:
    """Return a miner's ID as a prover: LEB128, padded with zeros to 32 bytes."""
    return write_uvarint(miner).ljust(_ID_BYTES, b"\0")


def _load() -> ProofExtension:
    try:
        return cast(ProofExtension, import_module(EXTENSION))
    except ImportError as error:
        raise InvalidInput(
            f"verification of storage proofs needs the extension {EXTENSION} ({error}): build it with "
            "`pip install ./integrations/proofs`, as docs/proofs.md describes"
        ) from None


def _sector(number: int, ticket: bytes, seed: bytes, sealed: Cid, data: Cid) -> SectorFields:
    return number, replica_commitment(sealed), piece_commitment(data), ticket, seed


def _commitment(read: Callable[[Cid], bytes], cid: Cid) -> bytes:
    try:
        return read(cid)
    except ValueError as error:
        raise ExternError(str(error)) from None
