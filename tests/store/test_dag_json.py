"""DAG-JSON and untrusted JSON.

- DAG-JSON: the specification's forms, other implementations' numbers, and invalid input.
- Untrusted JSON: accepted and rejected input, and bounded recursion.
"""

import gzip
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from store.cid import RAW, SHA2_256, Cid, cid_of, parse_cid
from store.codec import CodecError, encode, link
from store.dag_json import decode_json, encode_json
from store.untrusted import CompressionError, check_depth, gunzip, gunzip_lines, parse_json
from tests.conftest import samples

# DAG-CBOR in hexadecimal and DAG-JSON of the same value, from github.com/ipld/codec-fixtures.
FIXTURES = [
    ("f6", "null"),
    ("f5", "true"),
    ("1b1fffffffffffffff", "2305843009213693951"),
    ("3b7fffffffffffffff", "-9223372036854775808"),
    ("fbbfe0000000000000", "-0.5"),
    ("fbbe78000000000000", "-8.940696716308594e-8"),
    ("40", '{"/":{"bytes":""}}'),
    ("41a1", '{"/":{"bytes":"oQ"}}'),
    ("80", "[]"),
    ("a0", "{}"),
    ("63e6b0b4", '"水"'),
    ("83010203", "[1,2,3]"),
    ("a2616101616202", '{"a":1,"b":2}'),
]


@pytest.mark.parametrize(("cbor", "text"), FIXTURES)
def test_values_are_written_as_other_implementations_do(cbor: str, text: str) -> None:
    value = decode_json(text)
    assert encode(value).hex() == cbor
    assert encode_json(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [  # JavaScript's Number.prototype.toString, with ".0" added to integers
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (-1.5, "-1.5"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"), (123456.789, "123456.789"), (1e20, "100000000000000000000.0"), (1e21, "1e+21"),
        (1.25e21, "1.25e+21"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740993.0, "9007199254740992.0"),
    ],
)  # fmt: skip
def test_floats_are_encoded_like_javascript_never_as_integers(value: float, text: str) -> None:
    assert encode_json(value) == text
    assert decode_json(text) == value
    assert type(decode_json(text)) is float


def test_links_of_both_cid_versions_are_encoded() -> None:
    newer, older = cid_of(b"a", RAW), Cid(bytes.fromhex("1220") + bytes(range(32)))
    for cid in (newer, older):
        name = str(CID.decode(bytes(cid)).set(base="base32" if cid is newer else "base58btc"))
        assert encode_json([link(cid)]) == f'[{{"/":"{name}"}}]'
        assert decode_json(encode_json([link(cid)])) == [link(cid)]
    assert parse_cid(json.loads(encode_json(link(cid_of(b"", RAW, SHA2_256))))["/"])


def test_dag_json_decodes_any_layout_and_encodes_canonically() -> None:
    assert encode_json(decode_json(b' { "b" : [ 1 , 2 ] ,\n "a" : null } ')) == '{"a":null,"b":[1,2]}'


@pytest.mark.parametrize(
    "text",
    [
        "", "nul", "[1,]", "{'a':1}", "[1] 2", "NaN", "Infinity", "-Infinity", "1e999", "18446744073709551616",
        "-18446744073709551617", '{"a":1,"a":2}', '{"a":{"b":1,"b":1}}', '"\\ud800"', b"\xff", '{"/":1}', '{"/":""}',
        '{"/":"bafy"}', '{"/":{"bytes":1}}', '{"/":{"bytes":"AA=="}}', '{"/":{"bytes":"A"}}', '{"/":{"bytes":"AB"}}',
        '{"/":{"bytes":"_w"}}', '{"/":{"other":"AA"}}', "[" * 257 + "]" * 257, "[" * 100_000,
    ],
)  # fmt: skip
def test_invalid_dag_json_raises(text: str | bytes) -> None:
    with pytest.raises(CodecError):
        decode_json(text)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 1 << 64, -(1 << 64) - 1, {1: 2}, {"/": "x"}, {"/": {"bytes": "x"}}, "\ud800", {1, 2},
     link(b"no CID")],
)  # fmt: skip
def test_encoding_value_without_dag_json_form_raises(value: Any) -> None:
    with pytest.raises(CodecError):
        encode_json(value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
    | st.binary().map(lambda data: link(cid_of(data, RAW))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=2), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@given(VALUES)
@settings(max_examples=samples(200), deadline=None)
def test_every_value_survives_and_is_the_same_in_dag_cbor(value: Any) -> None:
    text = encode_json(value)
    assert encode(decode_json(text)) == encode(value)
    json.loads(text)
    dag_cbor.decode(encode(value))


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
