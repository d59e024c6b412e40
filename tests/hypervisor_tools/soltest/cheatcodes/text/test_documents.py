"""JSON and TOML cheatcodes return what forge 1.7.1 returns for the same calls.

The values of JSON paths are also those of jsonpath_lib 0.3, which forge uses.
"""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor_tools.soltest.cheatcodes.context import Settings
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from hypervisor_tools.soltest.cheatcodes.text import json_values
from hypervisor_tools.soltest.cheatcodes.text.documents import select
from hypervisor_tools.soltest.cheatcodes.text.json_values import insert_value, read_or_text
from hypervisor_tools.soltest.cheatcodes.values import encode

ROWS = [{"n": "a", "v": 1}, {"n": "b", "v": 2, "d": {"v": 9}}, {"n": "c", "v": 3.5, "t": True}]
BOOKS = {"book": [{"title": "A", "price": 8}, {"title": "B", "price": 12, "isbn": "0"}], "limit": 10}


def run(signature: str, *arguments: Any) -> Any:
    """Return the result of a cheatcode in a project with one struct."""
    order = {frozenset("za"): ("z", "a")}.get
    return table()[selector(signature)].run(SimpleNamespace(settings=Settings(struct_order=order)), *arguments)


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 32]) for at in range(0, len(data), 32)]


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"ключ": 1}, ".ключ", [1]),
        ({"日本": 1}, "$.日本", [1]),
        ({"🚀": 1}, ".🚀", [1]),
        ({"a/b": 1, "a+b": 2, "a#b": 3}, ".a+b", [2]),
        ({"$id": 1}, ".$id", [1]),
        ({"0x1": 1}, ".0x1", [1]),
        ({"a": 1}, ".a b", [1]),
        ({"a b": 1}, "['a b']", [1]),
        ({"it's": 1}, r"['it\'s']", [1]),
        ({"a": 1}, ".", [{"a": 1}]),
        ({"a": 1}, "$", [{"a": 1}]),
        ({"a": 1}, "$.a)", [1]),
        ({"q": {"z": 1}, "z": 2}, "$..z", [2, 1]),
        ({"a": {"a": 5}}, "$..a", [{"a": 5}, 5]),
        ({"a": [1, {"b": 2}]}, "$..*", [[1, {"b": 2}], 1, {"b": 2}, 2]),
        ([[1, 2], [3]], "$..[0]", [[1, 2], 1, 3]),
        (ROWS, "$..['v']", [1, 2, 9, 3.5]),
        ({"a": [5, 6]}, ".a[-1]", [6]),
        ({"a": [5, 6]}, ".a[-9]", [5]),
        ({"a": [5, 6]}, ".a[2]", []),
        ({"a": [5, 6], "b": [7]}, "$[0]", [5, 7]),
        ({"a": [5, 6, 7]}, ".a[0:2]", [5, 6]),
        ({"a": [5, 6, 7]}, ".a[ -2: ]", [6, 7]),
        ({"a": [5, 6, 7]}, ".a[::2]", [5, 7]),
        ({"a": [5, 6, 7]}, ".a[2, 0]", [7, 5]),
        ({"a": 1, "b": 2}, "$['b','a']", [2, 1]),
        ({"a": [5]}, "$.a.[0]", [5]),
        (ROWS, "$[*].n", ["a", "b", "c"]),
        (ROWS, "$[?(@.n == 'b')].v", [2]),
        (ROWS, '$[?("b" == @[\'n\'])].v', [2]),
        (ROWS, "$[?(@.v != 1)].n", ["b", "c"]),
        (ROWS, "$[?(1 < @.v && @.v <= 3.5)].n", ["b", "c"]),
        (ROWS, "$[?((@.v == 1) || @.n == 'c')].v", [1, 3.5]),
        (ROWS, "$[?(@.v == 7 || @.n == 'c')].v", []),
        (ROWS, "$[?(@.d.v == 9)].n", ["b"]),
        (ROWS, "$[?(@.t == true)].n", ["c"]),
        (ROWS, "$[?(@.d)].n", ["b"]),
        (ROWS, "$..[?(@.v > 3)].v", [3.5, 9]),
        ([5, 6], "$[?(@ > 5)]", []),
        (BOOKS, "$.book[?(@.price > $.limit)].title", ["B"]),
        (BOOKS, "$.book[?(@.isbn && @.price == 12)].title", ["B"]),
    ],
)  # fmt: skip
def test_path_selects_the_values_that_forge_selects(document: Any, path: str, expected: list[Any]) -> None:
    found = select(run_json(document), path)
    assert json.dumps(found, default=lambda number: float(number.text)) == json.dumps(expected)


