"""JSON that preserves numbers with a fraction or an exponent as written, since floats are inexact."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isinf
from typing import Any, Final, NoReturn

from store.untrusted import check_depth

_MAX_DEPTH: Final = 127
"""Maximum nesting that forge reads (serde_json, `Deserializer::remaining_depth`)."""
_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*(?:"|$)|//[^\r\n]*|/\*.*?(?:\*/|$)', re.DOTALL)
"""A string, or a comment."""
_NUMBER: Final = re.compile(r"(-?[0-9.]+)(?:[eE]([+-]?)([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is not written as an integer, in forge's notation: `1.10`, `1e+23`."""

    text: str

    @classmethod
    def read(cls, text: str) -> Number:
        """Return the number for a JSON number."""
        found = _NUMBER.fullmatch(text)
        assert found is not None, "the readers of JSON and TOML let nothing else pass"
        digits, sign, power = found.groups()
        return cls(digits if power is None else f"{digits}e{sign or '+'}{power}")

    @property
    def integer(self) -> int | None:
        """Integer that forge reads if no type is given; None if forge rejects the number.

        Only numbers with an exponent are accepted; they are read as floats and lose digits, as in forge.
        """
        if "e" not in self.text or isinf(float(self.text)):
            return None
        value = self.plain
        return int(value) if value == int(value) else None

    @property
    def plain(self) -> Decimal:
        """Shortest decimal representation of the nearest float."""
        return Decimal(repr(float(self.text)))


def read(text: str) -> Any:
    """Return the value of a JSON text, with numbers as int or Number; comments are skipped. Raises ValueError."""
    check_depth(text, _MAX_DEPTH)
    try:
        value = _loads(text)
    except ValueError:
        if "/" not in text:
            raise
        value = _loads(_TOKEN.sub(_without_comment, text))
    if "\\u" in text:
        to_text(value).encode()  # raises ValueError for half of a surrogate pair
    return value


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=Number.read, parse_constant=_no_number)


def _without_comment(found: re.Match[str]) -> str:
    token = found.group()
    if token.startswith('"'):
        return token
    if token.startswith("/*") and not (token.endswith("*/") and len(token) > 3):
        raise ValueError("unterminated block comment")
    return re.sub(r"[^\r\n]", " ", token)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"expected value, found {name}")


def to_text(value: Any, indent: int | None = None, level: int = 0) -> str:
    """Return a value as JSON: compact, or a line per element with `indent` spaces per level."""
    if isinstance(value, Number):
        return value.text
    if not isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        ends, colon = "{}", ":" if indent is None else ": "
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}{colon}{to_text(part, indent, level + 1)}"
            for key, part in value.items()
        ]
    else:
        ends, parts = "[]", [to_text(part, indent, level + 1) for part in value]
    if indent is None or not parts:
        return f"{ends[0]}{','.join(parts)}{ends[1]}"
    line = "\n" + " " * indent * level
    deeper = line + " " * indent
    return f"{ends[0]}{deeper}{f',{deeper}'.join(parts)}{line}{ends[1]}"
