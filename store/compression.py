"""gzip read in bounds: a few compressed bytes may stand for gigabytes.

Source: RFC 1952. A file may have several members, one after the other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST: Final = 64 << 20
"""Bytes that compressed data may stand for, unless the caller says more."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class CompressionError(ValueError):
    """Compressed data that is malformed, cut short, or stands for more than the limit."""


def gunzip(packed: bytes, limit: int = LARGEST) -> bytes:
    """What compressed data stands for, at most `limit` bytes. Raises CompressionError, before it takes more memory."""
    found = bytearray()
    while packed:
        reader = zlib.decompressobj(wbits=_GZIP)
        try:
            found += reader.decompress(packed, limit - len(found) + 1)
        except zlib.error as error:
            raise CompressionError(f"not gzip: {error}") from None
        if len(found) > limit:
            raise CompressionError(f"it has more than {limit:,} bytes once it is decompressed")
        if not reader.eof:
            raise CompressionError("the compressed data is cut short")
        packed = reader.unused_data.lstrip(b"\0")  # padding after a member, as gzip's own program takes it
    return bytes(found)


def gunzip_lines(path: Path, limit: int = LARGEST) -> Iterator[bytes]:
    """The lines of a compressed file, each of at most `limit` bytes. Raises CompressionError, and OSError."""
    with gzip.open(path, "rb") as file:
        while True:
            try:
                line = file.readline(limit + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise CompressionError(f"not gzip: {error}") from None
            if not line:
                return
            if len(line) > limit:
                raise CompressionError(f"a line has more than {limit:,} bytes once it is decompressed")
            yield line