def run_json(document: Any) -> Any:
    return read_or_text(json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize(
    ("path", "marked"),
    [("a", 2), (".a[", 4), (".a[b]", 4), (".a.", 4), ("[?(@.a > 1]", 12), ("[?(1 == >)]", 9), ("$..", 3)],
)
def test_wrong_path_is_marked_where_forge_marks_it(path: str, marked: int) -> None:
    shown = path if path.startswith("$") else f"${path}"
    with pytest.raises(CheatcodeFailure) as failure:
        select({}, path)
    assert str(failure.value) == rf'failed selecting from JSON: "path error: \n{shown}\n{"^" * marked}\n"'


@pytest.mark.slow
def test_path_that_multiplies_values_is_refused() -> None:
    document: Any = 1
    for _ in range(60):
        document = [document]
    with pytest.raises(CheatcodeFailure, match="the path selects more than 524288 values"):
        select(document, "$" + "..*" * 8)


@pytest.mark.parametrize("condition", ["@.a.b > 1", "@.a == @.c", "@.a || @.c", "@.a.b && @.c"])
def test_filter_of_a_large_document_takes_linear_time(condition: str) -> None:
    document = [{"a": {"b": index}, "c": {"b": index}} for index in range(2000)]
    assert len(select(document, f"$[?({condition})]")) >= 1998


def test_path_above_the_limit_is_refused() -> None:
    with pytest.raises(CheatcodeFailure, match="the path has 3000 characters, more than 1024"):
        select([], "[0]" * 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"0xBTC"', [32, 5, int.from_bytes(b"0xBTC".ljust(32, b"\0"))]),
        ('"0x"', [32, 0]),
        ('"0x123"', [32, 2, 0x0123 << 240]),
        ('"9223372036854775807"', [32, 19, int.from_bytes(b"9223372036854775807".ljust(32, b"\0"))]),
        ('"9223372036854775808"', [1 << 63]),
        ('"-9223372036854775809"', [(1 << 256) - (1 << 63) - 1]),
        ('"1_000_000_000_000_000_000_000"', [10**21]),
        ('"0XFFFFFFFFFFFFFFFFFFFFFF"', [(1 << 88) - 1]),
        ('[1,"x"]', [32, 2, 1, 64, 1, ord("x") << 248]),
        ("[null,1]", [32, 2, 0, 1]),
        ("[{},1]", [32, 2, 1]),
        ('{"b":[1,true],"a":2}', [32, 2, 64, 2, 1, 1]),
        ("{}", []),
    ],
)
def test_untyped_value_has_forges_type(text: str, expected: list[int]) -> None:
    assert words(run("parseJson(string)", text)) == expected
    assert words(run("parseJson(string,string)", f'{{"a":{text}}}', ".a")) == expected


def test_object_has_the_order_of_a_struct_with_its_members() -> None:
    assert words(run("parseJson(string)", '{"o":[{"a":1,"z":2},{"b":3,"a":4}]}')) == [32, 32, 2, 2, 1, 4, 3]
    assert words(run("parseToml(string)", "a = 1\nz = 2")) == [2, 1]


def test_several_selected_values_are_an_array() -> None:
    assert words(run("parseJson(string,string)", '{"a":[{"v":5},{"v":6}]}', ".a[*].v")) == [32, 2, 5, 6]


