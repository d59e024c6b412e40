"""Unsigned LEB128 numbers in addresses and map keys: minimally encoded, at most ten bytes."""

_MASK = (1 << 64) - 1
MAX_ULEB128_BYTES = 10
"""Maximum length of an encoded number in bytes. Bits of the tenth byte beyond the 64th are dropped."""


def encode_uleb128(number: int) -> bytes:
    """Return the shortest encoding of a non-negative number."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_uleb128(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a number, and return it and the offset after it.

    Raises ValueError if it is truncated, longer than ten bytes, or not minimally encoded. Bits beyond the 64th are
    dropped, as in the network's decoder (crate unsigned-varint).
    """
    number = shift = 0
    for position in range(offset, min(offset + MAX_ULEB128_BYTES, len(data))):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and position > offset:
                raise ValueError("number is not minimally encoded")
            return number & _MASK, position + 1
        shift += 7
    raise ValueError("number is truncated or longer than ten bytes")
