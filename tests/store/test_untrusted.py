"""Bounded gzip decompression: oversized data is rejected before memory is allocated."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from store.untrusted import CompressionError, gunzip, gunzip_lines

MIB = 1 << 20


def lines(packed: bytes, folder: Path, limit: int) -> list[bytes]:
    (folder / "file.gz").write_bytes(packed)
    return list(gunzip_lines(folder / "file.gz", limit))


def whole(packed: bytes, folder: Path, limit: int) -> list[bytes]:
    return [gunzip(packed, limit)]


BOTH = pytest.mark.parametrize("read", [whole, lines])
Read = Callable[[bytes, Path, int], list[bytes]]


@BOTH
def test_all_gzip_members_are_decompressed(read: Read, tmp_path: Path) -> None:
    packed = gzip.compress(b"one, ") + gzip.compress(b"two") + bytes(7)
    assert read(packed, tmp_path, 8) == [b"one, two"]


@BOTH
def test_decompressed_size_limit_is_inclusive(read: Read, tmp_path: Path) -> None:
    assert read(gzip.compress(bytes(1000)), tmp_path, 1000) == [bytes(1000)]
    for packed in (gzip.compress(bytes(1001)), gzip.compress(bytes(500)) + gzip.compress(bytes(501))):
        with pytest.raises(CompressionError, match=r"exceeds 1,000 bytes"):
            read(packed, tmp_path, 1000)


@pytest.mark.slow
@BOTH
def test_a_bomb_takes_no_more_memory_than_the_limit_allows(read: Read, tmp_path: Path) -> None:
    """256 MiB of zeros compress to 260 KB."""
    packed = gzip.compress(bytes(256 * MIB))
    assert len(packed) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(CompressionError):
            read(packed, tmp_path, MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@BOTH
@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"whole", mtime=0)[:-9],
        gzip.compress(b"whole", mtime=0) + b"no member",
        b"\x1f\x8b\x08 nothing",
    ],
    ids=["truncated", "no member", "no stream"],
)
def test_truncated_or_malformed_compressed_data_raises(read: Read, packed: bytes, tmp_path: Path) -> None:
    with pytest.raises(CompressionError):
        read(packed, tmp_path, MIB)


def test_lines_are_counted_each_by_itself(tmp_path: Path) -> None:
    assert lines(gzip.compress(b"12345678\n" * 100), tmp_path, 9) == [b"12345678\n"] * 100
