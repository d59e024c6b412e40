"""Fuzz inputs match their types, are repeatable, and are simplified; forge prints them in the same way."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from bridge.filecoin.receipts import Log
from hypervisor_tools.soltest.cheatcodes.eth_abi_values import decode_any
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, failure_data, unwrap_error
from hypervisor_tools.soltest.cheatcodes.values import decode as abi_decode
from hypervisor_tools.soltest.cheatcodes.values import encode as abi_encode
from hypervisor_tools.soltest.execution.inline import configured
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.execution.values import (
    Dictionary,
    SourceLiterals,
    StateWords,
    literals,
    own_literals,
    packed_words,
    pushed_words,
    struct_fields,
    texts,
    types,
)
from hypervisor_tools.soltest.project.project import (
    DictionarySettings,
    FuzzSettings,
    InvariantSettings,
    Project,
    load_project,
)
from hypervisor_tools.soltest.project.remappings import Remapping
from hypervisor_tools.soltest.value_text import arguments_text
from tests.hypervisor_tools.soltest.contracts import FAIL, artifact, counting_suite
from tests.hypervisor_tools.soltest.drawing import Drawing

PAIR = {"type": "tuple", "internalType": "struct Lib.Pair", "components": [
    {"name": "left", "type": "uint256"}, {"name": "right", "type": "bytes4"},
]}  # fmt: skip
SEVENS = f"0x{'07' * 20}"
INPUTS: list[dict[str, Any]] = [
    {"type": kind} for kind in (
        "uint256", "uint8", "int256", "int16", "bool", "address", "string", "bytes", "bytes4", "bytes32",
        "uint256[]", "uint8[3]", "string[2][]",
    )
] + [PAIR]  # fmt: skip


@pytest.mark.slow
def test_every_value_can_be_encoded_as_its_type() -> None:
    drawing = Drawing(INPUTS, 1, [0, 1, 2**255, 2**256 - 1])
    for _ in range(200):
        data = drawing.calldata()
        assert encode(types(INPUTS), decode(types(INPUTS), data)) == data


@pytest.mark.slow
def test_values_are_encoded_as_by_eth_abi() -> None:
    nested = {
        "type": "tuple[2]",
        "components": [{"type": "address"}, {"type": "uint64[]"}, {**PAIR, "type": "tuple[]"}],
    }
    inputs = [
        *INPUTS,
        *({"type": kind} for kind in ("address[2]", "uint256[][3]", "int16[2][2]", "bytes4[][]")),
        nested,
    ]
    for entry in inputs:
        drawing, kinds = Drawing([entry, {"type": "string"}], 2, [0, 1, 2**255]), types([entry, {"type": "string"}])
        for _ in range(5):
            data = drawing.calldata()
            assert abi_encode(kinds, abi_decode(kinds, data)) == encode(kinds, decode(kinds, data)) == data


@pytest.mark.parametrize(
    ("kind", "value"), [("string", "\ud800"), ("uint8[]", [256]), ("uint8[2]", [1]), ("bytes4[]", [b"\1" * 5])]
)
def test_a_value_that_is_not_of_its_type_is_not_encoded(kind: str, value: Any) -> None:
    with pytest.raises(CheatcodeFailure):
        abi_encode([kind], [value])


def damaged(data: bytes, rng: Random) -> bytes:
    """Return the data with a byte changed, or truncated: invalid offsets, excessive lengths, dirty words."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    at = rng.choice([rng.randrange(len(data)), rng.randrange(len(data)) | 31, 31])
    at = min(at, len(data) - 1)
    return data[:at] + rng.choice([bytes([rng.randrange(256)]), b"\x20", b"\xff"]) + data[at + 1 :]


