"""A strict coder for the canonical form of Solidity's ABI, with functions created once per type.

`eth-abi` and solc's decoder accept several encodings of a value: tails in any order, shared or with gaps. Here every
tail must start where the previous one ends, padding must be zero, numbers in range and nothing may follow, as in solc's
output. An array's length is compared with the available data before anything is allocated. Source: the Solidity ABI
specification, "strict encoding mode".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from bridge.abi.abi import join_parts

WORD: Final = 32

ReadStatic = Callable[[bytes, int], Any]
"""Reads a value at an offset; its bytes are known to be available."""
ReadTail = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value at the start of its tail, and returns it with the end of the tail."""
Write = Callable[[Any], bytes]


class NotCanonical(ValueError):
    """Raised for bytes that are not the canonical form of a value; `at` is the offset of the first wrong word."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(at, reason)
        self.at = at
        self.reason = reason

    def __str__(self) -> str:
        return f"byte {self.at}: {self.reason}"


class NotEncodable(ValueError):
    """Raised for a value that does not have the type."""


class Coder(NamedTuple):
    """Reads and writes one type; `head` is its size in bytes in the enclosing head."""

    name: str
    """Canonical name for selectors: `(bytes,uint64)[]`."""
    read: ReadStatic | ReadTail
    write: Write
    dynamic: bool = False
    head: int = WORD


def unsigned(bits: int) -> Coder:
    """Return a coder for uintN."""
    limit = 1 << bits

    def read(data: bytes, at: int) -> int:
        number = int.from_bytes(data[at : at + WORD], "big")
        if number >= limit:
            raise NotCanonical(at, f"the number exceeds {bits} bits")
        return number

    def write(value: Any) -> bytes:
        if type(value) is not int or not 0 <= value < limit:
            raise NotEncodable(f"{value!r:.60} is not a number of {bits} bits")
        return value.to_bytes(WORD, "big")

    return Coder(f"uint{bits}", read, write)


def signed(bits: int) -> Coder:
    """Return a coder for intN, sign-extended to a word."""
    limit, wrap = 1 << (bits - 1), 1 << 256

    def read(data: bytes, at: int) -> int:
        number = int.from_bytes(data[at : at + WORD], "big", signed=True)
        if not -limit <= number < limit:
            raise NotCanonical(at, f"the signed number exceeds {bits} bits")
        return number

    def write(value: Any) -> bytes:
        if type(value) is not int or not -limit <= value < limit:
            raise NotEncodable(f"{value!r:.60} is not a signed number of {bits} bits")
        return (value % wrap).to_bytes(WORD, "big")

    return Coder(f"int{bits}", read, write)


def fixed_bytes(length: int) -> Coder:
    """Return a coder for bytesN."""

    def read(data: bytes, at: int) -> bytes:
        if any(data[at + length : at + WORD]):
            raise NotCanonical(at, "the padding is not zero")
        return data[at : at + length]

    def write(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise NotEncodable(f"{value!r:.60} is not {length} bytes")
        return value.ljust(WORD, b"\0")

    return Coder(f"bytes{length}", read, write)


def _read_bool(data: bytes, at: int) -> bool:
    number = int.from_bytes(data[at : at + WORD], "big")
    if number > 1:
        raise NotCanonical(at, "the boolean is neither 0 nor 1")
    return number == 1


def _write_bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise NotEncodable(f"{value!r:.60} is not a boolean")
    return value.to_bytes(WORD, "big")


def _read_bytes(data: bytes, start: int) -> tuple[bytes, int]:
    content = start + WORD
    if content > len(data):
        raise NotCanonical(start, "the length is truncated")
    end = content + int.from_bytes(data[start:content], "big")
    padded = end + (-(end - content) % WORD)
    if padded > len(data):
        raise NotCanonical(start, "the length exceeds the data")
    if padded != end and any(data[end:padded]):
        raise NotCanonical(end, "the padding is not zero")
    return data[content:end], padded


def _write_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise NotEncodable(f"{value!r:.60} is not a byte string")
    length = len(value)
    return length.to_bytes(WORD, "big") + value + bytes(-length % WORD)


BOOL: Final = Coder("bool", _read_bool, _write_bool)
BYTES: Final = Coder("bytes", _read_bytes, _write_bytes, dynamic=True)


def map_coder(inner: Coder, read: Callable[[Any], Any], write: Callable[[Any], Any], name: str | None = None) -> Coder:
    """Return a coder that converts the values of another one; the functions raise ValueError for invalid values."""
    if inner.dynamic:

        def read_tail(data: bytes, start: int) -> tuple[Any, int]:
            value, end = inner.read(data, start)
            return _convert(read, value, start), end

        return Coder(name or inner.name, read_tail, lambda value: inner.write(write(value)), dynamic=True)
    return Coder(
        name or inner.name,
        lambda data, at: _convert(read, inner.read(data, at), at),
        lambda value: inner.write(write(value)),
        head=inner.head,
    )


def _convert(read: Callable[[Any], Any], value: Any, at: int) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise NotCanonical(at, str(error)) from None


def sequence(parts: Sequence[Coder]) -> Coder:
    """Return a coder for a tuple or the arguments of a call, as a list of values."""
    dynamic = any(part.dynamic for part in parts)
    head = sum(part.head for part in parts)
    readers = [(part.dynamic, part.head, part.read) for part in parts]
    writers = [(part.dynamic, part.write) for part in parts]

    def read_tail(data: bytes, start: int) -> tuple[list[Any], int]:
        at, tail = start, start + head
        if tail > len(data):
            raise NotCanonical(start, "the head is truncated")
        values = []
        for is_dynamic, size, read in readers:
            if is_dynamic:
                if int.from_bytes(data[at : at + WORD], "big") != tail - start:
                    raise NotCanonical(at, "the offset is not the end of the previous tail")
                value, tail = read(data, tail)
                values.append(value)
            else:
                values.append(read(data, at))
            at += size
        return values, tail

    def write(values: Any) -> bytes:
        if type(values) is not list or len(values) != len(writers):
            raise NotEncodable(f"expected a list of {len(writers)} values")
        return join_parts(head, [(is_dynamic, write(value)) for (is_dynamic, write), value in zip(writers, values)])  # noqa: B905  # equal lengths

    name = f"({','.join(part.name for part in parts)})"
    if dynamic:
        return Coder(name, read_tail, write, dynamic=True)
    return Coder(name, lambda data, at: read_tail(data, at)[0], write, head=head)


def array(item: Coder, max_items: int | None = None) -> Coder:
    """Return a coder for T[] as a list of values, with an optional maximum length."""
    size, is_dynamic, read, write = item.head, item.dynamic, item.read, item.write

    def read_tail(data: bytes, start: int) -> tuple[list[Any], int]:
        base = start + WORD
        if base > len(data):
            raise NotCanonical(start, "the length is truncated")
        length = int.from_bytes(data[start:base], "big")
        if length > (len(data) - base) // size or (max_items is not None and length > max_items):
            raise NotCanonical(start, "the array exceeds the data or its maximum length")
        at, tail = base, base + length * size
        values = []
        for _ in range(length):
            if is_dynamic:
                if int.from_bytes(data[at : at + WORD], "big") != tail - base:
                    raise NotCanonical(at, "the offset is not the end of the previous tail")
                value, tail = read(data, tail)
                values.append(value)
            else:
                values.append(read(data, at))
            at += size
        return values, tail

    def write_tail(values: Any) -> bytes:
        if type(values) is not list or (max_items is not None and len(values) > max_items):
            raise NotEncodable("expected a list" + ("" if max_items is None else f" of at most {max_items}"))
        parts = [(is_dynamic, write(value)) for value in values]
        return len(values).to_bytes(WORD, "big") + join_parts(len(values) * size, parts)

    if size == 0:
        raise TypeError("items of size 0 are not supported, since a list could claim any number of them")
    return Coder(f"{item.name}[]", read_tail, write_tail, dynamic=True)


def read_all(arguments: Coder, data: bytes, start: int = 0) -> list[Any]:
    """Return the values of a call's arguments, which must end where the data ends. Raises NotCanonical."""
    if start + arguments.head > len(data) and not arguments.dynamic:
        raise NotCanonical(start, "the head is truncated")
    if arguments.dynamic:
        values, end = arguments.read(data, start)
    else:
        values, end = arguments.read(data, start), start + arguments.head
    if end != len(data):
        raise NotCanonical(end, "trailing bytes after the last value")
    found: list[Any] = values
    return found
