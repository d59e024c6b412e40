"""DAG-JSON: the specification's forms, other implementations' numbers, and invalid input."""

import json
from typing import Any

import dag_cbor
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from store.cid import RAW, SHA2_256, Cid, cid_of, parse_cid
from store.codec import CodecError, encode, link
from store.dag_json import decode_json, encode_json
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
