"""The index of CAR version 2: written after the payload and used to read single blocks.

Writes MultihashIndexSorted (0x0401) and reads it and IndexSorted (0x0400). Offsets are those of sections, relative to
the start of the payload. Source: https://ipld.io/specs/transport/car/carv2/.

    0401  codes(u32) { code(u64) WIDTHS }       0400  WIDTHS
    WIDTHS = widths(u32) { width(u32) length(u64) { digest offset(u64) } }, entries sorted by digest; all little-endian
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from heapq import merge
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

from store.blockstore import BlockNotFound
from store.car.files import CarError, read_car, write_sections
from store.cid import (
    IDENTITY,
    Cid,
    CidError,
    VarintError,
    has_digest,
    read_cid,
    read_uvarint,
    show,
    split_cid,
    write_uvarint,
)

SORTED: Final = 0x0400
MULTIHASH_SORTED: Final = 0x0401

_PRAGMA: Final = bytes.fromhex("0aa16776657273696f6e02")
_PAYLOAD: Final = 51
_RUN: Final = 1 << 18
"""Maximum number of entries sorted in memory (about 25 MB); larger indices are merge-sorted on disk."""


def write_indexed_car(file: BinaryIO, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> int:
    """Write a version 2 CAR with an index to a seekable file, and return the payload size in bytes."""
    start = file.tell()
    file.write(_PRAGMA + bytes(40))
    entries = _Entries()
    size = at = 0
    last: list[Cid] = []

    def noted() -> Iterator[tuple[Cid, bytes]]:
        for cid, data in blocks:
            last[:] = [cid]
            yield cid, data

    for size in write_sections(file, roots, noted()):
        if last:
            entries.add(last.pop(), at)
        at = size
    entries.write(file)
    end = file.tell()
    file.seek(start + len(_PRAGMA) + 16)
    for number in (_PAYLOAD, size, _PAYLOAD + size):
        file.write(number.to_bytes(8, "little"))
    file.seek(end)
    return size


class _Entries:
    """Entries of an index under construction, grouped by hash function and digest length, in sorted runs."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, int], list[_Run]] = {}
        self._open: dict[tuple[int, int], list[bytes]] = {}

    def add(self, cid: Cid, offset: int) -> None:
        """Add the section offset of a block; identity CIDs are not indexed."""
        parts = split_cid(cid)
        if parts.hash_code == IDENTITY:
            return
        kind = (parts.hash_code, len(parts.digest) + 8)
        run = self._open.setdefault(kind, [])
        run.append(parts.digest + offset.to_bytes(8, "big"))  # big-endian, so that entries sort by offset too
        if len(run) == _RUN:
            self._runs.setdefault(kind, []).append(_Run(sorted(run), kind[1]))
            run.clear()

    def write(self, file: BinaryIO) -> None:
        codes: dict[int, list[int]] = {}
        for code, width in sorted(self._open):
            codes.setdefault(code, []).append(width)
        file.write(write_uvarint(MULTIHASH_SORTED) + len(codes).to_bytes(4, "little"))
        for code, widths in codes.items():
            file.write(code.to_bytes(8, "little") + len(widths).to_bytes(4, "little"))
            for width in widths:
                self._write_width(file, (code, width))

    def _write_width(self, file: BinaryIO, kind: tuple[int, int]) -> None:
        runs = self._runs.get(kind, [])
        rest = sorted(self._open[kind])
        width = kind[1]
        count = len(rest) + sum(run.count for run in runs)
        file.write(width.to_bytes(4, "little") + (count * width).to_bytes(8, "little"))
        for entry in merge(*runs, rest):
            file.write(entry[:-8] + entry[:-9:-1])


class _Run:
    """A sorted run of entries in a temporary file."""

    def __init__(self, entries: list[bytes], width: int) -> None:
        self.count = len(entries)
        self._width = width
        self._file = TemporaryFile()  # noqa: SIM115 - deleted with the object
        self._file.write(b"".join(entries))
        self._file.flush()

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while entry := self._file.read(self._width):
            yield entry
        self._file.close()


class _Bucket(NamedTuple):
    """A table of entries of one width: its hash function (None in IndexSorted), offset and number of entries."""

    code: int | None
    width: int
    start: int
    entries: int


