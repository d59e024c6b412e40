"""How much a cheatcode may take in and give: a few words of a test must not fill the machine's memory.

What a frame can pay for in memory with forge's gas limit (2^30) is below 24 MiB.
"""

from __future__ import annotations

from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure

MOST_BYTES: Final = 16 << 20
"""Of the arguments once decoded, and of an answer: a word for each value and each length, and the texts."""
MOST_KEPT: Final = 256 << 20
"""Of the calldata of a test's cheatcodes that keep what they are given."""
LONGEST_TYPE: Final = 1 << 14
"""Characters of a type's description, its structures written out."""
_WORD: Final = 32


def check_size(size: int, what: str = "the answer", most: int = MOST_BYTES) -> None:
    """Raise CheatcodeFailure for more bytes than a cheatcode may make."""
    if size > most:
        raise CheatcodeFailure(f"{what} would be longer than {most} bytes")


def check_type(description: str) -> str:
    """The description of a type. Raises CheatcodeFailure for one that is too long."""
    if len(description) > LONGEST_TYPE:
        raise CheatcodeFailure(f"the type is longer than {LONGEST_TYPE} characters")
    return description


def check_values(values: Any) -> None:
    """Raise CheatcodeFailure for values that would take too much in the ABI, before they are encoded."""
    left, size = [values], 0
    while left:
        value = left.pop()
        size += _WORD
        if isinstance(value, bytes | str):
            size += len(value)
        elif isinstance(value, list | tuple):
            check_size(size + _WORD * (len(left) + len(value)))
            left += value
        check_size(size)
