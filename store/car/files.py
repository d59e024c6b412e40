"""CAR files (content-addressed archives), read and written as streams.

Every block is verified against its CID before it is returned. Reads versions 1 and 2, writes version 1; the index of
version 2 is handled by `store.car.index`. Source: https://ipld.io/specs/transport/car/.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

from store.blockstore import StoreError
from store.cid import Cid, CidError, VarintError, digest_of, read_cid, read_uvarint, show, split_cid, write_uvarint
from store.codec import CodecError, decode_strict, encode, link, unlink

MAX_HEADER: Final = 1 << 20
"""Maximum length of a header in bytes, enough for about 25,000 roots."""

MAX_SECTION: Final = 8 << 20
"""Default maximum length of a section (CID and block) in bytes."""

_V2_HEADER: Final = 40  # characteristics (16), payload offset, payload size, index offset (8 each, little-endian)
_CHUNK: Final = 1 << 16


class CarError(StoreError):
    """Raised when a CAR is truncated, malformed or too large, or when a block does not match its CID."""


class CarReader:
    """An open CAR: its `version` and `roots`, and an iterator over (CID, block) pairs.

    `start` is the byte offset of the version 1 payload, `position` the number of bytes read, `section` the offset of
    the section returned last, and `index` the offset of the index of a version 2 file, or None.
    """

    def __init__(self, source: _Source, version: int, roots: tuple[Cid, ...], max_section: int) -> None:
        self.version = version
        self.roots = roots
        self.start = source.start
        self.index = source.index
        self.section = source.position
        self._source = source
        self._max_section = max_section

    @property
    def position(self) -> int:
        """Number of bytes read."""
        return self._source.position

    def go_to(self, position: int) -> None:
        """Continue at a `position` that an earlier reader of the same file reported; requires a seekable stream."""
        self._source.seek(position)

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        while True:
            self.section = self._source.position
            length = self._source.varint(self._max_section, "section")
            if length is None:
                return
            section = self._source.take(length, "section")
            try:
                cid, start = read_cid(section)
                parts = split_cid(cid)
                data = section[start:]
                digest = digest_of(data, parts.hash_code)
            except CidError as error:
                raise CarError(f"CAR section before byte {self._source.position}: {error}") from None
            if digest != parts.digest:
                raise CarError(f"CAR block {show(cid)} does not match its hash")
            yield cid, data


def read_car(stream: BinaryIO, max_section: int = MAX_SECTION) -> CarReader:
    """Read the header of a CAR. Raises CarError, also during iteration over the blocks.

    Nothing is read ahead, and memory use is bounded by the larger of header and `max_section`.
    """
    source = _Source(stream)
    header = _header(source)
    version = 1
    if header == {"version": 2}:
        version = 2
        _enter_payload(source)
        header = _header(source)
    if header.get("version") != 1 or header.keys() != {"version", "roots"} or type(header["roots"]) is not list:
        raise CarError("not a CAR: the header is neither a version 1 header with roots nor a version 2 header")
    try:
        roots = tuple(unlink(root) for root in header["roots"])
    except CodecError as error:
        raise CarError(f"invalid CAR header: a root is not a link: {error}") from None
    return CarReader(source, version, roots, max_section)


def write_car(stream: BinaryIO, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> int:
    """Write a version 1 CAR (the header, then the blocks in the given order) and return its size in bytes."""
    return deque(write_sections(stream, roots, blocks), maxlen=1).pop()


def write_sections(stream: BinaryIO, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[int]:
    """Write a version 1 CAR, yielding the total bytes written after the header and after each block."""
    header = encode({"roots": [link(root) for root in roots], "version": 1})
    head = write_uvarint(len(header)) + header
    stream.write(head)
    size = len(head)
    yield size
    for cid, data in blocks:
        head = write_uvarint(len(cid) + len(data)) + cid
        stream.write(head)
        stream.write(data)
        size += len(head) + len(data)
        yield size


def _header(source: _Source) -> dict[str, Any]:
    length = source.varint(MAX_HEADER, "header")
    if length is None:
        raise CarError("not a CAR: the file is empty")
    try:
        header = decode_strict(source.take(length, "header"))
    except CodecError as error:
        raise CarError(f"not a CAR: invalid header: {error}") from None
    if type(header) is not dict:
        raise CarError("not a CAR: the header is not a map")
    return header


def _enter_payload(source: _Source) -> None:
    """Parse the version 2 header and move to the version 1 payload."""
    fields = source.take(_V2_HEADER, "version 2 header")
    offset = int.from_bytes(fields[16:24], "little")
    size = int.from_bytes(fields[24:32], "little")
    index = int.from_bytes(fields[32:40], "little")
    if offset < source.position:
        raise CarError(f"invalid CAR version 2 header: the payload offset {offset} lies inside the header")
    if index and index < offset + size:
        raise CarError(f"invalid CAR version 2 header: the index offset {index} lies before the end of the payload")
    source.skip(offset - source.position)
    source.start, source.limit, source.index = offset, offset + size, index or None


class _Source:
    """A forward reader over a stream that tracks its position."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.start = 0
        self.limit: int | None = None
        self.index: int | None = None

    def take(self, length: int, what: str) -> bytes:
        """Read exactly `length` bytes in bounded chunks. Raises CarError if the stream ends before."""
        parts = []
        missing = length
        while missing:
            part = self._read(min(missing, _CHUNK))
            if not part:
                raise CarError(f"CAR is truncated at byte {self.position}: {missing} bytes of a {what} are missing")
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, length: int) -> None:
        """Skip `length` bytes."""
        while length:
            part = self._read(min(length, _CHUNK))
            if not part:
                raise CarError(
                    f"CAR is truncated at byte {self.position}: the payload starts after the end of the file"
                )
            length -= len(part)

    def seek(self, position: int) -> None:
        """Move to a byte offset."""
        self._stream.seek(position)
        self.position = position

    def varint(self, limit: int, what: str) -> int | None:
        """Read the length of the next item, or return None at the end of the stream.

        Raises CarError if the length is 0 or exceeds `limit`.
        """
        raw = b""
        while not raw or raw[-1] >= 0x80:
            byte = self._read(1)
            if not byte:
                if not raw and (self.limit is None or self.position == self.limit):
                    return None
                raise CarError(f"CAR is truncated at byte {self.position}, inside the length of a {what}")
            raw += byte
            if len(raw) > 9:
                break
        try:
            length, _ = read_uvarint(raw)
        except VarintError as error:
            raise CarError(f"invalid CAR at byte {self.position}: length of a {what}: {error}") from None
        if not 0 < length <= limit:
            raise CarError(
                f"invalid CAR at byte {self.position}: a {what} of {length} bytes is out of range (1 to {limit})"
            )
        return length

    def _read(self, limit: int) -> bytes:
        if self.limit is not None:
            limit = min(limit, self.limit - self.position)
        part = self._stream.read(limit) if limit else b""
        self.position += len(part)
        return part