@pytest.mark.slow
def test_words_and_texts_are_decoded_as_by_eth_abi() -> None:
    rng, ends = Random(3), {True: 0, False: 0}
    kinds = ["string", "bytes", "bool", "uint256", "bytes4", "uint64", "int256"]

    @cache
    def drawing(*chosen: str) -> Drawing:
        return Drawing([{"type": kind} for kind in chosen], 3, [0, 1, 32, 2**255])

    for _ in range(4000):
        chosen = ["string", *(rng.choice(kinds) for _ in range(rng.randrange(3)))]
        data = drawing(*chosen).calldata()
        data = damaged(data, rng) if rng.random() < 0.8 else data
        try:
            found = decode([kind.replace("string", "bytes") for kind in chosen], data, strict=False)
            pairs = zip(found, chosen, strict=True)
            expected = [value.decode(errors="replace") if kind == "string" else value for value, kind in pairs]
        except (DecodingError, OverflowError):
            with pytest.raises(CheatcodeFailure):
                abi_decode(chosen, data)
            ends[False] += 1
        else:
            assert abi_decode(chosen, data) == expected
            ends[True] += 1
    assert min(ends.values()) > 500


@pytest.mark.parametrize("size", [0, 31, 32, 63])
def test_an_array_without_its_head_is_not_decoded(size: int) -> None:
    with pytest.raises(CheatcodeFailure):
        abi_decode(["uint256[]"], b"\0" * size)


def test_a_list_of_strings_leaves_single_ones_lenient() -> None:
    cut, many = encode(["string"], ["text" * 20])[:-40], encode(["string[]"], [["text"]])
    expected = [*decode(["string"], cut, strict=False)]
    assert decode_any(["string"], cut) == expected
    assert decode_any(["string[]"], many) == [["text"]]
    assert decode_any(["string"], cut) == expected


def test_words_of_an_error_are_those_that_eth_abi_finds() -> None:
    rng = Random(4)
    assert failure_data("why: \N{SNOWMAN}") == bytes.fromhex("eeaa9e6f") + encode(["string"], ["why: \N{SNOWMAN}"])
    for _ in range(1000):
        data = damaged(encode(["bytes"], [rng.randbytes(rng.randrange(80))]), rng)
        try:
            expected = decode(["bytes"], data, strict=False)[0]
        except (DecodingError, OverflowError):
            expected = bytes.fromhex("08c379a0") + data
        assert unwrap_error(bytes.fromhex("08c379a0") + data) == expected


# forge draws lengths so that each is as likely as the others: arrays of 0 to 255 elements, 0 to 99 bytes (a word in the
# two fifths of calls that the dictionary gives), texts of 0 to 31 letters; tests/clients/test_forge.py has its gas.
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mean"), [("uint8[]", 127.5), ("bytes", 0.6 * 49.5 + 0.4 * 32), ("string", 15.5)])
def test_lengths_are_forges_in_the_mean(kind: str, mean: float) -> None:
    drawing = Drawing([{"type": kind}], 5, [1])
    lengths = [len(drawing.arguments()[0]) for _ in range(2000)]
    assert sum(lengths) / len(lengths) == pytest.approx(mean, rel=0.12)


def test_arrays_of_arrays_have_an_end() -> None:
    (found,) = Drawing([{"type": "bool[][][][]"}]).arguments()
    assert sum(1 + sum(1 + len(inner) for part in outer for inner in part) for outer in found) < 1 << 17


def test_dictionary_words_co_occur_in_calls_more_than_by_chance() -> None:
    drawing = Drawing([{"type": "uint256"}] * 3, 3, [77])
    found = sum(set(drawing.arguments()) <= {76, 77, 78} for _ in range(2000))
    assert 300 < found < 500  # 0.4 of one half, 0.064 of the other, and of each word nine tenths


@pytest.mark.slow
def test_the_same_seed_draws_the_same_values() -> None:
    one, two, other = (Drawing(INPUTS, seed, [7]) for seed in ("seed", "seed", "other"))
    found = [one.calldata() for _ in range(20)]
    assert found == [two.calldata() for _ in range(20)]
    assert found != [other.calldata() for _ in range(20)]


def test_words_of_the_code_are_drawn_as_they_are() -> None:
    word = 0x123456789ABCDEF0123456789
    code = bytes.fromhex(f"6c{word:026x}5b600100")
    assert list(pushed_words(code)) == [word, 1]
    drawing = Drawing([{"type": "uint256"}], 3, pushed_words(code))
    assert sum(drawing.arguments() == (word,) for _ in range(200)) > 10


