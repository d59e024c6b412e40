"""Bounded decoding of untrusted JSON (files, fixtures and artifacts) and gzip.

Python's parser recurses up to the recursion limit, which other libraries may raise beyond what the thread's stack can
hold. `orjson`, which rejects more than a thousand levels, therefore parses the text first. Its result is not used,
because it converts integers of more than 64 bits to floats. JSON-RPC requests contain no such integers, so `orjson`
alone parses them.

The size of decompressed gzip is limited, against decompression bombs. A file may consist of several members. Source:
RFC 1952.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

_PARTS: Final = re.compile(r'[][{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""Matches brackets and whole strings; brackets inside a string are not counted."""
_DEPTH_CHANGE: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """Parse UTF-8 JSON of at most a thousand levels; `hooks` are passed to `json.loads`. Raises ValueError."""
    orjson.loads(text)
    try:
        return json.loads(text, **hooks)
    except RecursionError:  # the remaining recursion limit may be less than a thousand levels
        raise ValueError("the JSON is nested too deeply") from None


def check_depth(text: str, levels: int) -> None:
    """Raise ValueError if `text` is nested deeper than `levels`.

    Use it before `json.loads` where `parse_json` does not fit: for a smaller limit, or for numbers such as 1e999 that
    `orjson` rejects.
    """
    depth = 0
    for part in _PARTS.finditer(text):
        depth += _DEPTH_CHANGE.get(part[0], 0)
        if depth > levels:
            raise ValueError(f"the JSON is nested too deeply (more than {levels} levels)")


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
