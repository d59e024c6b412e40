"""ABI encoding and decoding for cheatcodes: addresses are bytes, and common types have faster code.

As in forge, bytes of a string that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from bridge.abi.strict_abi import join_parts
from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.failures import (
    MAX_BYTES,
    CheatcodeFailure,
    check_values,
    read_text,
    write_text,
)

_WORD: Final = 32
_SIGN: Final = 1 << 255
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
    if read is None or words[:2] != [_WORD.to_bytes(_WORD, "big"), (len(words) - 2).to_bytes(_WORD, "big")]:
        return None
    values = [read(word) for word in words[2:]]
    return [values] if [_word(kind[:-2], value) for value in values] == words[2:] else None


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
            if _word(kind, found[-1]) != word:
                return None
            continue
        text = read_text(data, at, len(types)) if kind in ("bytes", "string") else None
        if text is None:
            return None
        size += len(text)
        found.append(text if kind == "bytes" else text.decode(errors="replace"))
    return found if size <= MAX_BYTES // 2 else None  # near the limit, eth_abi counts the bytes it reads


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Return the encoded values. Raises CheatcodeFailure for a value of the wrong type."""
    words = [_word(kind, value) for kind, value in zip(types, values, strict=True)]
    if None not in words:
        return b"".join(word for word in words if word is not None)
    check_values(values)
    try:
        parts = [_part(kind, value) for kind, value in zip(types, values, strict=True)]
    except (OverflowError, TypeError, ValueError) as error:
        raise CheatcodeFailure(str(error)) from None
    if None not in parts:
        return _join([part for part in parts if part is not None])
    from hypervisor_tools.soltest.cheatcodes.eth_abi_values import encode_any

    return encode_any(types, values)


def _word(kind: str, value: Any) -> bytes | None:
    """Return the encoding of a one-word value; None if it needs checking."""
    if isinstance(value, int):
        bits, signed = _BITS.get(kind, (0, False))
        low, high = (-1 << (bits - 1), 1 << (bits - 1)) if signed else (0, 1 << bits)
        return value.to_bytes(_WORD, "big", signed=signed) if bits and low <= value < high else None
    if isinstance(value, bytes):
        if kind == "address":
            return value.rjust(_WORD, b"\0") if len(value) == 20 else None
        return value.ljust(_WORD, b"\0") if len(value) == _SIZES.get(kind) else None
    return None


def _part(kind: str, value: Any) -> tuple[bool, bytes] | None:
    """Return True if a value of words, strings and arrays is dynamic, and its encoding; None if it needs checking."""
    if kind.endswith("]") and isinstance(value, list | tuple):
        inner, _, size = kind[:-1].rpartition("[")
        if size and int(size) != len(value):
            return None
        head = b"" if size else len(value).to_bytes(_WORD, "big")
        if inner in _BITS or inner in _SIZES or inner == "address":
            words = [_word(inner, item) for item in value]
            if None in words:
                return None
            return not size, head + b"".join(word for word in words if word is not None)
        if not value:
            return None if size else (True, head)
        parts = [_part(inner, item) for item in value]
        if None in parts:
            return None
        known = [part for part in parts if part is not None]
        return not size or known[0][0], head + _join(known)
    if (kind == "bytes" and isinstance(value, bytes)) or (kind == "string" and isinstance(value, str)):
        data = value.encode() if isinstance(value, str) else value
        return True, write_text(data)
    word = _word(kind, value)
    return None if word is None else (False, word)


def _join(parts: Sequence[tuple[bool, bytes]]) -> bytes:
    return join_parts(sum(_WORD if is_dynamic else len(data) for is_dynamic, data in parts), parts)
