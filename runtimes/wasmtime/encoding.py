"""Encoder for WASM's binary format: numbers, names, vectors, sections."""

from collections.abc import Iterable


def u32(number: int) -> bytes:
    """Encode as unsigned LEB128, shortest form."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_signed(number: int) -> bytes:
    """Encode as signed LEB128, shortest form, as in operands of i32.const and i64.const."""
    out = bytearray()
    while not -0x40 <= number < 0x40:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number & 0x7F)
    return bytes(out)


def name(text: str) -> bytes:
    """Encode a name, preceded by its length."""
    raw = text.encode()
    return u32(len(raw)) + raw


def vector(items: Iterable[bytes]) -> bytes:
    """Encode a vector of encoded items."""
    encoded = list(items)
    return u32(len(encoded)) + b"".join(encoded)


def section(number: int, payload: bytes) -> bytes:
    """Encode a section, preceded by its number and size."""
    return bytes((number,)) + u32(len(payload)) + payload
