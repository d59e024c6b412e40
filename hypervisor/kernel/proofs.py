"""Proof syscalls: checks and charges here, verification by the machine's `ProofVerifier`.

Source: ref-fvm fvm/src/kernel/filecoin.rs and syscalls/crypto.rs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypervisor.context import ExternError
from hypervisor.errors import BundleError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.messages.address import Address
from hypervisor.proofs.consensus_faults import ConsensusFault, NoFault, lookback_epoch, worker_key_at_lookback
from hypervisor.proofs.verifier import (
    AGGREGATE,
    PIECES,
    REPLICA_UPDATE,
    SEAL,
    WINDOW_PROOF,
    Shape,
    data_commitment,
    piece_commitment,
    read_proof_input,
    replica_commitment,
    sector_size,
    unsealed_cid,
)
from hypervisor.types import ChainEpoch
from store.blockstore import BlockNotFound
from store.cid import Cid
from store.codec import CodecError

_Answer = TypeVar("_Answer")

_FIRST_WINDOW_POST = 10
_WINDOW_POST_TYPES = range(_FIRST_WINDOW_POST, 15)  # by sector size, in the order of seal types
_AGGREGATE_TYPES = range(2)
_UPDATE_TYPES = range(5)
_RANDOMNESS_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Seals:
    """Seal proofs as encoded by the guest, and their fields."""

    encoded: bytes
    fields: list[Any]


class ProofOps:
    """Storage proofs and consensus faults for one invocation.

    CBOR of the wrong shape is ILLEGAL_ARGUMENT, without charge. So is, after the charge, input that cannot be a valid
    proof (the verifier is not called) and input that the verifier cannot judge.
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def compute_unsealed_sector_cid(self, proof_type: int, pieces: bytes) -> Cid:
        """Return CommD of a sector as a CID; `pieces` is CBOR of [[padded size, piece CID], ...]."""
        # check
        size = sector_size(proof_type)
        if size is None:
            raise _illegal(f"unknown seal proof type {proof_type}")
        fields = _read(pieces, PIECES, "pieces")
        # charge
        self._calls.gas.charge("OnComputeUnsealedSectorCid", self._calls.prices.unsealed_sector_cid)
        # do
        try:
            layout = [(length, piece_commitment(piece)) for length, piece in fields]
            return unsealed_cid(data_commitment(size, layout))
        except ValueError as error:
            raise _illegal(f"pieces: {error}") from None

    def verify_post(self, info: bytes) -> bool:
        """Verify a window proof: [randomness, [[type, proof], ...], [[type, number, sealed CID], ...], prover]."""
        # check
        randomness, proofs, sectors, _ = _read(info, WINDOW_PROOF, "window proof")
        # charge
        self._calls.gas.charge("OnVerifyPost", self._calls.prices.verify_post.of(len(sectors)))
        # do
        try:
            _check_window_proof(randomness, [proof_type for proof_type, _ in proofs], sectors)
        except ValueError as error:
            raise _illegal(f"window proof: {error}") from None
        return _call_verifier("window proof", lambda: self._calls.machine.proofs.verify_window_post(info))

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """Verify an aggregate of seals.

        The shape is [miner, seal type, aggregate type, proof, [[number, randomness, seed, sealed, data], ...]].
        """
        # check
        _, seal_type, aggregate_type, _, sectors = _read(info, AGGREGATE, "aggregate")
        # charge
        table = self._calls.prices.verify_aggregate
        self._calls.gas.charge("OnVerifyAggregateSeals", table.get(seal_type, table[8]).of(len(sectors)))
        # do
        try:
            _check_aggregate(seal_type, aggregate_type, sectors)
        except ValueError as error:
            raise _illegal(f"aggregate: {error}") from None
        return _call_verifier("aggregate", lambda: self._calls.machine.proofs.verify_aggregate_seals(info))

    def verify_replica_update(self, info: bytes) -> bool:
        """Verify a replica update.

        The shape is [type, old sealed CID, new sealed CID, new unsealed CID, proof as a list of ints].
        """
        # check
        update_type, old, new, data, _ = _read(info, REPLICA_UPDATE, "replica update")
        # charge
        self._calls.gas.charge("OnVerifyReplicaUpdate", self._calls.prices.verify_replica_update)
        # do
        try:
            _check_replica_update(update_type, old, new, data)
        except ValueError as error:
            raise _illegal(f"replica update: {error}") from None
        return _call_verifier("replica update", lambda: self._calls.machine.proofs.verify_replica_update(info))

    def read_seals(self, infos: bytes) -> Seals:
        """Decode seal proofs; separate, since the guest's result buffer is checked before the charge."""
        return Seals(infos, _read(infos, [SEAL], "seals"))

    def batch_verify_seals(self, seals: Seals) -> list[bool]:
        """Return a result for each seal proof; False for input that cannot be a proof."""
        # charge
        self._calls.gas.charge("OnVerifySeals", self._calls.prices.verify_seal * len(seals.fields))
        # return
        possible = [_can_be_seal(*seal) for seal in seals.fields]
        if not any(possible):
            return possible
        answers = self._calls.machine.proofs.verify_seals(seals.encoded, len(seals.fields))
        return [answer and can for answer, can in zip(answers, possible, strict=True)]

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        """Return the consensus fault that block headers prove, or None, with the reason in the backtrace.

        Errors: ILLEGAL_ARGUMENT if the verifier cannot decide.
        """
        # charge
        cost = self._calls.prices.verify_consensus_fault
        self._calls.gas.charge("OnVerifyConsensusFault", cost, cost)
        # return
        verify = self._calls.machine.proofs.verify_consensus_fault
        try:
            return _call_verifier("consensus fault", lambda: verify(first, second, extra, self._worker_key))
        except NoFault as reason:
            self._calls.backtrace.set_cause(f"no consensus fault: {reason}")
            return None

    def _worker_key(self, miner: Address, epoch: ChainEpoch) -> Address:
        """Return the key of a miner's worker for a block at an epoch. Raises NoFault, ExternError."""
        machine = self._calls.machine
        lookback = lookback_epoch(epoch, machine.context.epoch)
        try:
            root = machine.externs.state_root(lookback)
            return worker_key_at_lookback(machine.store, root, self._calls.tree, miner)
        except (BlockNotFound, BundleError) as error:
            raise ExternError(f"the state of epoch {lookback} cannot be read: {error}") from None


