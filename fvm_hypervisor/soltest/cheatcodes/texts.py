"""Texts in the ABI that are as compilers write them, read and written without the library.

eth_abi takes a sixth of a second to load, which most runs of tests need not wait for: it decides what is not so plain.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 32


def read_text(data: bytes, index: int, count: int) -> bytes | None:
    """The bytes or text that is the value at `index` of `count`, each of which has one word in front.

    None where they are not all there, or lie in front: what that means is the library's to say.
    """
    start = int.from_bytes(data[index * _WORD : (index + 1) * _WORD], "big")
    begin = start + _WORD
    if start < count * _WORD or len(data) < begin:
        return None
    end = begin + int.from_bytes(data[start:begin], "big")
    return data[begin:end] if end <= len(data) else None


def write_text(data: bytes) -> bytes:
    """The length of bytes or of a text in UTF-8, itself, and zeros up to a whole word."""
    return len(data).to_bytes(_WORD, "big") + data + bytes(-len(data) % _WORD)
