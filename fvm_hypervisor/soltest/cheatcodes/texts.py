"""Encoding and decoding of ABI strings in canonical form, without eth_abi.

Loading eth_abi takes a sixth of a second, which most test runs can avoid; it handles the other cases.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 32


def read_text(data: bytes, index: int, count: int) -> bytes | None:
    """Return the bytes or string at `index` of `count` values with one head word each.

    None if it is truncated or overlaps the head: eth_abi then decides.
    """
    start = int.from_bytes(data[index * _WORD : (index + 1) * _WORD], "big")
    begin = start + _WORD
    if start < count * _WORD or len(data) < begin:
        return None
    end = begin + int.from_bytes(data[start:begin], "big")
    return data[begin:end] if end <= len(data) else None


def write_text(data: bytes) -> bytes:
    """Return the length of bytes or UTF-8 text, its content, and zeros up to a whole word."""
    return len(data).to_bytes(_WORD, "big") + data + bytes(-len(data) % _WORD)
