"""Proof syscalls: shapes and charges here, answers from the machine's `ProofVerifier`.

Rules: ref-fvm fvm/src/kernel/filecoin.rs and syscalls/crypto.rs.
"""

from typing import TYPE_CHECKING, Any

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.proofs import ConsensusFault
from hypervisor.sector_commitments import data_commitment, piece_commitment, sector_size, unsealed_cid
from store.cid import Cid
from store.codec import CodecError, decode_strict, unlink

if TYPE_CHECKING:
    from hypervisor.call_manager import CallManager

_WINDOW_POST_TYPES = range(5, 15)


class Proofs:
    """Proofs of storage and faults for one invocation. Every error of a shape is ILLEGAL_ARGUMENT."""

    __slots__ = ("_calls",)

    def __init__(self, calls: "CallManager") -> None:
        self._calls = calls

    def compute_unsealed_sector_cid(self, proof_type: int, pieces: bytes) -> Cid:
        """CommD of a sector as a CID; `pieces` is CBOR of [[padded size, piece CID], ...]."""
        # check
        size = sector_size(proof_type)
        if size is None:
            raise _illegal(f"seal proof {proof_type} is not known")
        fields = _decode(pieces, "pieces")
        # charge
        self._calls.gas.charge("OnComputeUnsealedSectorCid", self._calls.prices.unsealed_sector_cid)
        # do
        try:
            layout = [(length, piece_commitment(unlink(piece))) for length, piece in fields]
            return unsealed_cid(data_commitment(size, layout))
        except (ValueError, TypeError) as error:
            raise _illegal(f"pieces: {error}") from None

    def verify_post(self, info: bytes) -> bool:
        """A window proof: [randomness, [[type, proof], ...], [[type, number, sealed CID], ...], prover]."""
        # check
        fields = _tuple(info, 4, "window proof")
        randomness, proofs, sectors = fields[0], fields[1], fields[2]
        if not isinstance(proofs, list) or not isinstance(sectors, list) or not isinstance(randomness, bytes):
            raise _illegal("a window proof holds randomness, a list of proofs and a list of sectors")
        # charge
        self._calls.gas.charge("OnVerifyPost", self._calls.prices.verify_post.of(len(sectors)))
        # do
        types = {_first(proof) for proof in proofs}
        if len(types) != 1 or next(iter(types)) not in _WINDOW_POST_TYPES or len(randomness) != 32:
            raise _illegal("a window proof needs proofs of one window type, and 32 bytes of randomness")
        return self._calls.machine.proofs.verify_window_post(info)

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """An aggregate: [miner, seal type, aggregate type, proof, [[number, ...], ...]]."""
        # check
        fields = _tuple(info, 5, "aggregate")
        seal_type, sectors = fields[1], fields[4]
        if not isinstance(sectors, list):
            raise _illegal("an aggregate holds a list of sectors")
        # charge
        table = self._calls.prices.verify_aggregate
        price = table.get(seal_type) if isinstance(seal_type, int) else None
        self._calls.gas.charge("OnVerifyAggregateSeals", (price or table[8]).of(len(sectors)))
        # do
        if not sectors:
            raise _illegal("an aggregate of no sectors")
        return self._calls.machine.proofs.verify_aggregate_seals(info)

    def verify_replica_update(self, info: bytes) -> bool:
        """A replica update: [type, old sealed CID, new sealed CID, new unsealed CID, proof as a list of ints]."""
        # check
        _tuple(info, 5, "replica update")
        # charge
        self._calls.gas.charge("OnVerifyReplicaUpdate", self._calls.prices.verify_replica_update)
        # return
        return self._calls.machine.proofs.verify_replica_update(info)

    def batch_verify_seals(self, infos: bytes) -> list[bool]:
        """Seal proofs, one answer each."""
        # check
        fields = _decode(infos, "seals")
        if not isinstance(fields, list):
            raise _illegal("seals are a list")
        # charge
        self._calls.gas.charge("OnVerifySeals", self._calls.prices.verify_seal * len(fields))
        # return
        return self._calls.machine.proofs.verify_seals(infos, len(fields))

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        """Whether block headers prove a consensus fault; None if they do not."""
        # charge
        self._calls.gas.charge("OnVerifyConsensusFault", self._calls.prices.verify_consensus_fault)
        # return
        return self._calls.machine.proofs.verify_consensus_fault(first, second, extra)


def _decode(data: bytes, what: str) -> Any:
    try:
        return decode_strict(data)
    except CodecError as error:
        raise _illegal(f"{what}: {error}") from None


def _tuple(data: bytes, length: int, what: str) -> list[Any]:
    fields = _decode(data, what)
    if not isinstance(fields, list) or len(fields) != length:
        raise _illegal(f"a {what} is a tuple of {length}")
    return fields


def _first(pair: Any) -> Any:
    return pair[0] if isinstance(pair, list) and len(pair) == 2 else None


def _illegal(message: str) -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, message)
