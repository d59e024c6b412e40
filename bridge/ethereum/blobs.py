"""Blob transactions in the network form: a signed transaction with its blobs, commitments and proofs.

Blocks contain the transaction only; its versioned hashes name the blobs. The wrapper has version 0 with one proof for
each blob (EIP-4844), or version 1 with proofs of each blob's cells (EIP-7594). Errors are worded like geth's
(core/txpool/validation.go, core/types/tx_blob.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.ethereum import rlp
from bridge.ethereum.kzg import BLOB_BYTES, CELLS, POINT_BYTES, KzgError, verify_blobs, verify_cells, versioned_hash
from bridge.ethereum.transactions import BLOB, SignedTransaction, TransactionError, parse_transaction

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
