"""RLE+ bitfields: sets of sectors and partitions, and the signers of a finality certificate.

Source: https://github.com/filecoin-project/go-bitfield and the Filecoin specification, "RLE+ Bitset Encoding". Bits are
read from the lowest of each byte: two version bits (0), the value of the first run, then the runs. A run is `1` (length
1), `01` and 4 bits, or `00` and a varint. Only the shortest encoding is accepted, without a run of zeros at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_SHORT: Final = 16
_VARINT_BYTES: Final = 10


class BitfieldError(ValueError):
    """Raised for bytes that are not a bitfield, and for a bitfield with too many bits."""


def encode_members(members: Iterable[int]) -> bytes:
    """Return the RLE+ encoding of a set of bit positions."""
    return encode(runs_of(sorted(set(members))))


def decode_members(data: bytes, limit: int) -> list[int]:
    """Return the set bits of an RLE+ encoding, at most `limit` of them. Raises BitfieldError."""
    found: list[int] = []
    start = 0
    for index, length in enumerate(decode(data)):
        if index % 2:
            if len(found) + length > limit:
                raise BitfieldError(f"it has more than {limit} members")
            found.extend(range(start, start + length))
        start += length
    return found


def positions(runs: Sequence[int], limit: int) -> list[int]:
    """Return the set bits of alternating runs, of which the first is of zeros; at most bit `limit` - 1.

    Raises BitfieldError.
    """
    found: list[int] = []
    start = 0
    for index, length in enumerate(runs):
        if not length and index:
            raise BitfieldError(f"run {index} has no length")
        if start + length > limit:
            raise BitfieldError(f"the runs end at bit {start + length - 1}, the limit is {limit} bits")
        if index % 2:
            found.extend(range(start, start + length))
        start += length
    return found


def decode(data: bytes) -> list[int]:
    """Return the lengths of alternating runs, of which the first is of zeros and may be empty. Raises BitfieldError."""
    bits = _Bits(data)
    if bits.take(2):
        raise BitfieldError("unknown version of RLE+")
    runs = [0] if bits.take(1) else []
    while bits.has_more():
        length = _run(bits)
        if not length:
            break
        runs.append(length)
    if encode(runs) != data:
        raise BitfieldError("not the shortest RLE+ encoding")
    return runs


def encode(runs: Sequence[int]) -> bytes:
    """Return the RLE+ encoding of alternating runs, of which the first is of zeros."""
    runs = runs[: len(runs) // 2 * 2]  # without a run of zeros at the end
    if not runs:
        return b""
    ones = not runs[0]
    written = bytearray()
    bits, size = (4, 3) if ones else (0, 3)
    for length in runs[ones:]:
        code, width = _code(length)
        bits |= code << size
        size += width
        whole = size >> 3
        written += (bits & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        bits >>= 8 * whole
        size &= 7
    written.append(bits)
    return bytes(written).rstrip(b"\0")  # a final zero byte is left out


def runs_of(members: Sequence[int]) -> list[int]:
    """Return the alternating runs of ascending bit positions."""
    runs: list[int] = []
    end = -1
    for member in members:
        if runs and member == end:
            runs[-1] += 1
        else:
            runs += [member - max(end, 0), 1]
        end = member + 1
    return runs


def _code(length: int) -> tuple[int, int]:
    """Return the bits of a run and their number."""
    if length == 1:
        return 1, 1
    if length < _SHORT:
        return 2 | length << 2, 6
    code, width = 0, 2
    while length >= 128:
        code |= (length & 127 | 128) << width
        length >>= 7
        width += 8
    return code | length << width, width + 8


def _run(bits: _Bits) -> int:
    if bits.take(1):
        return 1
    if bits.take(1):
        return bits.take(4)
    length = 0
    for index in range(_VARINT_BYTES):
        part = bits.take(8)
        length |= (part & 127) << 7 * index
        if part < 128:
            return length
    raise BitfieldError(f"a run has more than {_VARINT_BYTES} bytes")


class _Bits:
    """A reader of at most 8 bits at a time; beyond the end there are zeros."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = 8 * len(data)
        self._at = 0

    def has_more(self) -> bool:
        return self._at < self._end

    def take(self, count: int) -> int:
        start, skipped = divmod(self._at, 8)
        self._at += count
        return int.from_bytes(self._data[start : start + 2], "little") >> skipped & (1 << count) - 1
