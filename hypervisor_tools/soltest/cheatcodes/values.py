"""ABI encoding and decoding for cheatcodes: addresses are bytes, and common types have faster code.

As in forge, bytes of a string that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bridge.abi.abi import join_parts
from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.failures import (
    MAX_BYTES,
    CheatcodeFailure,
    check_values,
    read_text,
    write_text,
)

_WORD: Final = 32
_WORDS: Final[dict[str, Callable[[bytes], Any]]] = {
    "uint256": lambda word: int.from_bytes(word, "big"),
    "uint64": lambda word: _uint64(word),
    "int256": lambda word: int.from_bytes(word, "big", signed=True),
    "address": lambda word: EthAddress(word[12:]),
    "bool": lambda word: any(word),
    "bytes32": lambda word: word,
    "bytes4": lambda word: word[:4],
}


def _uint64(word: bytes) -> int:
    if any(word[:24]):
        raise CheatcodeFailure(f"0x{word.hex()} is above the largest uint64")
    return int.from_bytes(word, "big")


_BITS: Final = {
    "bool": (1, False),
    **{f"uint{bits}": (bits, False) for bits in range(8, 257, 8)},
    **{f"int{bits}": (bits, True) for bits in range(8, 257, 8)},
}
"""Bits of number types; True for signed ones."""
_SIZES: Final = {f"bytes{size}": size for size in range(1, 33)}


@lru_cache(maxsize=1024)
def split(types: str) -> tuple[str, ...]:
    """Split a list of types, such as `uint256,(string,bool)[]`."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(types):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(types[start:at])
            start = at + 1
    return (*parts, types[start:]) if types else ()


def decode(types: Sequence[str], data: bytes) -> list[Any]:
    """Return the decoded values. Raises CheatcodeFailure."""
    places = _places(tuple(types))
    if places is not None:
        if len(data) < _WORD * len(places):
            raise CheatcodeFailure("the calldata is too short for the cheatcode's parameters")
        return [read(data[at : at + _WORD]) for read, at in places]
    readers = [_WORDS.get(kind) for kind in types]
    values = _array_of_words(types[0], data) if len(types) == 1 else None
    values = values or _words_and_texts(types, readers, data)
    if values is not None:
        return values
    from hypervisor_tools.soltest.cheatcodes.eth_abi_values import decode_any

    return decode_any(types, data)


@lru_cache(maxsize=1024)
def _places(types: tuple[str, ...]) -> tuple[tuple[Callable[[bytes], Any], int], ...] | None:
    """Return the readers of words with their positions; None if some types are not among them."""
    readers = [_WORDS.get(kind) for kind in types]
    found = [(read, at * _WORD) for at, read in enumerate(readers) if read is not None]
    return tuple(found) if len(found) == len(readers) else None


def _array_of_words(kind: str, data: bytes) -> list[Any] | None:
    """Return the one value of an array of words in canonical form; None if eth_abi must decide."""
    read = _WORDS.get(kind.removesuffix("[]")) if kind.endswith("[]") else None
    words = [data[at : at + _WORD] for at in range(0, len(data), _WORD)]
    if (
        read is None
        or len(words) < 2
        or words[:2] != [_WORD.to_bytes(_WORD, "big"), (len(words) - 2).to_bytes(_WORD, "big")]
    ):
        return None
    values = [read(word) for word in words[2:]]
    write = _writer(kind[:-2]).write
    return [values] if [write(value) for value in values] == words[2:] else None


