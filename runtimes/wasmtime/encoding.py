"""Writes WASM's binary format: numbers, names, vectors, sections."""

from collections.abc import Iterable


def u32(number: int) -> bytes:
    """Unsigned LEB128, shortest form."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number: int) -> bytes:
    """Signed LEB128, shortest form, as the operands of i32.const and i64.const."""
    out = bytearray()
    while not -0x40 <= number < 0x40:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number & 0x7F)
    return bytes(out)


def name(text: str) -> bytes:
    """A name with its length before it."""
    raw = text.encode()
    return u32(len(raw)) + raw


def vector(items: Iterable[bytes]) -> bytes:
    """A vector of encoded items."""
    encoded = list(items)
    return u32(len(encoded)) + b"".join(encoded)


def section(number: int, payload: bytes) -> bytes:
    """A section with its number and size."""
    return bytes((number,)) + u32(len(payload)) + payload