def test_places_to_jump_to_are_no_words_of_the_code() -> None:
    code = bytes.fromhex("610006" + "610309" + "5b" + "60075b")  # of two bytes 6 is a JUMPDEST, and 777 is not
    assert list(pushed_words(code)) == [777, 7]


def test_source_constants_are_drawn_as_often_as_code_words() -> None:
    known = Dictionary(packed_words(range(1000, 15_000)), packed_words([77, 78]))
    drawing = Drawing([{"type": "uint256"}], 3, dictionary=known)
    drawn = [drawing.arguments()[0] for _ in range(4000)]
    assert all(200 < drawn.count(number) < 600 for number in (77, 78))  # a fifth of all, in equal parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vm.assume(x == 77);", [77]),
        ("x > 1_000 && x < 0xFF", [1000, 255]),
        ("1 ether + 2 days + 1.5 gwei + 3e6 + 5 wei", [10**18, 172_800, 15 * 10**8, 3 * 10**6, 5]),
        ('// 1\n/* 2 */ "3" \'4\' hex"55" 6', [6]),
        ("pragma solidity ^0.8.13; uint256 a2; bytes32 b; c.d3;", []),
        ("0.5 1e78", []),
        (str(2**256 - 1), [2**256 - 1]),
    ],
)
def test_numbers_of_a_source(text: str, found: list[int]) -> None:
    assert list(literals(text)) == found


