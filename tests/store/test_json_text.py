"""Untrusted JSON: accepted and rejected input, and bounded recursion."""

import json
import sys

import pytest

from store.json_text import check_depth, parse_json


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
