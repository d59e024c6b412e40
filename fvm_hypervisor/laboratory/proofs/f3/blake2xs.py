"""BLAKE2Xs, the extendable-output form of BLAKE2s, for an output whose length is not fixed in advance.

Source: https://www.blake2.net/blake2x.pdf and RFC 7693. `hashlib` hashes the input. It rejects the tree depth 0 of the
output blocks, so this module implements the compression function for them.
"""

from __future__ import annotations

from hashlib import blake2s
from struct import pack, unpack
from typing import Final

_BLOCK: Final = 32
_MASK: Final = 0xFFFFFFFF
_UNKNOWN_LENGTH: Final = 0xFFFF
"""XOF digest length of an output whose length is not fixed in advance.

In the parameter block it follows the 32-bit node offset, which is the number of the output block.
"""
_IV: Final = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_SIGMA: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_LANES: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def blake2xs(data: bytes, size: int) -> bytes:
    """Return the first `size` bytes of the output for an input."""
    root = blake2s(data, node_offset=_UNKNOWN_LENGTH << 32).digest()
    blocks = (size + _BLOCK - 1) // _BLOCK
    return b"".join(_block(root, number) for number in range(blocks))[:size]


def _block(root: bytes, number: int) -> bytes:
    """Return an output block: BLAKE2s of the root, with fanout and depth 0, leaf and inner length 32."""
    parameters = (_BLOCK, _BLOCK, number, _UNKNOWN_LENGTH | _BLOCK << 24, 0, 0, 0, 0)
    return _compress([vector ^ word for vector, word in zip(_IV, parameters, strict=True)], root)


def _compress(state: list[int], last: bytes) -> bytes:
    """Return the digest after the only block, which is padded with zeros."""
    message = unpack("<16I", last.ljust(64, b"\0"))
    work = [*state, *_IV]
    work[12] ^= len(last)
    work[14] ^= _MASK
    for order in _SIGMA:
        for lane, (a, b, c, d) in enumerate(_LANES):
            low, left, right, high = work[a], work[b], work[c], work[d]
            low = low + left + message[order[2 * lane]] & _MASK
            high ^= low
            high = (high >> 16 | high << 16) & _MASK
            right = right + high & _MASK
            left ^= right
            left = (left >> 12 | left << 20) & _MASK
            low = low + left + message[order[2 * lane + 1]] & _MASK
            high ^= low
            high = (high >> 8 | high << 24) & _MASK
            right = right + high & _MASK
            left ^= right
            work[a], work[b], work[c], work[d] = low, (left >> 7 | left << 25) & _MASK, right, high
    return pack("<8I", *(word ^ work[at] ^ work[at + 8] for at, word in enumerate(state)))