def test_constants_come_from_imported_project_sources_only(tmp_path: Path) -> None:
    sources = {
        "test/A.t.sol": 'import "forge-std/Test.sol"; import "../src/A.sol"; import "@scope/P.sol"; uint256 a = 1;',
        "src/A.sol": 'import "./B.sol"; import "./Missing.sol"; uint256 constant B = 777;',
        "src/B.sol": 'import "../test/A.t.sol"; uint256 constant C = 778; string constant S = "open";',
        "src/Other.sol": "uint256 constant D = 779;",
        "lib/forge-std/src/Test.sol": "uint256 constant E = 780;",
        "node_modules/@scope/P.sol": "uint256 constant F = 781;",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    remappings = tuple(map(Remapping.parse, ("forge-std/=lib/forge-std/src/", "@scope/=node_modules/@scope/")))
    assert own_literals(Project(tmp_path, remappings=remappings), "test/A.t.sol") == (
        SourceLiterals((1, 777, 778), ("open",))
    )
    assert own_literals(Project(tmp_path), "test/Gone.t.sol") == SourceLiterals()


ENUMS = """// enum E { A }
string constant TEXT = "enum E { A }";
enum E { A, B /* , C */, // , D }
    D }
library L { enum E { A, B } struct S { E e; } }
abstract contract C { function f(E e) public {} enum E{A} }
"""


def test_enum_values_are_in_range(tmp_path: Path) -> None:
    """Inputs of enums are bounded to valid variants (foundry#15375)."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/E.sol").write_text(ENUMS, encoding="utf-8")
    (tmp_path / "T.t.sol").write_text('import "./lib/E.sol";', encoding="utf-8")
    sizes = own_literals(Project(tmp_path), "T.t.sol").enum_size
    assert [sizes(name) for name in ("E", "L.E", "C.E", "X.E")] == [3, 2, 1, None]
    inputs: list[dict[str, Any]] = [
        {"type": "uint8", "internalType": "uint8"}, {"type": "uint8", "internalType": "enum E"},
        {"type": "uint8[2][]", "internalType": "enum L.E[2][]"},
        {"type": "tuple", "internalType": "struct S", "components": [{"type": "uint8", "internalType": "enum C.E"}]},
    ]  # fmt: skip
    drawing = Drawing(inputs, 5, dictionary=Dictionary(packed_words([200]), enum_size=sizes), weight=100)
    found = [drawing.arguments() for _ in range(100)]
    found += [Drawing(inputs, at, corpus=found[:9], dictionary=drawing.dictionary).arguments() for at in range(100)]
    assert {one for _, one, _, _ in found} == {0, 1, 2}
    assert {item for _, _, row, _ in found for pair in row for item in pair} == {0, 1}
    assert {part for _, _, _, part in found} == {(0,)}


def test_fields_of_a_struct_are_in_source_order(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    text = """struct Z { uint256 z; bytes a; }
contract C { /* struct A { uint256 a; uint256 z; } */
    struct S { mapping(uint256 => uint256) m; uint256[] /* ;} */ y; Z b; }
    struct Y { address a; bool z; } }"""
    (tmp_path / "test/T.t.sol").write_text(text, encoding="utf-8")
    found = struct_fields(Project(tmp_path))
    assert found == {frozenset("yb"): ("y", "b"), frozenset("za"): ("a", "z")}  # C.Y is before Z


def test_addresses_of_libraries_are_not_drawn() -> None:
    library = bytes(19) + b"\7"
    known = Dictionary(packed_words([7]), libraries=frozenset({library}))
    drawing = Drawing([{"type": "address"}], 6, dictionary=known, weight=100)
    assert f"0x{library.hex()}" not in [drawing.arguments()[0] for _ in range(1000)]


def test_texts_of_a_source() -> None:
    text = """// "no"\n/* 'no' */ "one" 'it"s' "a\\n\\x41" "" unicode"α" "α\\n" """
    assert list(texts(text)) == ["one", 'it"s', "a\nA", "", "α"]


def test_texts_of_the_sources_are_drawn_as_texts_bytes_and_words() -> None:
    dictionary = Dictionary(packed_words([0]), texts=("open sesame",))

    def values(kind: str, count: int) -> list[Any]:
        drawing = Drawing([{"type": kind}], 3, dictionary=dictionary)
        return [drawing.arguments()[0] for _ in range(count)]

    for kind, known in (
        ("string", "open sesame"), ("bytes", b"open sesame"), ("bytes32", b"open sesame".ljust(32, b"\0")),
    ):  # fmt: skip
        assert 200 < values(kind, 2000).count(known) < 600  # a fifth
    assert b"open" not in values("bytes4", 200)


def test_fixtures_of_a_parameter_are_drawn_by_its_name_and_type() -> None:
    fixture = 2**200 + 77
    fixtures = {"amount:uint256": [encode(["uint256"], [fixture])], "amount:uint8": [encode(["uint8"], [78])]}
    inputs = [{"name": "_amount", "type": "uint256"}, {"name": "other", "type": "uint128"}]
    drawing = Drawing(inputs, 3, fixtures=fixtures)
    drawn = [drawing.arguments() for _ in range(2000)]
    assert 800 < sum(one == fixture for one, _ in drawn) < 1200  # half of them
    assert all(other != fixture for _, other in drawn)


@pytest.mark.parametrize(
    ("kind", "start", "fails", "simplest"),
    [
        ("uint256", 2**255 + 12345, lambda x: x > 1000, 1001),
        ("int256", -(2**200), lambda x: x < -7, -8),
        ("uint256", 2**256 - 1, lambda _: True, 0),
        ("uint256", 2**255 + 0x1234, lambda x: x % 2**16 == 0x1234, 0x1234),
        ("int64", -(2**62) - 0x1234, lambda x: -x % 2**16 == 0x1234, -0x1234),
        ("bytes", b"\x01\x02\x03" * 9, lambda x: len(x) > 4, bytes(5)),
        ("uint256[]", [5, 900, 3, 77], lambda x: sum(x) > 10, [11]),
        ("int256", -(2**255), lambda x: x == -(2**255), -(2**255)),
        ("int8", -128, lambda x: x < -100, -101),
        ("bool", True, lambda _: True, False),
        ("bytes32", b"\x07" * 32, lambda _: True, bytes(32)),
        ("address", b"\xab" * 20, lambda x: int(x, 16), f"0x{1:040x}"),
    ],
)
def test_failing_input_is_shrunk_to_simplest(kind: str, start: Any, fails: Any, simplest: Any) -> None:
    ((found,), _) = Drawing([{"type": kind}]).shrunk([start], fails)
    if kind == "uint256[]":
        assert len(found) == 1
        assert found[0] <= 77
    else:
        assert found == simplest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "start", "fails", "simplest", "most"),
    [
        ("uint256[]", [2**255 + at for at in range(250)], lambda x: len(x) > 200, [0] * 201, 1000),
        ("uint256[]", [2**255 + at for at in range(250)], lambda x: len(x) > 200 and x[199] > 1000,
         [0] * 199 + [1001, 0], 2500),
        ("address[]", [b"\7" * 20] * 250, lambda x: SEVENS in x, [SEVENS], 100),
        ("string[]", ["abc"] * 250, lambda x: len(x) > 1, ["", ""], 200),
    ],
)  # fmt: skip
def test_long_arrays_become_short_in_few_runs(kind: str, start: Any, fails: Any, simplest: Any, most: int) -> None:
    ((found,), tries) = Drawing([{"type": kind}]).shrunk([start], fails)
    assert list(found) == simplest
    assert tries < most


