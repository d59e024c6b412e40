"""Bounded gzip decompression, safe against decompression bombs.

A file may consist of several members. Source: RFC 1952.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_UNPACKED_BYTES: Final = 64 << 20
"""Default maximum size of decompressed data, in bytes."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class CompressionError(ValueError):
    """Raised for compressed data that is malformed, truncated, or exceeds the limit once decompressed."""


_SYSTEM: Final = 9
_UNIX: Final = 3
"""Index and value of the operating system in the header (RFC 1952)."""


def gzip_bytes(data: bytes) -> bytes:
    """Compress data to bytes that depend on neither the time nor the version of Python."""
    packed = bytearray(gzip.compress(data, mtime=0))
    packed[_SYSTEM] = _UNIX  # Python 3.13 writes 255
    return bytes(packed)


def gunzip(packed: bytes, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Decompress `packed` to at most `limit` bytes. Raises CompressionError before it allocates more than that."""
    found = bytearray()
    while packed:
        reader = zlib.decompressobj(wbits=_GZIP)
        try:
            found += reader.decompress(packed, limit - len(found) + 1)
        except zlib.error as error:
            raise CompressionError(f"not gzip: {error}") from None
        if len(found) > limit:
            raise CompressionError(f"the decompressed data exceeds {limit:,} bytes")
        if not reader.eof:
            raise CompressionError("the compressed data is truncated")
        packed = reader.unused_data.lstrip(b"\0")  # gzip(1) also accepts zero padding after a member
    return bytes(found)


def gunzip_lines(path: Path, limit: int = MAX_UNPACKED_BYTES) -> Iterator[bytes]:
    """Iterate over the lines of a compressed file, each of at most `limit` bytes.

    Raises CompressionError and OSError.
    """
    with gzip.open(path, "rb") as file:
        while True:
            try:
                line = file.readline(limit + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise CompressionError(f"not gzip: {error}") from None
            if not line:
                return
            if len(line) > limit:
                raise CompressionError(f"a decompressed line exceeds {limit:,} bytes")
            yield line
