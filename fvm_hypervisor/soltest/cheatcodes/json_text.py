"""JSON as texts: numbers with a fraction or an exponent stay as they were written, for no float holds each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isinf
from typing import Any, Final, NoReturn

from store.json_text import check_depth

_DEEPEST: Final = 127
"""Levels that forge reads (serde_json, `Deserializer::remaining_depth`)."""
_NUMBER: Final = re.compile(r"(-?[0-9.]+)(?:[eE]([+-]?)([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is not written as an integer, as forge writes it: `1.10`, `1e+23`."""

    text: str

    @classmethod
    def read(cls, text: str) -> Number:
        """A number as JSON has it."""
        found = _NUMBER.fullmatch(text)
        assert found is not None, "the readers of JSON and TOML let nothing else pass"
        digits, sign, power = found.groups()
        return cls(digits if power is None else f"{digits}e{sign or '+'}{power}")

    @property
    def integer(self) -> int | None:
        """The integer that forge takes it for where no type is named, None where it refuses: read as a float.

        Only a number with an exponent is taken; what a float does not hold of its digits is lost, as in forge.
        """
        if "e" not in self.text or isinf(float(self.text)):
            return None
        value = self.plain
        return int(value) if value == int(value) else None

    @property
    def plain(self) -> Decimal:
        """The decimal digits that stand for the float nearest to it."""
        return Decimal(repr(float(self.text)))


def read(text: str) -> Any:
    """The value of a JSON text: numbers as int or Number. ValueError."""
    check_depth(text, _DEEPEST)
    return json.loads(text, parse_float=Number.read, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"expected value, found {name}")


def written(value: Any, indent: int | None = None, level: int = 0) -> str:
    """A value as JSON: without blanks, or a line for each part, indented by N blanks a level."""
    if isinstance(value, Number):
        return value.text
    if not isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        ends, colon = "{}", ":" if indent is None else ": "
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}{colon}{written(part, indent, level + 1)}"
            for key, part in value.items()
        ]
    else:
        ends, parts = "[]", [written(part, indent, level + 1) for part in value]
    if indent is None or not parts:
        return f"{ends[0]}{','.join(parts)}{ends[1]}"
    line = "\n" + " " * indent * level
    deeper = line + " " * indent
    return f"{ends[0]}{deeper}{f',{deeper}'.join(parts)}{line}{ends[1]}"