# As forge 1.7.1 prints them in its counterexamples.
@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("uint256", 1001, "1001"),
        ("uint256", 123456789, "123456789 [1.234e8]"),
        ("int256", -20000, "-20000 [-2e4]"),
        ("bool", True, "true"),
        ("address", bytes.fromhex("1804c8ab1f12e6bbf3894d4083f33e07309d1f38"),
         "0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38"),
        ("bytes4", b"\x01\x02\x03\x04", "0x01020304"),
        ("string", 'a"b', '"a\\"b"'),
        ("uint8[]", [1, 2], "[1, 2]"),
    ],
)  # fmt: skip
def test_values_are_written_as_forge_writes_them(kind: str, value: Any, text: str) -> None:
    assert arguments_text([{"type": kind}], [value]) == text


ESCAPED = "\u0301a\u0301'\"\\\n\r\t\u2005\x7f\xa0é\u200b"
INNER = {"type": "tuple", "internalType": "struct Inner", "components": [
    {"name": "name", "type": "string"}, {"name": "amounts", "type": "uint256[]"},
]}  # fmt: skip


# As `args` and `raw_args` of forge 1.7.1, in its JSON report and in stored failures.
@pytest.mark.parametrize(
    ("entry", "value", "text", "raw"),
    [
        ({"type": "string"}, ESCAPED, r'''"\u{301}a\u{301}'\"\\\n\r\t\u{2005}\u{7f}\u{a0}é\u{200b}"''',
         "\\u{301}a\u0301" + r"""\'\"\\\n\r\t\u{2005}\u{7f}\u{a0}é\u{200b}"""),
        ({"type": "string[]"}, ["it's", "\u2005"], r'''["it's", "\u{2005}"]''', r"[it\'s, \u{2005}]"),
        ({"type": "uint256"}, 10**6, "1000000 [1e6]", "1000000"),
        ({"type": "uint256[]"}, [10**6, 0], "[1000000 [1e6], 0]", "[1000000, 0]"),
        (INNER, ("it's", [10**6, 0]), """Inner({ name: "it's", amounts: [1000000 [1e6], 0] })""",
         r"(it\'s, [1000000, 0])"),
        ({**INNER, "type": "tuple[]"}, [("", [])], '[Inner({ name: "", amounts: [] })]', "[(, [])]"),
    ],
)  # fmt: skip
def test_raw_values_have_no_quotes_names_and_scientific_notation(
    entry: dict[str, Any], value: Any, text: str, raw: str
) -> None:
    assert arguments_text([entry], [value]) == text
    assert arguments_text([entry], [value], raw=True) == raw


def test_a_struct_is_written_with_its_name_and_fields() -> None:
    assert arguments_text([PAIR], [(1, b"\1\2\3\4")]) == "Pair({ left: 1, right: 0x01020304 })"


