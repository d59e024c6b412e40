"""Verification of storage proofs: policies, the extension `fvm-hypervisor-proofs`, and the inputs of proof syscalls.

The machine uses a `ProofVerifier`: the default fails with an error, `StorageProofs` verifies with a separate extension,
`AcceptProofs` accepts all proofs (for local networks), and tests can supply recorded
results. Consensus faults need no circuits and are always verified. Source: ref-fvm kernel/default.rs.

The extension wraps the crate `filecoin-proofs-api`, as ref-fvm does. It reads verifying keys from a folder and
downloads nothing (docs/proofs.md). Source: ref-fvm fvm/src/kernel/filecoin.rs.

The inputs are decoded as in ref-fvm syscalls/filecoin.rs `read_cbor`, fvm_shared sector/seal.rs and sector/post.rs.
The unsealed commitment of a sector (CommD) is the root of a binary Merkle tree over its pieces. Nodes are sha2-256 with
the two most significant bits of the last byte cleared. Pieces are stored in order, each aligned to its own size with
zero pieces, and the sector is padded with zero pieces.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, assert_never, cast

from hypervisor.context import ExternError
from hypervisor.errors import Fatal, InvalidInput
from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, Cid, CidError, read_cid, split_cid, write_uvarint
from store.codec import LINK_TAG, CodecError

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
        replicas = [(number, _read_commitment(replica_commitment, sealed)) for _, number, sealed in sectors]
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
        before, after = _read_commitment(replica_commitment, old), _read_commitment(replica_commitment, new)
        content = _read_commitment(piece_commitment, data)
        return self._verdict(
            lambda: self._extension.verify_replica_update(update_type, before, after, content, bytes(proof))
        )

    def verify_winning_post(
        self, post_type: int, randomness: bytes, proof: bytes, sectors: Sequence[tuple[int, Cid]], miner: int
    ) -> bool:
        """Verify the winning proof of a block; `sectors` are those of `winning_challenge`, as (number, sealed CID).

        Raises ExternError for input that is not a proof, and Fatal for missing keys. No syscall needs this.
        """
        replicas = [(number, _read_commitment(replica_commitment, sealed)) for number, sealed in sectors]
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


def _read_commitment(read: Callable[[Cid], bytes], cid: Cid) -> bytes:
    try:
        return read(cid)
    except ValueError as error:
        raise ExternError(str(error)) from None


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
_INDEFINITE_LENGTH: Final = 0x1F
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
                return self._read_signed()
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

    def _read_signed(self) -> int:
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
        if head == major << 5 | _INDEFINITE_LENGTH:
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


SEAL = (InputKind.SIGNED, (InputKind.UNSIGNED, InputKind.UNSIGNED), [InputKind.UNSIGNED],
         InputKind.BYTES, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)  # fmt: skip
PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]
WINDOW_PROOF = (
    InputKind.BYTES,
    [(InputKind.SIGNED, InputKind.BYTES)],
    [(InputKind.SIGNED, InputKind.UNSIGNED, InputKind.LINK)],
    InputKind.UNSIGNED,
)
_AGGREGATED = (InputKind.UNSIGNED, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)
AGGREGATE = (InputKind.UNSIGNED, InputKind.SIGNED, InputKind.SIGNED, InputKind.BYTES, [_AGGREGATED])
# Network rule: the proof of an update is a list of numbers.
REPLICA_UPDATE = (InputKind.SIGNED, InputKind.LINK, InputKind.LINK, InputKind.LINK, [InputKind.OCTET])


SHA2_256_TRUNC254_PADDED = 0x1012
POSEIDON_BLS12_381_A1_FC1 = 0xB401
NODE_SIZE = 32
_SECTOR_SIZES = (2 << 10, 8 << 20, 512 << 20, 32 << 30, 64 << 30)
_PROOF_TYPES = 20


def sector_size(proof_type: int) -> int | None:
    """Return the sector size in bytes of a registered seal proof, or None for an unknown one."""
    return _SECTOR_SIZES[proof_type % len(_SECTOR_SIZES)] if 0 <= proof_type < _PROOF_TYPES else None


def piece_commitment(cid: Cid) -> bytes:
    """Return the 32-byte commitment in the CID of a piece or of a sector's data. Raises ValueError."""
    return _commitment(cid, FIL_COMMITMENT_UNSEALED, SHA2_256_TRUNC254_PADDED)


def replica_commitment(cid: Cid) -> bytes:
    """Return the 32-byte commitment in the CID of a sealed sector. Raises ValueError."""
    return _commitment(cid, FIL_COMMITMENT_SEALED, POSEIDON_BLS12_381_A1_FC1)


def _commitment(cid: Cid, wanted_codec: int, wanted_hash: int) -> bytes:
    try:
        _, codec, hash_code, digest = split_cid(cid)
    except CidError as error:
        raise ValueError(str(error)) from None
    if codec != wanted_codec or hash_code != wanted_hash or len(digest) != NODE_SIZE:
        raise ValueError(f"{cid.hex()} is not a commitment of codec {wanted_codec:#x}")
    return digest


def unsealed_cid(commitment: bytes) -> Cid:
    """Return the CID of a 32-byte commitment to unsealed data."""
    prefix = b"\x01" + write_uvarint(FIL_COMMITMENT_UNSEALED) + write_uvarint(SHA2_256_TRUNC254_PADDED)
    return Cid(prefix + bytes([NODE_SIZE]) + commitment)


def data_commitment(size: int, pieces: Sequence[tuple[int, bytes]]) -> bytes:
    """Return CommD of a sector of `size` bytes with pieces of (padded size in bytes, commitment).

    Raises ValueError if a piece size is not a power of two of at least 128 bytes, or if the pieces do not fit.
    """
    if not pieces:
        return zero_commitment(size)
    stack: list[tuple[int, bytes]] = []
    total = 0
    for piece_size, commitment in pieces:
        if piece_size < 128 or piece_size & (piece_size - 1):
            raise ValueError(f"invalid piece size of {piece_size} bytes: expected a power of two of at least 128")
        for padding in _padding(total, piece_size):
            _push(stack, padding, zero_commitment(padding))
            total += padding
        _push(stack, piece_size, commitment)
        total += piece_size
        if total > size:
            raise ValueError(f"the pieces need {total} bytes, but the sector has {size}")
    for padding in _padding(total, size):
        _push(stack, padding, zero_commitment(padding))
    if len(stack) != 1 or stack[0][0] != size:
        raise ValueError(f"the pieces do not fill a sector of {size} bytes")
    return stack[0][1]


@cache
def zero_commitment(size: int) -> bytes:
    """Return the commitment of `size` zero bytes, a power of two."""
    if size <= NODE_SIZE:
        return bytes(NODE_SIZE)
    half = zero_commitment(size // 2)
    return _node(half, half)


def _node(left: bytes, right: bytes) -> bytes:
    digest = bytearray(hashlib.sha256(left + right).digest())
    digest[-1] &= 0x3F
    return bytes(digest)


def _padding(total: int, size: int) -> Iterator[int]:
    """Iterate over the sizes of zero pieces, smallest first, that align `total` to a multiple of `size`."""
    missing = -total % size
    while missing:
        lowest = missing & -missing
        yield lowest
        missing -= lowest


def _push(stack: list[tuple[int, bytes]], size: int, commitment: bytes) -> None:
    while stack and stack[-1][0] == size:
        commitment = _node(stack.pop()[1], commitment)
        size *= 2
    stack.append((size, commitment))
