"""Untrusted TOML: limits on size and nesting. The limit of 80 is that of forge 1.7.1 (`forge config`)."""

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.toml_text import MAX_BYTES, parse_toml


@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "t = {{{} = 1}}", "x = '''\\'''\n{} = 1 # a"])
@pytest.mark.parametrize("part", ["a", '"a.\\""', "'a\"'"])
def test_key_has_at_most_80_parts(form: str, part: str) -> None:
    parse_toml(form.format(".".join([part] * 80)))
    for parts in (81, 20_000):
        with pytest.raises(InvalidInput, match="a key of more than 80 parts at line"):
            parse_toml(form.format(" . ".join([part] * parts)))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a = ", "}")])
def test_values_nest_at_most_80_levels(opening: str, closing: str) -> None:
    parse_toml(f"b = {opening * 79}[]{closing * 79}")
    for levels in (81, 100_000):
        with pytest.raises(InvalidInput, match="more than 80 nested values at line 2"):
            parse_toml(f"[t]\nb = {opening * levels}")


@pytest.mark.parametrize(
    "quoted",
    ['"{}"', "'{}'", '"""{}"""', "'''{}'''", '"""\\"""{}"""', "'''''{}'''''", '[""""{}"""""]', "1 # {}"],
    ids=["basic", "literal", "long basic", "long literal", "escape", "quotes", "more quotes", "comment"],
)
def test_limits_do_not_apply_inside_strings_and_comments(quoted: str) -> None:
    text = ".".join(["a"] * 100) + "[" * 100
    assert parse_toml(f"b = {quoted.format(text)}\nc = 2")["c"] == 2


def test_document_above_one_mebibyte_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1,048,577 bytes, at most 1,048,576 are allowed"):
        parse_toml("#" * (MAX_BYTES + 1))


@pytest.mark.parametrize("text", ['a = "' + r"\"" * 50_000, '"""' + r"\"" * 50_000, "a" * 100_000, "'a." * 50_000])
def test_check_of_malformed_text_takes_linear_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):  # would not finish with quadratic time
        parse_toml(text)