@pytest.mark.parametrize("kind", ["Json", "Toml"])
def test_path_without_value_is_empty_or_an_error(kind: str) -> None:
    text = '{"a":1}' if kind == "Json" else "a = 1"
    assert run(f"parse{kind}(string,string)", text, ".b") == b""
    assert run(f"keyExists{kind}(string,string)", text, ".b") is False
    with pytest.raises(CheatcodeFailure, match=r'path "\.b" must return exactly one JSON value'):
        run(f"parse{kind}Uint(string,string)", text, ".b")
    with pytest.raises(CheatcodeFailure, match=r'key "\[\\"b\\"\]" must return exactly one JSON object'):
        run(f"parse{kind}Keys(string,string)", text, '["b"]')


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ('"0X12"', "Uint", 0x12),
        ('"0b101"', "Int", 5),
        ('"1E3"', "Uint", 1000),
        ('"1 "', "Uint", 1),
        ("[1, 2]", "UintArray", (1, 2)),
        ("null", "String", "null"),
    ],
)
def test_value_of_a_type_is_read_as_in_forge(value: str, name: str, expected: Any) -> None:
    assert run(f"parseJson{name}(string,string)", f'{{"a":{value}}}', ".a") == expected


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ('" 1"', "Uint", '1\n^\nexpected at least one digit'),
        ('"+1"', "Uint", '\n+1\n^\nexpected at least one digit'),
        ('"-0"', "Uint", '\n-0\n^\nexpected at least one digit'),
        ('"0x1"', "Bytes", "\n0x1\n^\nodd number of digits"),
        ('"0xBTC"', "Bytes32", "\n0xBTC\n   ^\nodd number of digits"),
        ('"0xzz"', "Bytes", "\n0xzz\n  ^\n"),
        ('"x1"', "Bool", "\nx1\n ^\ninvalid boolean"),
        ("{}", "UintArray", "expected uint256[], found JSON object"),
        ("[1]", "Uint", "expected uint256, found array"),
        ("null", "Bool", "\nnull\n    ^\ninvalid boolean"),
    ],
)  # fmt: skip
def test_wrong_value_of_a_type_has_forges_message(value: str, name: str, expected: str) -> None:
    with pytest.raises(CheatcodeFailure) as failure:
        run(f"parseJson{name}(string,string)", f'{{"a":{value}}}', ".a")
    assert str(failure.value).endswith(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2021-08-10T14:48:00Z", "2021-08-10T14:48:00Z"),
        ("2021-08-10 14:48:00", "2021-08-10T14:48:00"),
        ("2021-08-10t14:48:00.500+05:30", "2021-08-10T14:48:00.5+05:30"),
        ("2021-08-10", "2021-08-10"),
        ("14:48:00.50", "14:48:00.5"),
        ("14:48:00", "14:48:00"),
        ("14:48", "14:48:00"),
        ("2021-08-10T14:48-00:00", "2021-08-10T14:48:00+00:00"),
        ("2021-08-10 14:48:60Z", "2021-08-10T14:48:60Z"),
        ("2021-08-10T14:48:00.123456789Z", "2021-08-10T14:48:00.123456789Z"),
        ("'at 2021-08-10T14:48z, 25:00 or 07:32'", "at 2021-08-10T14:48z, 25:00 or 07:32"),
        (r'"\u0030001-01-01T00:00:00.000000"', "0001-01-01T00:00:00.000000"),
        ('"""\n"07:32""""', '"07:32"'),
        ("1e-7", "1e-7"),
        ("inf", "inf"),
    ],
)
def test_toml_value_has_forges_text(value: str, expected: str) -> None:
    assert run("parseTomlString(string,string)", f"a = {value}", ".a") == expected


@pytest.mark.parametrize("value", ["2021-02-30T14:48:00Z", "25:00", "07:32Z", "2021-08-10T14:48:00.Z", "14:48.5"])
def test_wrong_toml_time_is_refused(value: str) -> None:
    with pytest.raises(CheatcodeFailure, match="failed parsing TOML"):
        run("parseToml(string)", f"a = {value}")


def test_quoted_toml_key_may_be_a_time() -> None:
    assert run("parseTomlKeys(string,string)", "'07:32' = 1\n2021-08-10 = 2", "$") == ["07:32", "2021-08-10"]


