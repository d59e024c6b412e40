"""Proof syscalls: shapes and charges here, answers from the machine's `ProofVerifier`.

Rules: ref-fvm fvm/src/kernel/filecoin.rs and syscalls/crypto.rs.
"""

from typing import TYPE_CHECKING, Any

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.externs import ExternError
from hypervisor.proofs import ConsensusFault
from hypervisor.sector_commitments import data_commitment, piece_commitment, sector_size, unsealed_cid
from store.cid import Cid
from store.codec import CodecError, decode_strict, unlink

if TYPE_CHECKING:
    from hypervisor.call_manager import CallManager

_WINDOW_POST_TYPES = range(5, 15)

# Shapes of the CBOR: a type, `_LINK`, [shape of every item], or a tuple with a shape for each field.
_LINK = object()
_PIECES = [(int, _LINK)]
_WINDOW_PROOF = (bytes, [(int, bytes)], [(int, int, _LINK)], int)
_AGGREGATE = (int, int, int, bytes, [(int, bytes, bytes, _LINK, _LINK)])
_REPLICA_UPDATE = (int, _LINK, _LINK, _LINK, [int])  # the proof is a list of numbers: the network's rule
_SEALS = [(int, (int, int), [int], bytes, bytes, bytes, _LINK, _LINK)]


class Proofs:
    """Proofs of storage and faults for one invocation. CBOR of another shape is ILLEGAL_ARGUMENT, without charge."""

    __slots__ = ("_calls",)

    def __init__(self, calls: "CallManager") -> None:
        self._calls = calls

    def compute_unsealed_sector_cid(self, proof_type: int, pieces: bytes) -> Cid:
        """CommD of a sector as a CID; `pieces` is CBOR of [[padded size, piece CID], ...]."""
        # check
        size = sector_size(proof_type)
        if size is None:
            raise _illegal(f"seal proof {proof_type} is not known")
        fields = _decode(pieces, _PIECES, "pieces are a list of size and CID")
        # charge
        self._calls.gas.charge("OnComputeUnsealedSectorCid", self._calls.prices.unsealed_sector_cid)
        # do
        try:
            layout = [(length, piece_commitment(unlink(piece))) for length, piece in fields]
            return unsealed_cid(data_commitment(size, layout))
        except ValueError as error:
            raise _illegal(f"pieces: {error}") from None

    def verify_post(self, info: bytes) -> bool:
        """A window proof: [randomness, [[type, proof], ...], [[type, number, sealed CID], ...], prover]."""
        # check
        randomness, proofs, sectors, _ = _decode(info, _WINDOW_PROOF, "a window proof is a tuple of four")
        # charge
        self._calls.gas.charge("OnVerifyPost", self._calls.prices.verify_post.of(len(sectors)))
        # do
        types = {proof_type for proof_type, _ in proofs}
        if len(types) != 1 or next(iter(types)) not in _WINDOW_POST_TYPES or len(randomness) != 32:
            raise _illegal("a window proof needs proofs of one window type, and 32 bytes of randomness")
        return self._calls.machine.proofs.verify_window_post(info)

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """An aggregate: [miner, seal type, aggregate type, proof, [[number, ...], ...]]."""
        # check
        _, seal_type, _, _, sectors = _decode(info, _AGGREGATE, "an aggregate is a tuple of five")
        # charge
        table = self._calls.prices.verify_aggregate
        self._calls.gas.charge("OnVerifyAggregateSeals", table.get(seal_type, table[8]).of(len(sectors)))
        # do
        if not sectors:
            raise _illegal("an aggregate of no sectors")
        return self._calls.machine.proofs.verify_aggregate_seals(info)

    def verify_replica_update(self, info: bytes) -> bool:
        """A replica update: [type, old sealed CID, new sealed CID, new unsealed CID, proof as a list of ints]."""
        # check
        _decode(info, _REPLICA_UPDATE, "a replica update is a tuple of five")
        # charge
        self._calls.gas.charge("OnVerifyReplicaUpdate", self._calls.prices.verify_replica_update)
        # return
        return self._calls.machine.proofs.verify_replica_update(info)

    def batch_verify_seals(self, infos: bytes) -> list[bool]:
        """Seal proofs, one answer each."""
        # check
        fields = _decode(infos, _SEALS, "seals are a list of tuples of eight")
        # charge
        self._calls.gas.charge("OnVerifySeals", self._calls.prices.verify_seal * len(fields))
        # return
        return self._calls.machine.proofs.verify_seals(infos, len(fields))

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        """Whether block headers prove a consensus fault; None if they do not.

        Errors: ILLEGAL_ARGUMENT where the chain cannot say.
        """
        # charge
        self._calls.gas.charge("OnVerifyConsensusFault", self._calls.prices.verify_consensus_fault)
        # return
        try:
            return self._calls.machine.proofs.verify_consensus_fault(first, second, extra)
        except ExternError as error:
            raise _illegal(f"consensus fault: {error}") from None


def _decode(data: bytes, shape: Any, words: str) -> Any:
    try:
        value = decode_strict(data)
    except CodecError as error:
        raise _illegal(f"{words}: {error}") from None
    if not _has_shape(value, shape):
        raise _illegal(words)
    return value


def _has_shape(value: Any, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(item, shape[0]) for item in value)
    if isinstance(shape, tuple):
        return isinstance(value, list) and len(value) == len(shape) and all(map(_has_shape, value, shape))
    if shape is _LINK:
        return _is_link(value)
    return type(value) is shape  # exactly: a boolean is no number


def _is_link(value: Any) -> bool:
    try:
        unlink(value)
    except CodecError:
        return False
    return True


def _illegal(message: str) -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, message)
