"""Validation of numbers and bytes passed by callers, before any state changes.

A value of the wrong type in a clock or an actor's state would break all later blocks.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.errors import InvalidInput

_SHOWN: Final = 60
_POWERS: Final = {1 << bits: f"2^{bits}" for bits in (32, 53, 62, 63, 64, 127, 256)}


def whole_number(
    value: Any, what: str, least: int | None = 0, most: int | None = None, *, unit: str = "", reason: str = ""
) -> int:
    """Return `value` if it is an integer from `least` to `most` (None: no bound), else raise InvalidInput.

    Rejects text, fractions and booleans. `what` names the argument, with its article; `reason` explains the bounds.
    """
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (least is None or least <= value)
        and (most is None or value <= most)
    ):
        return int(value)  # a plain int, since a `PrintedAmount` would be encoded as text
    if isinstance(value, int):
        hint = f"; {reason}" if reason else ""
    else:
        hint = ", 1 FIL is 10**18 attoFIL" if unit == "attoFIL" else ""
    raise InvalidInput(
        f"{_shown(value)}{f' {unit}' if unit else ''} cannot be {what}: expected a whole number"
        f"{_bounds(least, most)}{hint}"
    )


def octets(value: Any, what: str) -> bytes:
    """Return `value` as bytes. Raises InvalidInput for text and other types; `what` has its article."""
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
    # Python refuses to print integers of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 1 << 10:
        return f"a number of {value.bit_length()} bits"
    words = repr(value)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
