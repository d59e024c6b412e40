"""Text of precompile calls in traces, in forge's format: decoded numbers and bytes.

Input of an unexpected length is shown as raw bytes. Layouts: the Ethereum yellow paper, appendix E; EIP-152, EIP-198,
EIP-2537, EIP-4844.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bridge.ethereum.addresses import checksummed

_WORD: Final = 32
_MAX_WORDS: Final = 512
"""Maximum number of words decoded from a list; longer input is shown as bytes."""


def precompile_arguments(number: int, data: bytes) -> str | None:
    """Return the decoded arguments of a call, or None to show the raw bytes."""
    read = _ARGUMENTS.get(number)
    return None if read is None else read(data)


def precompile_result(number: int, data: bytes) -> str | None:
    """Return the decoded result of a call, or None to show the raw bytes."""
    if number == 1 and len(data) == _WORD:
        return checksummed(data[12:])
    if number in (6, 7) and len(data) == 2 * _WORD:
        return f"({', '.join(map(str, _numbers(data)))})"
    if number == 8 and len(data) == _WORD:
        return "true" if any(data) else "false"
    return None


def _numbers(data: bytes, size: int = _WORD) -> Iterator[int]:
    return (int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size))


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _ecrecover(data: bytes) -> str | None:
    if len(data) != 4 * _WORD:
        return None
    return ", ".join([_hex(data[:_WORD]), *map(str, _numbers(data[_WORD:]))])


def _of_words(count: int) -> Callable[[bytes], str | None]:
    def read(data: bytes) -> str | None:
        return ", ".join(map(str, _numbers(data))) if len(data) == count * _WORD else None

    return read


def _modexp(data: bytes) -> str | None:
    if len(data) < 3 * _WORD:
        return None
    sizes = list(_numbers(data[: 3 * _WORD]))
    if sum(sizes) > len(data) - 3 * _WORD:
        return None
    parts, at = [], 3 * _WORD
    for size in sizes:
        parts.append(_hex(data[at : at + size]))
        at += size
    return ", ".join([*map(str, sizes), *parts])


def _pairing(data: bytes) -> str | None:
    if len(data) % (6 * _WORD) or len(data) > _MAX_WORDS * _WORD:
        return None
    pairs = (data[at : at + 6 * _WORD] for at in range(0, len(data), 6 * _WORD))
    return ", ".join(f"[{', '.join(map(str, _numbers(pair)))}]" for pair in pairs)


def _blake2f(data: bytes) -> str | None:
    if len(data) != 213:
        return None
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(4, 212, 8)]
    lists = (f"[{', '.join(map(str, part))}]" for part in (words[:8], words[8:24], words[24:]))
    return ", ".join([str(int.from_bytes(data[:4], "big")), *lists, str(data[212])])


def _of_bytes(*sizes: int) -> Callable[[bytes], str | None]:
    def read(data: bytes) -> str | None:
        if len(data) != sum(sizes):
            return None
        parts, at = [], 0
        for size in sizes:
            parts.append(_hex(data[at : at + size]))
            at += size
        return ", ".join(parts)

    return read


_ARGUMENTS: Final[Mapping[int, Callable[[bytes], str | None]]] = {
    1: _ecrecover,
    5: _modexp,
    6: _of_words(4),
    7: _of_words(3),
    8: _pairing,
    9: _blake2f,
    10: _of_bytes(32, 32, 32, 48, 48),
    11: _of_bytes(128, 128),
    13: _of_bytes(256, 256),
}
