"""The numbers that a Solidity source mentions, found by its text alone: what its conditions compare with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|"""
    r"""(?<![\w.$])(?:(?P<hex>0[xX][0-9a-fA-F_]+)|(?P<decimal>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE]\d{1,2})?))(?![\w.])"""
    r"""(?:\s+(?P<unit>wei|gwei|ether|seconds|minutes|hours|days|weeks)\b)?""",
    re.DOTALL,
)
_UNITS: Final = {
    "gwei": 10**9, "ether": 10**18, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800,
}  # fmt: skip
_TOP: Final = 1 << 256


def literals(text: str) -> Iterator[int]:
    """Whole numbers below 2^256, in the order of the text; comments and strings are passed over."""
    for found in _TOKEN.finditer(text):
        if found["hex"]:
            value = Fraction(int(found["hex"].replace("_", ""), 16))
        elif found["decimal"]:
            value = Fraction(found["decimal"].replace("_", "")) * _UNITS.get(found["unit"] or "", 1)
        else:
            continue
        if value.denominator == 1 and value < _TOP:
            yield int(value)
