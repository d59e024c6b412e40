"""Verification of storage proofs.

The machine uses a `ProofVerifier`: the default fails with an error, `StorageProofs` verifies with a separate extension
(`hypervisor.proofs.storage`), `AcceptProofs` accepts all proofs (for local networks), and tests can supply recorded
results. Consensus faults need no circuits and are always verified. Source: ref-fvm kernel/default.rs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hypervisor.errors import Fatal

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
