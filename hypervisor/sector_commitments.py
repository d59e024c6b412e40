"""The unsealed commitment of a sector (CommD): the root of a binary Merkle tree over its pieces.

Nodes are sha2-256 with the two most significant bits of the last byte cleared. Pieces are stored in order, each aligned
to its own size with zero pieces, and the sector is padded with zero pieces. Source: ref-fvm fvm/src/kernel/filecoin.rs.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache

from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, Cid, CidError, split_cid
from store.varint import write_uvarint

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
