"""Unsigned LEB128 numbers, minimal form only, as addresses and map keys use them."""


def encode_uleb128(number: int) -> bytes:
    """The shortest encoding of a non-negative number."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_uleb128(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Read one number of at most 64 bits; returns it and the offset behind it.

    Raises ValueError where it is cut short, longer than 64 bits, or not minimal.
    """
    number = shift = 0
    for position in range(offset, min(offset + 10, len(data))):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and position > offset:
                raise ValueError("number is not minimally encoded")
            if number >= 1 << 64:
                raise ValueError("number is longer than 64 bits")
            return number, position + 1
        shift += 7
    raise ValueError("number is cut short")
