"""The chain environment of a vector: context, recorded randomness and tipsets, and results of proofs.

The fields are those of the official test-vector format, and those that the golden vectors add
(tests/golden/README.md).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from hypervisor.context import MachineContext
from hypervisor.externs import ExternError
from hypervisor.proofs.consensus_faults import ConsensusFault, WorkerKey
from hypervisor.proofs.verifier import AcceptProofs, ProofVerifier, RefuseProofs
from hypervisor.types import ActorID, ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion
from store.cid import Cid, parse_cid

_EPOCH_SECONDS = 30
_DEFAULT_BASE_FEE = 100
_MAX_BITS = 136
_DEFAULT_SUPPLY = 2_000_000_000 * 10**18
_RANDOMNESS = b"i_am_random_____i_am_random_____"


def context_of(vector: Mapping[str, Any], variant: Mapping[str, Any], network: NetworkVersion) -> MachineContext:
    """Return the epoch's context; unspecified fields default as in the ref-fvm v3 driver."""
    before = vector["preconditions"]
    epoch = read_number(variant["epoch"], "epoch")
    return MachineContext(
        network=network,
        epoch=ChainEpoch(epoch),
        timestamp=read_number(before.get("timestamp", epoch * _EPOCH_SECONDS), "timestamp"),
        base_fee=TokenAmount(read_number(before.get("basefee", _DEFAULT_BASE_FEE), "basefee")),
        chain_id=read_number(before.get("chain_id", 0), "chain_id"),
        circulating_supply=TokenAmount(read_number(before.get("circ_supply", _DEFAULT_SUPPLY), "circ_supply")),
    )


def read_number(value: Any, name: str) -> int:
    """Parse an integer of at most 136 bits, since vectors exceed 128 bits. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > _MAX_BITS:
        raise ValueError(f"'{name}' is {value!r:.60}, expected a number")
    return value


class ReplayExterns:
    """The recorded randomness of a vector, otherwise a fixed digest, and its tipsets."""

    def __init__(self, vector: Mapping[str, Any]) -> None:
        self._digests = {tuple(entry["on"]): _digest(entry["ret"]) for entry in vector.get("randomness") or []}
        self._tipsets = {
            read_number(entry["epoch"], "epoch"): parse_cid(entry["cid"]["/"]) for entry in vector.get("tipsets", [])
        }

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("chain", epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("beacon", epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        if epoch not in self._tipsets:
            raise ExternError(f"the vector has no tipset at epoch {epoch}")
        return self._tipsets[epoch]

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"the vector has no state of epoch {epoch}")

    def _digest(self, kind: str, epoch: ChainEpoch) -> bytes:
        if (kind, epoch) not in self._digests:
            return _RANDOMNESS
        recorded = self._digests[kind, epoch]
        if recorded is None:
            raise ExternError(f"the vector's chain has no {kind} randomness at epoch {epoch}")
        return recorded


def _digest(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _fault(recorded: Mapping[str, int]) -> ConsensusFault:
    target, epoch, kind = (read_number(recorded[name], name) for name in ("target", "epoch", "type"))
    return ConsensusFault(ActorID(target), ChainEpoch(epoch), kind)


class ReplayFault(AcceptProofs):
    """Accepts proofs; consensus faults are those recorded in the vector."""

    def __init__(self, recorded: Mapping[str, int] | str | None) -> None:
        self._fault_result: ConsensusFault | str | None = (
            recorded if recorded is None or isinstance(recorded, str) else _fault(recorded)
        )

    def verify_consensus_fault(
        self, first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey
    ) -> ConsensusFault | None:
        match self._fault_result:
            case None:
                return None
            case str():
                raise ExternError("the vector's chain cannot read these block headers")
            case ConsensusFault():
                return self._fault_result


class RejectProofs(ReplayFault):
    """Rejects all proofs."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        return [False] * count

    def verify_window_post(self, info: bytes) -> bool:
        return False

    def verify_aggregate_seals(self, info: bytes) -> bool:
        return False

    def verify_replica_update(self, info: bytes) -> bool:
        return False


def proofs_of(vector: Mapping[str, Any]) -> ProofVerifier:
    """Return the proof verifier of a vector.

    `real` marks vectors that need no proof result: any use of a proof fails. Official vectors have no entry, which
    means `accept`. Raises ValueError for other values.
    """
    recorded = vector.get("consensus_fault")
    match vector.get("proofs"):
        case "reject":
            return RejectProofs(recorded)
        case "real":
            return RefuseProofs()
        case None | "accept":
            return ReplayFault(recorded)
        case other:
            raise ValueError(f"proofs must be accept, reject or real, not {other}")
