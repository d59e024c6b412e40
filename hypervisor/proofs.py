"""Who verifies proofs of storage and reports of consensus faults.

Real verification needs the network's parameters and circuits, which are out of reach here. So the machine asks a
`ProofVerifier`: the default refuses with a clear error, `AcceptProofs` takes everything (local networks that say so),
and a test may answer as its vector does. Source of the shapes: ref-fvm kernel/default.rs.
"""

from dataclasses import dataclass
from typing import Protocol

from hypervisor.errors import Fatal
from hypervisor.types import ActorID, ChainEpoch


@dataclass(frozen=True, slots=True)
class ConsensusFault:
    """A proven fault: whose, in which epoch, of which kind (1 double fork, 2 parent grinding, 3 time offset)."""

    target: ActorID
    epoch: ChainEpoch
    kind: int


class ProofVerifier(Protocol):
    """Answers for proofs; each argument is the CBOR that the actor handed over, already checked for its shape.

    ExternError where there is no answer, as for bytes that are no proof at all: the actor's error is ILLEGAL_ARGUMENT.
    """

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        """One answer for each of `count` seal proofs."""

    def verify_window_post(self, info: bytes) -> bool:
        """A window proof of spacetime."""

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """An aggregate of seal proofs."""

    def verify_replica_update(self, info: bytes) -> bool:
        """A proof of a replica update."""

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        """Whether two block headers (and a third) prove a fault."""


class RefuseProofs:
    """The default: there is no verifier, and nothing is taken for proven."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        raise _unavailable("seal proofs")

    def verify_window_post(self, info: bytes) -> bool:
        raise _unavailable("window proofs of spacetime")

    def verify_aggregate_seals(self, info: bytes) -> bool:
        raise _unavailable("aggregated seal proofs")

    def verify_replica_update(self, info: bytes) -> bool:
        raise _unavailable("replica updates")

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        raise _unavailable("consensus faults")


class AcceptProofs:
    """Takes every proof for valid and sees no consensus fault: for local networks and tests that choose it."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        return [True] * count

    def verify_window_post(self, info: bytes) -> bool:
        return True

    def verify_aggregate_seals(self, info: bytes) -> bool:
        return True

    def verify_replica_update(self, info: bytes) -> bool:
        return True

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        return None


def _unavailable(what: str) -> Fatal:
    return Fatal(f"this machine has no verifier for {what}: give it one, or choose `AcceptProofs` on a local network")
