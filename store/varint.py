"""Unsigned varints (LEB128) as multiformats writes them: at most nine bytes, always the shortest form.

Used inside CAR sections and HAMT keys, and, with more room, inside CIDs. Rules:
https://github.com/multiformats/unsigned-varint
"""

from __future__ import annotations

MAX_BYTES = 9
_MAX_WIDE_BYTES = 10
_LIMIT = 1 << 63
_MASK = (1 << 64) - 1


class VarintError(ValueError):
    """Bytes that are not one minimal unsigned varint of at most 63 bits."""


def write_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^63."""
    if not 0 <= value < _LIMIT:
        raise VarintError(f"{value} is outside the range of an unsigned varint (0 to 2^63 - 1)")
    return write_wide_uvarint(value)


def write_wide_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^64, as it stands in a CID."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode the varint at `offset`; returns the value and the offset after it. Raises VarintError."""
    return _read(buffer, offset, MAX_BYTES)


def read_wide_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """The same for a number in a CID, as the network reads it: ten bytes, of which 64 bits count and the rest is lost.

    Source: unsigned-varint 0.8 decode.rs; golden vectors `decoder/cid/*`.
    """
    return _read(buffer, offset, _MAX_WIDE_BYTES)


def _read(buffer: bytes, offset: int, longest: int) -> tuple[int, int]:
    value = 0
    for index in range(longest):
        position = offset + index
        if position >= len(buffer):
            raise VarintError(f"varint at byte {offset} is cut off")
        byte = buffer[position]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise VarintError(f"varint at byte {offset} is longer than its value needs")
            return value & _MASK, position + 1
    raise VarintError(f"varint at byte {offset} is longer than {longest} bytes")
