"""Limits on the input and output of cheatcodes, so that a test cannot exhaust memory.

The memory that a frame can pay for with forge's gas limit (2^30) is below 24 MiB.
"""

from __future__ import annotations

from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure

MAX_BYTES: Final = 16 << 20
"""Maximum size of decoded arguments and of return data in bytes: a word per value and length, and the texts."""
MAX_STORED: Final = 256 << 20
"""Maximum total size in bytes of calldata to cheatcodes that store their input, per test."""
MAX_TYPE_LENGTH: Final = 1 << 14
"""Maximum number of characters of a type description, with structs expanded."""
_WORD: Final = 32


def check_size(size: int, what: str = "the return data", limit: int = MAX_BYTES) -> None:
    """Raise CheatcodeFailure if a size in bytes exceeds the limit."""
    if size > limit:
        raise CheatcodeFailure(f"{what} exceeds the limit of {limit} bytes")


def check_type(description: str) -> str:
    """Return a type description. Raises CheatcodeFailure if it is too long."""
    if len(description) > MAX_TYPE_LENGTH:
        raise CheatcodeFailure(f"the type is longer than {MAX_TYPE_LENGTH} characters")
    return description


def check_values(values: Any) -> None:
    """Raise CheatcodeFailure for values whose encoding would exceed the limit."""
    left, size = [values], 0
    while left:
        value = left.pop()
        size += _WORD
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, bytes | str):
            size += len(value)
        elif isinstance(value, list | tuple):
            check_size(size + _WORD * (len(left) + len(value)))
            left += value
        check_size(size)
