"""Numbers and bytes that callers give, checked before anything is changed.

A number of another kind that got into a clock or an actor's state would break every block to come.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.errors import InvalidInput

_SHOWN: Final = 60
_POWERS: Final = {1 << bits: f"2^{bits}" for bits in (32, 53, 62, 63, 64, 127, 256)}


def whole_number(value: Any, what: str, least: int | None = 0, most: int | None = None, *, unit: str = "") -> int:
    """`value`, a whole number from `least` to `most` (None: no bound). Raises InvalidInput; `what` has its article.

    Text and fractions are none, and neither are `True` and `False`.
    """
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (least is None or least <= value)
        and (most is None or value <= most)
    ):
        return int(value)  # a plain one: an amount that prints in FIL would be text in what is written of it
    hint = ", 1 FIL is 10**18 attoFIL" if unit == "attoFIL" and not isinstance(value, int) else ""
    raise InvalidInput(
        f"{_shown(value)}{f' {unit}' if unit else ''} cannot be {what}: expected a whole number"
        f"{_bounds(least, most)}{hint}"
    )


def octets(value: Any, what: str) -> bytes:
    """`value` as bytes. Raises InvalidInput for text and all else; `what` has its article."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    hint = ", bytes.fromhex reads hex digits" if isinstance(value, str) else ""
    raise InvalidInput(f"{_shown(value)} cannot be {what}: expected bytes{hint}")


def _bounds(least: int | None, most: int | None) -> str:
    if most is None:
        return "" if least is None else f", {least} or more"
    words = f"{_POWERS[most + 1]} - 1" if most + 1 in _POWERS else str(most)
    return f", {words} or less" if least is None else f", {least} to {words}"


def _shown(value: Any) -> str:
    # Python writes no number of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 1 << 10:
        return f"a number of {value.bit_length()} bits"
    words = repr(value)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
