"""Blobs: KZG proofs, and blob transactions in the network form.

A verifier needs 66 points of the ceremony's setup, which load in a few milliseconds. Libraries that also make proofs
load all 8,257 points, which takes seconds and blocks all threads. `kzg_setup.txt` contains the 66 in compressed form:
[tau]G2, [tau^64]G2 and [tau^i]G1 for i from 0 to 63.

Rules: the consensus specifications, deneb/polynomial-commitments.md and fulu/polynomial-commitments-sampling.md
(EIP-4844, EIP-7594). Field elements are integers below `MODULUS`; blobs, commitments and proofs are bytes.

Blocks contain the transaction only; its versioned hashes name the blobs. The wrapper has version 0 with one proof for
each blob (EIP-4844), or version 1 with proofs of each blob's cells (EIP-7594). Errors are worded like geth's
(core/txpool/validation.go, core/types/tx_blob.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING, Final

from bridge.ethereum import rlp
from bridge.ethereum.transactions import BLOB, SignedTransaction, TransactionError, parse_transaction

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

MODULUS: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order of the scalar field of BLS12-381."""
FIELD_ELEMENTS: Final = 4096
"""Field elements of a blob."""
BLOB_BYTES: Final = 32 * FIELD_ELEMENTS
POINT_BYTES: Final = 48
"""Bytes of a commitment and of a proof."""
CELLS: Final = 128
"""Cells of a blob that is extended to twice its length."""
VERSIONED_HASH: Final = 1
"""First byte of the hash of a commitment."""

_CELL: Final = 64
_GENERATOR: Final = 7
_DOMAIN: Final = b"FSBLOBVERIFY_V1_" + FIELD_ELEMENTS.to_bytes(16, "big")


class KzgError(ValueError):
    """Raised for bytes that are not a field element, or not a point of the group."""


def versioned_hash(commitment: bytes) -> bytes:
    """Return the hash by which a transaction names a blob."""
    return bytes([VERSIONED_HASH]) + sha256(commitment).digest()[1:]