Run = Callable[..., dict[str, dict[str, TestResult]]]
EMPTY_HASH = "5f5f20"
"""keccak256 of nothing: a word that occurs in no source and no code."""
STATE = StateWords(packed_words([1000]), (packed_words([2000]), packed_words([3000])), packed_words([4000, 5000]))
SOURCES = SourceLiterals((6000, 7000), ("one", "two"))


def drawn(dictionary: Dictionary, learn: Callable[[Drawing], None] = lambda _: None) -> set[int]:
    """Return the multiples of 1,000 up to 9,000 in thousands of draws; neighbours and inverted words count."""
    drawing = Drawing([{"type": "uint256"}], 1, dictionary=dictionary, weight=100)
    learn(drawing)
    words = (min(word, 2**256 - 1 - word) for (word,) in (drawing.arguments() for _ in range(2000)))
    near = Counter(round(word, -3) for word in words if 500 < word < 9500 and abs(word - round(word, -3)) <= 1)
    return {word for word, count in near.items() if count > 20}  # not those of small random numbers


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {1000, 2000, 3000, 4000, 5000, 6000, 7000}),
        ({"include_storage": False}, {1000, 2000, 3000, 6000, 7000}),
        ({"include_push_bytes": False}, {1000, 4000, 5000, 6000, 7000}),
        ({"max_fuzz_dictionary_addresses": 1}, {1000, 2000, 4000, 5000, 6000, 7000}),
        ({"max_fuzz_dictionary_values": 2}, {1000, 4000, 6000, 7000}),
        ({"max_fuzz_dictionary_literals": 1}, {1000, 2000, 3000, 4000, 5000, 6000}),
        ({"max_fuzz_dictionary_literals": 0, "max_fuzz_dictionary_values": 0}, set()),
    ],
)
def test_fuzz_dictionary_matches_its_settings(settings: dict[str, Any], expected: set[int]) -> None:
    assert drawn(Dictionary.of(DictionarySettings(**settings), STATE, SOURCES)) == expected


def learn_outcome(drawing: Drawing) -> None:
    log = Log(((1000).to_bytes(32, "big"), (3000).to_bytes(32, "big")), (4000).to_bytes(32, "big") + b"\1")
    drawing.learn((2000).to_bytes(32, "big"), [log], (5000).to_bytes(32, "big"))


def learn_and_forget(drawing: Drawing) -> None:
    learn_outcome(drawing)
    drawing.campaign.begin()


def test_dictionary_holds_run_values_until_forgotten() -> None:
    dictionary = Dictionary(packed_words([9000]))
    assert drawn(dictionary, learn_outcome) == {2000, 3000, 4000, 5000, 9000}
    assert drawn(dictionary, learn_and_forget) == {9000}
    assert drawn(Dictionary(takes_storage=False), learn_outcome) == {2000, 3000, 4000}


def test_dictionary_growth_by_runs_is_bounded() -> None:
    known, more = Dictionary(packed_words([1000, 2000]), limit=5), packed_words(range(3000, 10_000, 1000))
    assert drawn(known, lambda drawing: drawing.learn(words=more)) == {1000, 2000, 3000, 4000, 5000}
    many = packed_words(range(1 << 200, (1 << 200) + 10_000))
    drawing = Drawing([{"type": "uint256"}], weight=100)
    drawing.learn(words=many)
    words = (min(word, 2**256 - 1 - word) for (word,) in (drawing.arguments() for _ in range(2000)))
    assert (1 << 200) + 4000 < max(words) <= (1 << 200) + 4096


