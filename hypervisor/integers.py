"""Integers in chain encoding: big integers, and LEB128 numbers in addresses and map keys.

A big integer is empty for zero, else a sign byte (0 plus, 1 minus) and the magnitude, at most 128 bytes. The decoder
accepts leading zero bytes and a signed zero, like the network's. Source: ref-fvm shared/src/bigint. Unsigned LEB128
numbers are minimally encoded, at most ten bytes.
"""

from hypervisor.errors import MessageError

MAX_BYTES = 128


def encode_bigint(number: int) -> bytes:
    """Encode a number. Raises MessageError above 128 bytes."""
    if number == 0:
        return b""
    magnitude = abs(number)
    data = (b"\x01" if number < 0 else b"\x00") + magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
    if len(data) > MAX_BYTES:
        raise MessageError(f"a number of {len(data)} bytes is too big: at most {MAX_BYTES}")
    return data


def decode_bigint(data: object) -> int:
    """Decode a number. Raises MessageError if the data is not a valid encoding."""
    if not isinstance(data, bytes) or len(data) > MAX_BYTES:
        raise MessageError(f"{data!r:.60} is not a big integer: expected at most {MAX_BYTES} bytes")
    if not data:
        return 0
    if data[0] > 1:
        raise MessageError(f"0x{data.hex()} is not a big integer: the sign byte is neither 0 nor 1")
    magnitude = int.from_bytes(data[1:], "big")
    return -magnitude if data[0] else magnitude


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
