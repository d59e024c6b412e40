"""Byte strings with symbolic bytes: memory, calldata, code and return data.

A byte is a number, or a pair of a term and the index of one of its 32 bytes. So a word that was stored is found again
as the same term, and no bit vectors of 8 bits are built on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import z3

from fvm_hypervisor.soltest.symbolic.words import BITS, Word, reduced

Byte: TypeAlias = int | tuple[Any, int]
Data: TypeAlias = Sequence[Byte]


def bytes_of_word(word: Word) -> list[Byte]:
    """Return the 32 bytes of a word, most significant first."""
    if isinstance(word, int):
        return list(word.to_bytes(32, "big"))
    return [(word, index) for index in range(32)]


def word_at(data: Data, at: int) -> Word:
    """Return the word at an offset; bytes after the end are 0."""
    part = list(data[at : at + 32])
    part += [0] * (32 - len(part))
    return joined(part)


def joined(part: Data) -> Word:
    """Return up to 32 bytes as a number, or as a term of 256 bits with zeros before them."""
    found = concrete(part)
    if found is not None:
        return int.from_bytes(found, "big")
    first = part[0]
    if len(part) == 32 and isinstance(first, tuple) and first[1] == 0:
        whole = first[0]
        if all(isinstance(byte, tuple) and byte[0] is whole and byte[1] == i for i, byte in enumerate(part)):
            return whole
    bits = bit_vector(part)
    return reduced(z3.ZeroExt(BITS - bits.size(), bits) if bits.size() < BITS else bits)


def concrete(data: Data) -> bytes | None:
    """Return the bytes if none is symbolic."""
    try:
        return bytes(data)  # type: ignore[arg-type]  # a pair raises TypeError
    except TypeError:
        return None


def bit_vector(data: Data) -> Any:
    """Return bytes, at least one, as one bit vector."""
    parts: list[Any] = []
    at = 0
    while at < len(data):
        byte, end = data[at], at + 1
        if isinstance(byte, int):
            while end < len(data) and isinstance(data[end], int):
                end += 1
            number = int.from_bytes(bytes(data[at:end]), "big")  # type: ignore[arg-type]  # all are numbers
            parts.append(z3.BitVecVal(number, 8 * (end - at)))
        else:
            whole, first = byte
            while end < len(data):
                follower = data[end]
                if isinstance(follower, int) or follower[0] is not whole or follower[1] != first + end - at:
                    break
                end += 1
            parts.append(z3.Extract(BITS - 1 - 8 * first, BITS - 8 * (first + end - at), whole))
        at = end
    return z3.simplify(z3.Concat(*parts) if len(parts) > 1 else parts[0])


def slice_of(data: Data, at: int, size: int) -> list[Byte]:
    """Return `size` bytes from an offset; bytes after the end are 0."""
    part = list(data[at : at + size])
    return part + [0] * (size - len(part))


def values(data: Data, model: z3.ModelRef) -> bytes:
    """Return the bytes that a model gives."""
    known: dict[int, bytes] = {}

    def value(byte: Byte) -> int:
        if isinstance(byte, int):
            return byte
        whole, index = byte
        if whole.get_id() not in known:
            known[whole.get_id()] = model.eval(whole, model_completion=True).as_long().to_bytes(32, "big")
        return known[whole.get_id()][index]

    return bytes(value(byte) for byte in data)


def words_data(*words: Word) -> list[Byte]:
    """Return words one after the other as bytes."""
    return list(chain.from_iterable(bytes_of_word(word) for word in words))