def test_keys_of_foundry_toml_and_of_comments_are_read(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(
        "[fuzz]\ninclude_storage = false\nmax_fuzz_dictionary_values = 7\n"
        '[invariant]\ninclude_push_bytes = false\nmax_fuzz_dictionary_addresses = "max"\n',
        encoding="utf-8",
    )
    project = load_project(tmp_path)
    assert (project.fuzz.include_storage, project.fuzz.max_fuzz_dictionary_values) == (False, 7)
    assert (project.invariant.include_push_bytes, project.invariant.include_storage) == (False, False)
    assert project.invariant.max_fuzz_dictionary_addresses == (1 << 64) - 1
    comments = {"testFuzz": ["default.fuzz.include_storage = true", "default.fuzz.max_fuzz_dictionary_literals = 3"]}
    fuzz = configured(project, comments, "testFuzz").fuzz
    assert (fuzz.include_storage, fuzz.max_fuzz_dictionary_literals) == (True, 3)


@pytest.mark.slow
@pytest.mark.parametrize("included", [True, False])
def test_a_fuzz_test_knows_the_slots_that_set_up_has_written(
    run_contracts: Run, tmp_path: Path, included: bool
) -> None:
    suite = {
        "setUp()": [EMPTY_HASH, "5f5500"],
        "testFuzz(uint256)": ["600435", "5f54", "14", "@bad", "57", "00", "bad:", *FAIL],
    }
    project = Project(tmp_path, fuzz=FuzzSettings(runs=256, include_storage=included))
    found = run_contracts({"Suite": suite}, project=project)["Suite"]["testFuzz(uint256)"]
    assert found.status is (CaseStatus.FAILURE if included else CaseStatus.SUCCESS)


@pytest.mark.slow
@pytest.mark.parametrize("included", [True, False])
def test_invariant_dictionary_includes_slots_written_by_calls(
    run_contracts: Run, tmp_path: Path, included: bool
) -> None:
    counter = artifact({
        "set()": [EMPTY_HASH, "60015500"],
        "take(uint256)": ["600435", "600154", "14", "600154", "1515", "16", "@bad", "57", "00", "bad:", "60015f5500"],
        "count()": ["5f545f5260205ff3"],
    })  # fmt: skip
    settings = InvariantSettings(runs=10, depth=40, include_storage=included)
    suite = counting_suite(counter, "5f5115")  # count() is zero
    project = Project(tmp_path, invariant=settings)
    (found,) = run_contracts({"Suite": suite, "Counter": counter}, project=project)["Suite"].values()
    assert found.status is (CaseStatus.FAILURE if included else CaseStatus.SUCCESS)
    assert included == (len(found.counterexample) == 2)


@pytest.mark.slow
def test_fixtures_come_from_functions_and_public_arrays(run_contracts: Run, tmp_path: Path) -> None:
    suite = artifact({
        "fixtureAmount()": ["60205f52", "60016020", "52", EMPTY_HASH, "604052", "60605ff3"],
        "fixture_other(uint256)": ["600435", "@end", "57", "60016020", "20", "5f52", "60205ff3", "end:", *FAIL],
        "testAmount(uint256)": ["600435", EMPTY_HASH, "14", "@bad", "57", "00", "bad:", *FAIL],
        "testOther(uint256)": ["600435", "60016020", "20", "14", "@bad", "57", "00", "bad:", *FAIL],
    })  # fmt: skip
    names = {"testAmount": "amount", "testOther": "_other"}
    for entry in suite["abi"]:
        entry["outputs"] = {"fixtureAmount": [{"type": "uint256[]"}], "fixture_other": [{"type": "uint256"}]}.get(
            entry["name"], []
        )
        for part in entry["inputs"]:
            part["name"] = names.get(entry["name"], "")
    project = Project(tmp_path, fuzz=FuzzSettings(runs=64))
    found = run_contracts({"Suite": suite}, project=project)["Suite"]
    assert {name: test.status for name, test in found.items()} == dict.fromkeys(
        ("testAmount(uint256)", "testOther(uint256)"), CaseStatus.FAILURE
    )


@pytest.mark.parametrize(
    ("types", "values", "expected"),
    [
        (["bytes"], [b"\xffA"], ["\ufffdA"]),
        (["bytes", "uint256[]"], [b"\xffA", [1]], ["\ufffdA", [1]]),
        (["bytes[]"], [[b"\xe2\x82", b"x"]], [["\ufffd", "x"]]),
    ],
)
def test_text_that_is_not_utf8_is_read_as_forge_reads_it(
    types: list[str], values: list[Any], expected: list[Any]
) -> None:
    strings = [kind.replace("bytes", "string") for kind in types]
    assert abi_decode(strings, encode(types, values)) == expected
