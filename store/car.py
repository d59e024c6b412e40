"""CAR files: content-addressed archives, read and written as streams, never held in memory as a whole.

Every block is checked against its CID before it is handed out. Version 1 is read and written here, and of version 2
the version 1 payload is read; its index is `store.car_index`'s. Rules: https://ipld.io/specs/transport/car/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

from store.blockstore import StoreError
from store.cid import Cid, CidError, digest_of, read_cid, show, split_cid
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.varint import VarintError, read_uvarint, write_uvarint

MAX_HEADER: Final = 1 << 20
"""The longest header read, in bytes: some 25,000 roots."""

MAX_SECTION: Final = 8 << 20
"""The longest section (CID and block) read, in bytes, unless the caller says otherwise."""

_V2_HEADER: Final = 40  # characteristics (16), payload offset, payload size, index offset (8 each, little-endian)
_CHUNK: Final = 1 << 16


class CarError(StoreError):
    """A CAR that is cut off, malformed, too large in one piece, or whose block is not what its CID says."""


class CarReader:
    """A CAR being read: `version` and `roots` at once, then each (CID, block) once, by iteration.

    `start` is the byte at which the version 1 payload starts, `position` the one before which everything was read,
    `section` where the block that was handed out last starts; `index` is where a version 2 file says its index is.
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
        """How many bytes have been read."""
        return self._source.position

    def go_to(self, position: int) -> None:
        """Go on from a `position` that an earlier reader of the same file has been at; the stream must be seekable."""
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
                raise CarError(f"CAR block {show(cid)} does not have that hash")
            yield cid, data


def read_car(stream: BinaryIO, max_section: int = MAX_SECTION) -> CarReader:
    """Read the header of a CAR. Raises CarError, here and while the blocks are iterated over.

    Nothing is read ahead of need, and memory stays bounded by the larger of header and `max_section`.
    """
    source = _Source(stream)
    header = _header(source)
    version = 1
    if header == {"version": 2}:
        version = 2
        _enter_payload(source)
        header = _header(source)
    if header.get("version") != 1 or header.keys() != {"version", "roots"} or type(header["roots"]) is not list:
        raise CarError("not a CAR: the header is neither version 1 (with roots) nor version 2")
    try:
        roots = tuple(unlink(root) for root in header["roots"])
    except CodecError as error:
        raise CarError(f"CAR header: a root that is not a link: {error}") from None
    return CarReader(source, version, roots, max_section)


def write_car(stream: BinaryIO, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> int:
    """Write a version 1 CAR: the header, then the blocks in the order in which they come; returns the bytes written."""
    size = 0
    for size in write_sections(stream, roots, blocks):  # noqa: B007 - the last one counts
        pass
    return size


def write_sections(stream: BinaryIO, roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[int]:
    """Write a version 1 CAR piece by piece: the bytes written after the header, and after each block."""
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
        raise CarError(f"not a CAR: the header is {error}") from None
    if type(header) is not dict:
        raise CarError("not a CAR: the header is not a map")
    return header


def _enter_payload(source: _Source) -> None:
    """Go from the version 2 header to the version 1 payload inside."""
    fields = source.take(_V2_HEADER, "version 2 header")
    offset = int.from_bytes(fields[16:24], "little")
    size = int.from_bytes(fields[24:32], "little")
    index = int.from_bytes(fields[32:40], "little")
    if offset < source.position:
        raise CarError(f"CAR version 2: the payload cannot start at byte {offset}")
    if index and index < offset + size:
        raise CarError(f"CAR version 2: the index cannot start at byte {index}")
    source.skip(offset - source.position)
    source.start, source.limit, source.index = offset, offset + size, index or None


class _Source:
    """A stream that is read forwards in pieces, and knows where it stands."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.start = 0
        self.limit: int | None = None
        self.index: int | None = None

    def take(self, length: int, what: str) -> bytes:
        """Exactly `length` bytes; CarError if the stream has fewer. A false length costs no more than one chunk."""
        parts = []
        missing = length
        while missing:
            part = self._read(min(missing, _CHUNK))
            if not part:
                raise CarError(f"CAR cut off at byte {self.position}: {missing} bytes of a {what} are missing")
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, length: int) -> None:
        """Leave out `length` bytes."""
        while length:
            part = self._read(min(length, _CHUNK))
            if not part:
                raise CarError(f"CAR cut off at byte {self.position}: its payload starts after its end")
            length -= len(part)

    def seek(self, position: int) -> None:
        """Go to a byte."""
        self._stream.seek(position)
        self.position = position

    def varint(self, most: int, what: str) -> int | None:
        """The length of the next piece, or None at the end of the stream; CarError if it is 0 or above `most`."""
        raw = b""
        while not raw or raw[-1] >= 0x80:
            byte = self._read(1)
            if not byte:
                if not raw and (self.limit is None or self.position == self.limit):
                    return None
                raise CarError(f"CAR cut off at byte {self.position}, inside the length of a {what}")
            raw += byte
            if len(raw) > 9:
                break
        try:
            length, _ = read_uvarint(raw)
        except VarintError as error:
            raise CarError(f"CAR, byte {self.position}: the length of a {what}: {error}") from None
        if not 0 < length <= most:
            raise CarError(f"CAR, byte {self.position}: a {what} of {length} bytes (1 to {most} are read)")
        return length

    def _read(self, most: int) -> bytes:
        if self.limit is not None:
            most = min(most, self.limit - self.position)
        part = self._stream.read(most) if most else b""
        self.position += len(part)
        return part
