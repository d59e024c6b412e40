"""Bounds of symbolic tests; imports nothing, since z3 is optional."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SymbolicSettings:
    """Bounds of symbolic tests. A test that passes holds within `lengths` and `byte_lengths`.

    The other limits end a test, or a path of it, as not decided.
    """

    fuzz: bool = False
    """True if fuzz tests (`test*` with arguments) are run symbolically, too."""
    lengths: tuple[int, ...] = (0, 1, 2)
    """Lengths of dynamic arrays in arguments."""
    byte_lengths: tuple[int, ...] = (0, 32, 65)
    """Lengths of `bytes` and `string` in arguments."""
    loop: int = 8
    """Maximum number of decisions at one conditional jump of a frame."""
    paths: int = 10_000
    steps: int = 1_000_000
    """Maximum number of instructions of a path."""
    seconds: float = 120.0
    """Time limit of a test."""
    query_seconds: float = 20.0
    """Time limit of a query to the solver."""

    def bounds(self) -> str:
        """Return the bounds of a proof."""
        lengths, sizes = (",".join(map(str, some)) for some in (self.lengths, self.byte_lengths))
        return f"arrays of {lengths} items, bytes and strings of {sizes} bytes"
