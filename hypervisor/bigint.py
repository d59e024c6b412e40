"""Big integers in chain encoding: empty for zero, else a sign byte (0 plus, 1 minus) and the magnitude.

Source: ref-fvm shared/src/bigint; at most 128 bytes. The decoder accepts leading zero bytes and a signed zero, like the
network's.
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