def test_toml_text_null_is_null() -> None:
    assert run("parseToml(string,string)", 'a = "null"', ".a") == bytes(32)


def test_toml_integer_has_64_bits() -> None:
    with pytest.raises(CheatcodeFailure, match="integer number overflowed"):
        run("parseToml(string)", f"a = {1 << 63}")


@pytest.mark.parametrize(
    ("description", "value", "expected"),
    [
        ("uint256", (1 << 64) - 1, "18446744073709551615"),
        ("uint256[]", [1 << 64], '["18446744073709551616"]'),
        ("int256[2]", [-1 << 63, 1 << 63], '[-9223372036854775808,"9223372036854775808"]'),
        ("(bool,string)", (True, "x"), '[true,"x"]'),
        ("Q(uint256 b,R[] a)R(bytes4 c,bool d)", (1, [(b"abcd", True)]), '{"b":1,"a":[{"c":"0x61626364","d":true}]}'),
    ],
)
def test_typed_value_is_serialized_as_in_forge(description: str, value: Any, expected: str) -> None:
    kind = "(uint256,(bytes4,bool)[])" if description.startswith("Q") else description
    assert run("serializeJsonType(string,bytes)", description, encode([kind], [value])) == expected


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(CheatcodeFailure, match="failed parsing JSON"):
        run("parseJson(string)", r'"\ud800"')


PAIRS = "A(B[2] b)B(uint256 x)"


def test_array_of_structs_of_fixed_size_is_typed_as_in_forge() -> None:
    data = run("parseJsonType(string,string)", '{"b":[{"x":1},{"x":2}]}', PAIRS)
    assert words(data) == [1, 2]
    assert run("serializeJsonType(string,bytes)", PAIRS, data) == '{"b":[{"x":1},{"x":2}]}'


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (PAIRS, "array length mismatch"),
        ("A(foo b)", "missing type in type resolution: foo"),
        ("A(uint256)", "the members of A must be types with names"),
        ("A()", "the members of A must be types with names"),
        ("A(A b)", "nested too deeply"),
        ("A(B[x] b)B(uint256 x)", "'x' is not a valid array length"),
        ("A(uint256[0] b)", "'0' is not a valid array length"),
        ("A(uint256[99999999999] b)", "array length mismatch"),
    ],
)
def test_wrong_type_description_is_refused(description: str, message: str) -> None:
    with pytest.raises(CheatcodeFailure, match=message):
        run("parseJsonType(string,string)", '{"b":[{"x":1}]}', description)


@pytest.mark.parametrize(
    ("document", "key", "expected"),
    [
        ({}, ".x.y", {"x": {"y": 9}}),
        ({}, "$.x", {"x": 9}),
        ({"a": {"b": 1}}, ".a.b", {"a": {"b": 9}}),
        ({"l": [1]}, ".l[0]", {"l": [1], "l[0]": 9}),
    ],
)
def test_written_value_is_inserted_at_its_key(document: Any, key: str, expected: Any) -> None:
    insert_value(document, key, 9)
    assert document == expected


@pytest.mark.parametrize(
    ("document", "key", "expected"),
    [
        ({}, "", "'valueKey' cannot be empty or just"),
        ([1], ".x", "final destination is not an object, cannot insert key"),
        ({"a": 1}, ".a.b.c", "path segment 'b' does not resolve to an object"),
    ],
)
def test_key_outside_of_an_object_is_refused(document: Any, key: str, expected: str) -> None:
    with pytest.raises(CheatcodeFailure, match=expected):
        insert_value(document, key, 9)


def test_written_toml_has_forges_layout() -> None:
    document = {"d": [{"x": 1}, {"y": {"q": None}}], "l": [1], "m": [1, 2], "s": {"t": {"u": "v"}}}
    assert json_values.to_toml(document) == (
        'l = [1]\nm = [\n    1,\n    2,\n]\n\n[[d]]\nx = 1\n\n[[d]]\n\n[d.y]\nq = "null"\n\n[s.t]\nu = "v"\n'
    )
