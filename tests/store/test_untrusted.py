"""Untrusted JSON: accepted and rejected input, and bounded recursion."""

import gzip
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from store.untrusted import CompressionError, check_depth, gunzip, gunzip_lines, parse_json


def test_json_integers_of_any_size_are_preserved() -> None:
    assert parse_json(b'{"a": [123456789012345678901234567890, -1, 0.5, null, true, "\\u00e9"]}') == {
        "a": [123456789012345678901234567890, -1, 0.5, None, True, "é"]
    }


def test_hooks_are_those_of_the_standard_library() -> None:
    assert parse_json('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", "1e999", '"\\ud800"', "\ufeff1", b"\xff", "1 2"])
def test_invalid_json_raises_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_rejected_regardless_of_recursion_limit(opening: str, closing: str) -> None:
    before = sys.getrecursionlimit()
    try:
        for limit in (before, 1_000_000):
            sys.setrecursionlimit(limit)
            for levels in (1_025, 1_000_000):
                with pytest.raises(ValueError, match=r"depth|nested"):
                    parse_json(opening * levels + "1" + closing * levels)
    finally:
        sys.setrecursionlimit(before)
    assert json.dumps(parse_json(opening * 300 + "1" + closing * 300), separators=(",", ":")).startswith(opening * 300)


@pytest.mark.parametrize("text", ['[[{"a": [1]}]]', '"' + "[" * 99 + '"', r'["\\", "\"[[[[[[["]', "1e999", "[NaN]", ""])
def test_the_depth_of_a_text_is_that_of_its_brackets(text: str) -> None:
    check_depth(text, 4)


@pytest.mark.parametrize("text", ["[" * 5, "[[[[[]]]]]", '{"a":' * 100_000, r'["\\", [[[[', '"unclosed, [[[[[" [[[[['])
def test_a_text_that_is_deeper_is_refused_whatever_else_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="more than 4 levels"):
        check_depth(text, 4)


def test_depth_check_of_long_unterminated_text_is_linear() -> None:
    check_depth('"' + r"\"" * 2_000_000 + "\\", 4)  # would not finish with quadratic time


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
