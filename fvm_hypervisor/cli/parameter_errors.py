"""Texts of errors about numbers on the command line, with the value, the limits and the remedy.

typer's own are "0 is not in the range x>=1." and "'x' is not a valid int range.".
"""

from __future__ import annotations

from typing import Any, Final

import typer

_OUT_OF_RANGE: Final = " is not in the range "
_NO_NUMBER: Final = " is not a valid "


def state_limits(error: typer.BadParameter) -> None:
    """Replace typer's text about a number that is out of range, or is not a number. Other texts are unchanged."""
    kind = getattr(error.param, "type", None)
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return
    value, out_of_range, _ = error.message.partition(_OUT_OF_RANGE)
    if out_of_range:
        direction = "larger" if low is not None and float(value) < low else "smaller"
        number = value.removesuffix(".0")
        error.message = f"{number} is out of range ({_limits(low, high)}); pass a {direction} number"
        return
    value, no_number, rest = error.message.partition(_NO_NUMBER)
    if no_number and rest.endswith(" range."):
        whole = "a whole number" if rest.startswith("int") else "a number"
        error.message = f"{value} is not {whole}; expected {_limits(low, high)}"


def _limits(low: Any, high: Any) -> str:
    if high is None:
        return f"{_shown(low)} or more"
    return f"{_shown(high)} or less" if low is None else f"{_shown(low)} to {_shown(high)}"


def _shown(number: float) -> str:
    """Return a number as users write it: 86400 rather than 86400.0."""
    return str(int(number)) if float(number).is_integer() else str(number)