class IndexedCar:
    """A version 2 CAR whose blocks are looked up through its index: a read-only `Blockstore`.

    Every block is verified against its CID, so the index need not be trusted. Usable as a context manager.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file. Raises CarError unless it is a version 2 CAR with an index."""
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by `close`
        try:
            reader = read_car(self._file)
            if reader.index is None:
                raise CarError(f"{path} has no index; pass a version 2 CAR with an index")
            self.roots = reader.roots
            self._start = reader.start
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._buckets = list(_buckets(self._map, reader.index))
        except BaseException:
            self._file.close()
            raise

    def offsets(self, cid: Cid) -> Iterator[int]:
        """Iterate over the file offsets of the sections that the index lists for the CID's digest."""
        parts = split_cid(cid)
        for bucket in self._buckets:
            if bucket.width == len(parts.digest) + 8 and bucket.code in (None, parts.hash_code):
                yield from (self._start + offset for offset in self._find(bucket, parts.digest))

    def get(self, cid: Cid) -> bytes:
        """Return the block. Raises BlockNotFound if it is not indexed, and CarError if the index is wrong."""
        parts = split_cid(cid)
        if parts.hash_code == IDENTITY:
            return parts.digest
        wrong = None
        for at in self.offsets(cid):
            try:
                found, data = self._section(at)
            except (VarintError, CidError) as error:
                raise CarError(f"invalid CAR index: no valid section at byte {at}: {error}") from None
            if found == cid and has_digest(cid, data):
                return data
            wrong = found
        if wrong is not None and split_cid(wrong).digest != parts.digest:
            raise CarError(f"invalid CAR index: the entry for {show(cid)} points to another block")
        raise BlockNotFound(cid)

    def has(self, cid: Cid) -> bool:
        """Return True if the file contains the block."""
        try:
            self.get(cid)
        except BlockNotFound:
            return False
        return True

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise CarError: a CAR is read-only."""
        raise CarError("a CAR is read-only")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise CarError: a CAR is read-only."""
        raise CarError("a CAR is read-only")

    def close(self) -> None:
        self._map.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _section(self, at: int) -> tuple[Cid, bytes]:
        length, start = read_uvarint(self._map[at : at + 10])
        section = self._map[at + start : at + start + length]
        cid, end = read_cid(section)
        return cid, section[end:]

    def _find(self, bucket: _Bucket, digest: bytes) -> Iterator[int]:
        low, high = 0, bucket.entries
        while low < high:
            middle = (low + high) // 2
            if self._entry(bucket, middle)[:-8] < digest:
                low = middle + 1
            else:
                high = middle
        while low < bucket.entries and (entry := self._entry(bucket, low))[:-8] == digest:
            yield int.from_bytes(entry[-8:], "little")
            low += 1

    def _entry(self, bucket: _Bucket, number: int) -> bytes:
        at = bucket.start + number * bucket.width
        return self._map[at : at + bucket.width]


def _buckets(file: mmap.mmap, at: int) -> Iterator[_Bucket]:
    """Iterate over the tables of the index at byte offset `at`."""
    try:
        codec, at = read_uvarint(file[at : at + 10], 0)[0], at + read_uvarint(file[at : at + 10], 0)[1]
    except VarintError as error:
        raise CarError(f"invalid CAR index: unreadable format code: {error}") from None
    if codec == SORTED:
        yield from _widths(file, at, None)[0]
        return
    if codec != MULTIHASH_SORTED:
        raise CarError(f"unsupported CAR index format {codec:#x}")
    codes, at = _integer(file, at, 4)
    for _ in range(codes):
        code, at = _integer(file, at, 8)
        buckets, at = _widths(file, at, code)
        yield from buckets


def _widths(file: mmap.mmap, at: int, code: int | None) -> tuple[list[_Bucket], int]:
    widths, at = _integer(file, at, 4)
    buckets = []
    for _ in range(widths):
        width, at = _integer(file, at, 4)
        length, at = _integer(file, at, 8)
        if width < 8 or length % width or at + length > len(file):
            raise CarError(f"invalid CAR index: a table of {length} bytes with entries of {width} bytes")
        buckets.append(_Bucket(code, width, at, length // width))
        at += length
    return buckets, at


def _integer(file: mmap.mmap, at: int, size: int) -> tuple[int, int]:
    if at + size > len(file):
        raise CarError("CAR index is truncated")
    return int.from_bytes(file[at : at + size], "little"), at + size
