"""Proof syscalls: decoding and charges here, verification by the machine's `ProofVerifier`.

Source: ref-fvm fvm/src/kernel/filecoin.rs and syscalls/crypto.rs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar, assert_never

from hypervisor.address import Address
from hypervisor.consensus_faults import ConsensusFault, NoFault, lookback_epoch, worker_key_at_lookback
from hypervisor.errors import BundleError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.externs import ExternError
from hypervisor.kernel.calls import Calls
from hypervisor.sector_commitments import (
    data_commitment,
    piece_commitment,
    replica_commitment,
    sector_size,
    unsealed_cid,
)
from hypervisor.types import ChainEpoch
from store.blockstore import BlockNotFound
from store.cid import Cid, CidError, read_cid
from store.codec import LINK_TAG, CodecError


class InputKind(Enum):
    """Scalar shapes: integers by range, byte strings, and links (bytes after the first CID are ignored)."""

    UNSIGNED = "an integer of 64 bits"
    SIGNED = "a signed integer of 64 bits"
    OCTET = "an integer of 8 bits"
    BYTES = "a byte string"
    LINK = "a link"


Shape = InputKind | list[Any] | tuple[Any, ...]
"""A kind; a list with the shape of all items of an array; or a tuple with the shape of each item."""

_UNSIGNED, _NEGATIVE, _BYTES, _ARRAY, _TAG = 0, 1, 2, 4, 6
_BREAK: Final = 0xFF
_IN_PIECES: Final = 0x1F
_MAX_DEPTH: Final = 256
_SIGNED_LIMIT: Final = 1 << 63


def read_proof_input(data: bytes, shape: Shape) -> Any:
    """Decode a value of the given shape, with links as `Cid`. Raises CodecError for anything else."""
    reader = _Reader(data)
    value = reader.value(shape, 0)
    if reader.position != len(data):
        raise CodecError(f"{len(data) - reader.position} bytes follow the value")
    return value


class _Reader:
    """The CBOR decoder of proof syscalls, which differs from strict DAG-CBOR.

    ref-fvm decodes by type, with a reader that accepts non-minimal integers, lengths and tags, indefinite-length byte
    strings, and a plain integer's head where that of an array, a byte string or a tag is expected; it rejects
    indefinite-length arrays and integers out of range. Gas depends on what is accepted, so the rules must be the same.
    Source: ref-fvm syscalls/filecoin.rs `read_cbor`, serde_ipld_dagcbor 0.6 de.rs, cbor4ii 0.2 core/dec.rs; golden
    vectors `proofs/decoder/*` and `decoder/*`.
    """

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def value(self, shape: Shape, depth: int) -> Any:
        """Read a value inside of `depth` arrays."""
        if isinstance(shape, list):
            return [self.value(shape[0], depth + 1) for _ in range(self._array())]
        if isinstance(shape, tuple):
            length = self._array()
            if length != len(shape):
                raise CodecError(f"an array of {length} items, expected {len(shape)}")
            return [self.value(item, depth + 1) for item in shape]
        match shape:
            case InputKind.UNSIGNED:
                return self._integer(shape, 8)
            case InputKind.OCTET:
                return self._integer(shape, 1)
            case InputKind.SIGNED:
                return self._signed()
            case InputKind.BYTES:
                return self._bytes(depth)
            case InputKind.LINK:
                return self._link(depth)
            case _:
                assert_never(shape)

    def _integer(self, kind: InputKind, widest: int) -> int:
        head = self._take(1)[0]
        if head >> 5 != _UNSIGNED:
            raise CodecError(f"expected {kind.value}, found byte {head:#04x}")
        return self._argument(head, widest)

    def _signed(self) -> int:
        head = self._take(1)[0]
        major = head >> 5
        if major not in (_UNSIGNED, _NEGATIVE):
            raise CodecError(f"expected {InputKind.SIGNED.value}, found byte {head:#04x}")
        number = self._argument(head & 0x1F, 8)
        if number >= _SIGNED_LIMIT:
            raise CodecError(f"{number} is out of range for a signed integer of 64 bits")
        return number if major == _UNSIGNED else ~number

    def _array(self) -> int:
        length = self._length(_ARRAY)
        if length is None:
            raise CodecError("an array of indefinite length")
        return length

    def _bytes(self, depth: int) -> bytes:
        """Read a byte string; an indefinite-length one may contain nested ones, as deep as arrays."""
        pieces = []
        opened = 0
        while True:
            if opened and self._peek() == _BREAK:
                self.position += 1
                opened -= 1
            else:
                if depth + opened > _MAX_DEPTH:
                    raise CodecError(f"nested deeper than {_MAX_DEPTH} levels")
                length = self._length(_BYTES)
                if length is None:
                    opened += 1
                else:
                    pieces.append(self._take(length))
            if not opened:
                return b"".join(pieces)

    def _link(self, depth: int) -> Cid:
        tag = self._argument(self._take(1)[0] & ~(_TAG << 5), 8)
        if tag != LINK_TAG or self._peek() >> 5 != _BYTES:
            raise CodecError("expected a link")
        raw = self._bytes(depth)
        if raw[:1] != b"\x00":
            raise CodecError("a link must start with the byte 0x00")
        try:
            return read_cid(raw, 1)[0]  # bytes after the CID are ignored
        except CidError as error:
            raise CodecError(f"a link must hold a CID: {error}") from None

    def _length(self, major: int) -> int | None:
        """Read a head of a major type, and return its length; None for indefinite length."""
        head = self._take(1)[0]
        if head == major << 5 | _IN_PIECES:
            return None
        # Network rule: the bits of the major type are masked, not compared, so an integer's head is accepted too.
        return self._argument(head & ~(major << 5), 8)

    def _argument(self, rest: int, widest: int) -> int:
        """Return the number of a head without its major type, either immediate or in up to `widest` bytes."""
        if rest < 24:
            return rest
        if rest <= 27 and (width := 1 << (rest - 24)) <= widest:
            return int.from_bytes(self._take(width))
        raise CodecError(f"unexpected head at byte {self.position - 1}")

    def _peek(self) -> int:
        if self.position >= len(self._data):
            raise CodecError("the value is cut off")
        return self._data[self.position]

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise CodecError("the value is cut off")
        taken = self._data[self.position : end]
        self.position = end
        return taken


_Answer = TypeVar("_Answer")

_FIRST_WINDOW_POST = 10
_WINDOW_POST_TYPES = range(_FIRST_WINDOW_POST, 15)  # by sector size, in the order of seal types
_AGGREGATE_TYPES = range(2)
_UPDATE_TYPES = range(5)
_RANDOMNESS_LENGTH = 32

_SEAL = (InputKind.SIGNED, (InputKind.UNSIGNED, InputKind.UNSIGNED), [InputKind.UNSIGNED],
         InputKind.BYTES, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)  # fmt: skip
_PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]
_WINDOW_PROOF = (
    InputKind.BYTES,
    [(InputKind.SIGNED, InputKind.BYTES)],
    [(InputKind.SIGNED, InputKind.UNSIGNED, InputKind.LINK)],
    InputKind.UNSIGNED,
)
_AGGREGATED = (InputKind.UNSIGNED, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)
_AGGREGATE = (InputKind.UNSIGNED, InputKind.SIGNED, InputKind.SIGNED, InputKind.BYTES, [_AGGREGATED])
# Network rule: the proof of an update is a list of numbers.
_REPLICA_UPDATE = (InputKind.SIGNED, InputKind.LINK, InputKind.LINK, InputKind.LINK, [InputKind.OCTET])


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
        fields = _read(pieces, _PIECES, "pieces")
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
        randomness, proofs, sectors, _ = _read(info, _WINDOW_PROOF, "window proof")
        # charge
        self._calls.gas.charge("OnVerifyPost", self._calls.prices.verify_post.of(len(sectors)))
        # do
        try:
            _check_window_proof(randomness, [proof_type for proof_type, _ in proofs], sectors)
        except ValueError as error:
            raise _illegal(f"window proof: {error}") from None
        return _answer("window proof", lambda: self._calls.machine.proofs.verify_window_post(info))

    def verify_aggregate_seals(self, info: bytes) -> bool:
        """Verify an aggregate of seals.

        The shape is [miner, seal type, aggregate type, proof, [[number, randomness, seed, sealed, data], ...]].
        """
        # check
        _, seal_type, aggregate_type, _, sectors = _read(info, _AGGREGATE, "aggregate")
        # charge
        table = self._calls.prices.verify_aggregate
        self._calls.gas.charge("OnVerifyAggregateSeals", table.get(seal_type, table[8]).of(len(sectors)))
        # do
        try:
            _check_aggregate(seal_type, aggregate_type, sectors)
        except ValueError as error:
            raise _illegal(f"aggregate: {error}") from None
        return _answer("aggregate", lambda: self._calls.machine.proofs.verify_aggregate_seals(info))

    def verify_replica_update(self, info: bytes) -> bool:
        """Verify a replica update.

        The shape is [type, old sealed CID, new sealed CID, new unsealed CID, proof as a list of ints].
        """
        # check
        update_type, old, new, data, _ = _read(info, _REPLICA_UPDATE, "replica update")
        # charge
        self._calls.gas.charge("OnVerifyReplicaUpdate", self._calls.prices.verify_replica_update)
        # do
        try:
            _check_replica_update(update_type, old, new, data)
        except ValueError as error:
            raise _illegal(f"replica update: {error}") from None
        return _answer("replica update", lambda: self._calls.machine.proofs.verify_replica_update(info))

    def read_seals(self, infos: bytes) -> Seals:
        """Decode seal proofs; separate, since the guest's result buffer is checked before the charge."""
        return Seals(infos, _read(infos, [_SEAL], "seals"))

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
            return _answer("consensus fault", lambda: verify(first, second, extra, self._worker_key))
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
    """Raise ValueError for an invalid window proof; sectors have the shape in `_WINDOW_PROOF`."""
    if len(set(types)) != 1 or types[0] not in _WINDOW_POST_TYPES:
        raise ValueError(f"expected proofs of a single window type, found {sorted(set(types))}")
    _check_randomness(randomness)
    for seal_type, number, sealed in sectors:
        size = sector_size(seal_type)
        if size is None or size != sector_size(types[0] - _FIRST_WINDOW_POST):
            raise ValueError(f"sector {number} of seal type {seal_type} does not match proof type {types[0]}")
        replica_commitment(sealed)


def _check_aggregate(seal_type: int, aggregate_type: int, sectors: list[list[Any]]) -> None:
    """Raise ValueError for an invalid aggregate; sectors have the shape in `_AGGREGATE`."""
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


def _answer(what: str, ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except ExternError as error:
        raise _illegal(f"{what}: {error}") from None


def _illegal(message: str) -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, message)