def _words_and_texts(
    types: Sequence[str], readers: Sequence[Callable[[bytes], Any] | None], data: bytes
) -> list[Any] | None:
    """Return the values if all are complete words or strings; None if eth_abi must decide."""
    found: list[Any] = []
    size = 0
    for at, (kind, read) in enumerate(zip(types, readers, strict=True)):
        word = data[at * _WORD : (at + 1) * _WORD]
        if read is not None:
            found.append(read(word))
            if _writer(kind).write(found[-1]) != word:
                return None
            continue
        text = read_text(data, at, len(types)) if kind in ("bytes", "string") else None
        if text is None:
            return None
        size += len(text)
        found.append(text if kind == "bytes" else text.decode(errors="replace"))
    return found if size <= MAX_BYTES // 2 else None  # near the limit, eth_abi counts the bytes it reads


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Return the encoded values.

    Raises CheatcodeFailure for a value of the wrong type, RecursionError for a type that is nested too deeply.
    """
    try:
        writer = _sequence(tuple(types))
        if not writer.is_of_words:
            check_values(values)
        return writer.write(values)
    except _Unfit:
        from hypervisor_tools.soltest.cheatcodes.eth_abi_values import encode_any

        return encode_any(types, values)
    except (OverflowError, TypeError, ValueError) as error:
        raise CheatcodeFailure(str(error)) from None


class _Unfit(Exception):
    """Raised for a type or a value that eth_abi must check."""


class _Writer(NamedTuple):
    """The encoding of a type: its size in bytes if it is static, and whether it consists of words without arrays."""

    size: int | None
    write: Callable[[Any], bytes]
    is_of_words: bool = False


@lru_cache(maxsize=1024)
def _writer(kind: str) -> _Writer:
    """Return the encoding of a type. Raises _Unfit."""
    if kind.endswith("]"):
        return _array(*kind[:-1].rsplit("[", 1))
    if kind.startswith("("):
        return _sequence(split(kind[1:-1]))
    if kind in _BITS:
        return _Writer(_WORD, _number(*_BITS[kind]), True)
    if kind in _SIZES:
        return _Writer(_WORD, _fixed_bytes(_SIZES[kind], lambda value: value.ljust(_WORD, b"\0")), True)
    if kind == "address":
        return _Writer(_WORD, _fixed_bytes(20, lambda value: value.rjust(_WORD, b"\0")), True)
    if kind in ("bytes", "string"):
        return _Writer(None, _write_bytes if kind == "bytes" else _write_string)
    raise _Unfit


def _number(bits: int, signed: bool) -> Callable[[Any], bytes]:
    low, high = (-1 << (bits - 1), 1 << (bits - 1)) if signed else (0, 1 << bits)

    def write(value: Any) -> bytes:
        if isinstance(value, int) and low <= value < high:
            return value.to_bytes(_WORD, "big", signed=signed)
        raise _Unfit

    return write


def _fixed_bytes(size: int, pad: Callable[[bytes], bytes]) -> Callable[[Any], bytes]:
    def write(value: Any) -> bytes:
        if isinstance(value, bytes) and len(value) == size:
            return pad(value)
        raise _Unfit

    return write


def _write_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise _Unfit
    return write_text(value)


def _write_string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Unfit
    return write_text(value.encode())


def _array(inner: str, size: str) -> _Writer:
    item, length = _writer(inner), int(size) if size else None
    if length == 0:
        raise _Unfit
    is_static = item.size is not None

    def write(value: Any) -> bytes:
        if not isinstance(value, list | tuple) or length not in (None, len(value)):
            raise _Unfit
        parts = [item.write(each) for each in value]
        data = b"".join(parts) if is_static else join_parts(_WORD * len(parts), [(True, part) for part in parts])
        return data if size else len(value).to_bytes(_WORD, "big") + data

    return _Writer(None if length is None or item.size is None else length * item.size, write)


@lru_cache(maxsize=1024)
def _sequence(types: tuple[str, ...]) -> _Writer:
    """Return the encoding of a tuple, or of a list of parameters. Raises _Unfit."""
    writers = [_writer(kind) for kind in types]
    sizes = [writer.size for writer in writers]
    head = sum(_WORD if size is None else size for size in sizes)
    is_static = None not in sizes

    def write(values: Any) -> bytes:
        if not isinstance(values, list | tuple) or len(values) != len(writers):
            raise _Unfit
        pairs = zip(writers, values, strict=True)
        if is_static:
            return b"".join([writer.write(value) for writer, value in pairs])
        return join_parts(head, [(writer.size is None, writer.write(value)) for writer, value in pairs])

    return _Writer(head if is_static else None, write, all(writer.is_of_words for writer in writers))