def _read(data: bytes, shape: Shape, what: str) -> Any:
    try:
        return read_proof_input(data, shape)
    except CodecError as error:
        raise _illegal(f"{what}: {error}") from None


def _check_window_proof(randomness: bytes, types: list[int], sectors: list[list[Any]]) -> None:
    """Raise ValueError for an invalid window proof; sectors have the shape in `WINDOW_PROOF`."""
    if len(set(types)) != 1 or types[0] not in _WINDOW_POST_TYPES:
        raise ValueError(f"expected proofs of a single window type, found {sorted(set(types))}")
    _check_randomness(randomness)
    for seal_type, number, sealed in sectors:
        size = sector_size(seal_type)
        if size is None or size != sector_size(types[0] - _FIRST_WINDOW_POST):
            raise ValueError(f"sector {number} of seal type {seal_type} does not match proof type {types[0]}")
        replica_commitment(sealed)


def _check_aggregate(seal_type: int, aggregate_type: int, sectors: list[list[Any]]) -> None:
    """Raise ValueError for an invalid aggregate; sectors have the shape in `AGGREGATE`."""
    if not sectors:
        raise ValueError("no sectors")
    if sector_size(seal_type) is None or aggregate_type not in _AGGREGATE_TYPES:
        raise ValueError(f"unknown seal type {seal_type} or aggregate type {aggregate_type}")
    for _, randomness, seed, sealed, data in sectors:
        replica_commitment(sealed)
        piece_commitment(data)
        _check_randomness(randomness)
        _check_randomness(seed)


def _check_replica_update(update_type: int, old: Cid, new: Cid, data: Cid) -> None:
    """Raise ValueError for an invalid replica update."""
    if update_type not in _UPDATE_TYPES:
        raise ValueError(f"unknown update type {update_type}")
    replica_commitment(old)
    replica_commitment(new)
    piece_commitment(data)


def _can_be_seal(
    seal_type: int,
    _sector: object,
    _deals: object,
    randomness: bytes,
    seed: bytes,
    _proof: bytes,
    sealed: Cid,
    data: Cid,
) -> bool:
    try:
        replica_commitment(sealed)
        piece_commitment(data)
        _check_randomness(randomness)
        _check_randomness(seed)
    except ValueError:
        return False
    return sector_size(seal_type) is not None


def _check_randomness(randomness: bytes) -> None:
    if len(randomness) != _RANDOMNESS_LENGTH:
        raise ValueError(f"randomness has {len(randomness)} bytes, expected {_RANDOMNESS_LENGTH}")


def _call_verifier(what: str, ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except ExternError as error:
        raise _illegal(f"{what}: {error}") from None


def _illegal(message: str) -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, message)
