"""Validation of numbers and bytes passed by callers, before any state changes.

A value of the wrong type in a clock or an actor's state would break all later blocks.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.errors import InvalidInput

_SHOWN: Final = 60
_POWERS: Final = {1 << bits: f"2^{bits}" for bits in (32, 53, 62, 63, 64, 127, 256)}


def whole_number(
    value: Any, what: str, minimum: int | None = 0, maximum: int | None = None, *, unit: str = "", reason: str = ""
) -> int:
    """Return `value` if it is an integer from `minimum` to `maximum` (None: no bound), else raise InvalidInput.

    Rejects text, fractions and booleans. `what` names the argument, with its article; `reason` explains the bounds.
    """
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (minimum is None or minimum <= value)
        and (maximum is None or value <= maximum)
    ):
        return int(value)  # a plain int, since a `PrintedAmount` would be encoded as text
    if isinstance(value, int):
        hint = f"; {reason}" if reason else ""
    else:
        hint = ", 1 FIL is 10**18 attoFIL" if unit == "attoFIL" else ""
    raise InvalidInput(
        f"{_format(value)}{f' {unit}' if unit else ''} cannot be {what}: expected a whole number"
        f"{_bounds(minimum, maximum)}{hint}"
    )


def octets(value: Any, what: str) -> bytes:
    """Return `value` as bytes. Raises InvalidInput for text and other types; `what` has its article."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    hint = ", bytes.fromhex reads hex digits" if isinstance(value, str) else ""
    raise InvalidInput(f"{_format(value)} cannot be {what}: expected bytes{hint}")


def check_type(value: Any, kinds: type | tuple[type, ...], parameter: str, expected: str) -> None:
    """Raise TypeError if a caller's argument has none of the types `kinds`, instead of a later error deep inside."""
    if not isinstance(value, kinds):
        raise TypeError(f"{parameter} has the type {type(value).__name__}: expected {expected}")


def _bounds(minimum: int | None, maximum: int | None) -> str:
    if maximum is None:
        return "" if minimum is None else f", {minimum} or more"
    bound = f"{_POWERS[maximum + 1]} - 1" if maximum + 1 in _POWERS else str(maximum)
    return f", {bound} or less" if minimum is None else f", {minimum} to {bound}"


def _format(value: Any) -> str:
    # Python refuses to print integers of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 1 << 10:
        return f"a number of {value.bit_length()} bits"
    bound = repr(value)
    return bound if len(bound) <= _SHOWN else f"{bound[:_SHOWN]}..."
