"""Unsigned varints (LEB128) as defined by multiformats: at most nine bytes, minimally encoded.

Used in CAR sections and HAMT keys, and, with a larger limit, in CIDs. Source:
https://github.com/multiformats/unsigned-varint
"""

from __future__ import annotations

MAX_BYTES = 9
_MAX_WIDE_BYTES = 10
_LIMIT = 1 << 63
_MASK = (1 << 64) - 1


class VarintError(ValueError):
    """Raised for bytes that are not one minimal unsigned varint, or for a value out of range."""


def write_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^63."""
    if not 0 <= value < _LIMIT:
        raise VarintError(f"{value} is outside the range of an unsigned varint (0 to 2^63 - 1)")
    return write_wide_uvarint(value)


def write_wide_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^64, as in a CID."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode the varint at `offset`, and return the value and the offset after it. Raises VarintError."""
    return _read(buffer, offset, MAX_BYTES)


def read_wide_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a number in a CID like the network: up to ten bytes, of which the low 64 bits count.

    Source: unsigned-varint 0.8 decode.rs; golden vectors `decoder/cid/*`.
    """
    return _read(buffer, offset, _MAX_WIDE_BYTES)


def _read(buffer: bytes, offset: int, longest: int) -> tuple[int, int]:
    value = 0
    for index in range(longest):
        position = offset + index
        if position >= len(buffer):
            raise VarintError(f"varint at byte {offset} is truncated")
        byte = buffer[position]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise VarintError(f"varint at byte {offset} is not minimally encoded")
            return value & _MASK, position + 1
    raise VarintError(f"varint at byte {offset} exceeds {longest} bytes")