def verify_point(commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
    """Return True if the polynomial of a commitment is `y` at `z`. Raises KzgError."""
    return _verify_points([(_point(commitment), _element(z), _element(y), _point(proof))])


def verify_blobs(blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
    """Return True if each blob has its commitment, by one proof for each (EIP-4844). Raises KzgError."""
    claims = []
    for blob, commitment, proof in zip(blobs, commitments, proofs, strict=True):
        z = int.from_bytes(sha256(_DOMAIN + blob + commitment).digest(), "big") % MODULUS
        y = 0
        for coefficient in reversed(_coefficients(_elements(blob))):
            y = (y * z + coefficient) % MODULUS
        claims.append((_point(commitment), z, y, _point(proof)))
    return _verify_points(claims)


def verify_cells(blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
    """Return True if each blob has its commitment, and each of its cells its proof: `CELLS` for a blob (EIP-7594).

    The equation is that of `verify_cell_kzg_proof_batch` for all cells, with the weight s^b r^k for cell k of blob b.
    The sum of the interpolated cells follows from the blobs' polynomials: a cell's is the blob's modulo X^64 - c, where
    c is the cell's coset shift to the power of 64. Raises KzgError.
    """
    if len(proofs) != CELLS * len(blobs):
        raise KzgError(f"{len(blobs)} blobs have {CELLS * len(blobs)} cells, but there are {len(proofs)} proofs")
    of_blob, of_cell = _random_powers(len(blobs)), _random_powers(CELLS)
    shifts = _cell_shifts()
    points = [*map(_point, proofs)]
    weights = [blob * cell % MODULUS for blob in of_blob for cell in of_cell]
    shifted = [weight * shifts[index % CELLS] % MODULUS for index, weight in enumerate(weights)]
    total = sum(of_cell) % MODULUS
    left = _msm(points, weights)
    right = _msm(
        [*map(_point, commitments), *points, *_setup()[2]],
        [*(weight * total % MODULUS for weight in of_blob), *shifted, *_interpolate(blobs, of_blob, of_cell, shifts)],
    )
    return _pairings_cancel(left, _setup()[1], right)


def _interpolate(
    blobs: Sequence[bytes], of_blob: Sequence[int], of_cell: Sequence[int], shifts: Sequence[int]
) -> list[int]:
    """Return the negated coefficients of the weighted sum of all cells' polynomials."""
    combined = [0] * FIELD_ELEMENTS
    for blob, weight in zip(blobs, of_blob, strict=True):
        combined = [(one + weight * other) % MODULUS for one, other in zip(combined, _elements(blob), strict=True)]
    coefficients = _coefficients(combined)
    powers, sums = list(of_cell), list[int]()
    for _ in range(FIELD_ELEMENTS // _CELL):
        sums.append(sum(powers) % MODULUS)
        powers = [power * shift % MODULUS for power, shift in zip(powers, shifts, strict=True)]
    return [
        -sum(one * other for one, other in zip(coefficients[index::_CELL], sums, strict=True)) % MODULUS
        for index in range(_CELL)
    ]


def _verify_points(claims: Iterable[tuple[G1Point, int, int, G1Point]]) -> bool:
    """Verify claims (commitment, z, y, proof) together, each with a random weight."""
    commitments, zs, ys, proofs = zip(*claims, strict=True)
    weights, power, generator = [_random() for _ in proofs], _setup()[0], _setup()[2][0]
    z_weights = [weight * z % MODULUS for weight, z in zip(weights, zs, strict=True)]
    y = sum(weight * y for weight, y in zip(weights, ys, strict=True))
    left = _msm([*proofs], weights)
    right = _msm([*commitments, *proofs, generator], [*weights, *z_weights, -y % MODULUS])
    return _pairings_cancel(left, power, right)


def _pairings_cancel(left: G1Point, power: G2Point, right: G1Point) -> bool:
    """Return True if e(left, power) is e(right, G2's generator)."""
    from py_arkworks_bls12381 import GT, G2Point

    return GT.pairing_check([left, -right], [power, G2Point()])


# --- the field --------------------------------------------------------------------------------------------------------


def _elements(blob: bytes) -> list[int]:
    if len(blob) != BLOB_BYTES:
        raise KzgError(f"a blob has {BLOB_BYTES} bytes, not {len(blob)}")
    return [_element(blob[at : at + 32]) for at in range(0, BLOB_BYTES, 32)]


def _element(data: bytes) -> int:
    value = int.from_bytes(data, "big")
    if len(data) != 32 or value >= MODULUS:
        raise KzgError(f"0x{data.hex()} is not a field element: expected 32 bytes below the group's order")
    return value


def _coefficients(evaluations: Sequence[int]) -> list[int]:
    """Return the coefficients of a polynomial from its values at the roots of unity, in bit-reversed order."""
    values, size = list(evaluations), 1
    roots = _inverse_roots()
    while size < FIELD_ELEMENTS:
        step = FIELD_ELEMENTS // (2 * size)
        for offset in range(size):
            root = roots[offset * step]
            for even in range(offset, FIELD_ELEMENTS, 2 * size):
                odd = even + size
                first, second = values[even], values[odd] * root % MODULUS
                values[even], values[odd] = first + second, first - second
        size *= 2
    scale = pow(FIELD_ELEMENTS, -1, MODULUS)
    return [value * scale % MODULUS for value in values]


@cache
def _inverse_roots() -> list[int]:
    root, power, found = pow(_GENERATOR, -((MODULUS - 1) // FIELD_ELEMENTS), MODULUS), 1, list[int]()
    for _ in range(FIELD_ELEMENTS // 2):
        found.append(power)
        power = power * root % MODULUS
    return found


@cache
def _cell_shifts() -> list[int]:
    """Return the coset shift of each cell to the power of `_CELL`: the roots of unity in bit-reversed order."""
    root, bits = pow(_GENERATOR, (MODULUS - 1) // CELLS, MODULUS), CELLS.bit_length() - 1
    return [pow(root, int(f"{cell:0{bits}b}"[::-1], 2), MODULUS) for cell in range(CELLS)]


def _random() -> int:
    return 1 + randbelow(MODULUS - 1)


def _random_powers(count: int) -> list[int]:
    base, found = _random(), [1]
    while len(found) < count:
        found.append(found[-1] * base % MODULUS)
    return found


# --- the group --------------------------------------------------------------------------------------------------------


def _point(data: bytes) -> G1Point:
    from py_arkworks_bls12381 import G1Point

    if len(data) != POINT_BYTES:
        raise KzgError(f"a commitment or proof has {POINT_BYTES} bytes, not {len(data)}")
    try:
        point = G1Point.from_compressed_bytes(data)
    except ValueError:
        point = None
    if point is None or bytes(point.to_compressed_bytes()) != data:  # arkworks accepts any bits after the infinity flag
        raise KzgError(f"0x{data.hex()} is not the compressed form of a point of the group")
    return point


def _msm(points: list[G1Point], scalars: Iterable[int]) -> G1Point:
    from py_arkworks_bls12381 import G1Point

    return G1Point.multiexp_unchecked(points, [*map(_scalar, scalars)])


def _scalar(value: int) -> Scalar:
    from py_arkworks_bls12381 import Scalar

    return Scalar.from_be_bytes_mod_order(value.to_bytes(32, "big"))


@cache
def _setup() -> tuple[G2Point, G2Point, list[G1Point]]:
    """Return [tau]G2, [tau^64]G2 and [tau^i]G1 for i from 0 to 63."""
    from py_arkworks_bls12381 import G1Point, G2Point

    text = Path(__file__).with_name("kzg_setup.txt").read_text(encoding="ascii")
    first, cell, *powers = [bytes.fromhex(line) for line in text.split()]
    return (
        G2Point.from_compressed_bytes(first),
        G2Point.from_compressed_bytes(cell),
        [G1Point.from_compressed_bytes(power) for power in powers],
    )


BLOB_PROOFS: Final = 0
"""Version of a sidecar with one proof for each blob."""
CELL_PROOFS: Final = 1
"""Version of a sidecar with proofs of each blob's cells."""
BYTES_PER_BLOB: Final = BLOB_BYTES + (1 + CELLS) * (POINT_BYTES + 1) + 32
"""Maximum size of a blob in the network form, with its commitment, its proofs and its hash."""

_FORMS: Final = {BLOB_PROOFS: "one proof for each blob", CELL_PROOFS: f"{CELLS} cell proofs for each blob"}
_REMEDY: Final = "build the sidecar again from the same blobs"


@dataclass(frozen=True, slots=True)
class BlobSidecar:
    """Blobs with their commitments and proofs."""

    version: int
    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    proofs: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"BlobSidecar(version={self.version}, {len(self.blobs)} blobs)"

    @property
    def proofs_per_blob(self) -> int:
        return CELLS if self.version == CELL_PROOFS else 1

    def proofs_of(self, index: int) -> tuple[bytes, ...]:
        count = self.proofs_per_blob
        return self.proofs[index * count : (index + 1) * count]

    def check(self, hashes: tuple[bytes, ...], version: int) -> None:
        """Check version, lengths and hashes, without the proofs. Raises TransactionError."""
        if self.version != version:
            raise TransactionError(
                f"unexpected sidecar version, want: {version}, got: {self.version}; "
                f"send version {version}, with {_FORMS[version]}"
            )
        count = len(self.blobs)
        if count != len(hashes):
            raise TransactionError(f"invalid number of {count} blobs compared to {len(hashes)} blob hashes; {_REMEDY}")
        if len(self.commitments) != count:
            raise TransactionError(
                f"invalid number of {len(self.commitments)} blob commitments compared to {count} blob hashes; {_REMEDY}"
            )
        if len(self.proofs) != count * self.proofs_per_blob:
            raise TransactionError(
                f"invalid number of {len(self.proofs)} blob proofs expected {count * self.proofs_per_blob}; {_REMEDY}"
            )
        for index, (commitment, expected) in enumerate(zip(self.commitments, hashes, strict=True)):
            computed = versioned_hash(commitment)
            if computed != expected:
                raise TransactionError(
                    f"blob {index}: computed hash 0x{computed.hex()} mismatches transaction one 0x{expected.hex()}; "
                    "sign the versioned hash of the commitment"
                )

    def verify(self) -> None:
        """Verify the proofs, which takes tens of milliseconds for each blob. Raises TransactionError."""
        verify = verify_cells if self.version == CELL_PROOFS else verify_blobs
        try:
            is_valid = verify(self.blobs, self.commitments, self.proofs)
        except KzgError as error:
            raise TransactionError(f"KZG verification error: invalid blob proof: {error}; {_REMEDY}") from None
        if not is_valid:
            raise TransactionError(f"KZG verification error: invalid blob proof; {_REMEDY}")


@dataclass(frozen=True, slots=True)
class BlobTransaction:
    """A signed blob transaction, and its sidecar if it has one."""

    signed: SignedTransaction
    sidecar: BlobSidecar | None

    def check(self, version: int, limit: int) -> None:
        """Check the sidecar, which must have this version and at most `limit` blobs, without its proofs.

        Raises TransactionError.
        """
        if self.sidecar is None:
            raise TransactionError(
                "missing sidecar in blob transaction; "
                "send the network form: the transaction with its blobs, commitments and proofs"
            )
        hashes = self.signed.transaction.blob_hashes
        if not hashes:
            raise TransactionError("blobless blob transaction; a type 3 transaction has at least one blob")
        if len(hashes) > limit:
            raise TransactionError(
                f"too many blobs in transaction: have {len(hashes)}, permitted {limit}; send several transactions"
            )
        self.sidecar.check(hashes, version)


def parse_blob_transaction(raw: bytes) -> BlobTransaction:
    """Parse a type 3 transaction in the network form, or in the form of blocks. Raises TransactionError."""
    try:
        items = rlp.read_list(rlp.decode(raw[1:]))
        if not items or isinstance(items[0], bytes):
            return BlobTransaction(parse_transaction(raw, BLOB), None)
        return BlobTransaction(parse_transaction(bytes([BLOB]) + rlp.encode(items[0]), BLOB), _sidecar(items))
    except rlp.RlpError as error:
        raise TransactionError(f"the transaction is malformed: {error}") from None


def network_form(signed: SignedTransaction, sidecar: BlobSidecar) -> bytes:
    """Return the bytes of a blob transaction with its sidecar."""
    version: list[rlp.Item] = [] if sidecar.version == BLOB_PROOFS else [rlp.number(sidecar.version)]
    lists: list[rlp.Item] = [list(sidecar.blobs), list(sidecar.commitments), list(sidecar.proofs)]
    return bytes([BLOB]) + rlp.encode([rlp.decode(signed.raw()[1:]), *version, *lists])


def _sidecar(items: list[rlp.Item]) -> BlobSidecar:
    version, lists = BLOB_PROOFS, items[1:]
    if lists and isinstance(lists[0], bytes):
        version, lists = rlp.read_number(lists[0], 1), lists[1:]
        if version != CELL_PROOFS:
            raise TransactionError(f"sidecar version {version} is not known; send version {CELL_PROOFS}, or none for 0")
    if len(lists) != 3:
        raise TransactionError(f"a sidecar has blobs, commitments and proofs: expected 3 lists, got {len(lists)} items")
    blobs, commitments, proofs = (tuple(map(rlp.read_bytes, rlp.read_list(entries))) for entries in lists)
    return BlobSidecar(version, blobs, commitments, proofs)
