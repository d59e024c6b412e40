"""Endless loops for tests of interrupts and timeouts: slow relative to their gas in every engine, compiled or not."""

from typing import Final

ENDLESS: Final = bytes.fromhex("5b600019600119800950600056")
"""A loop at 0 around (2^256 - 2)^2 mod 2^256 - 1: two nanoseconds per gas; a loop of jumps alone compiles to a tenth of
that.
"""
ENDLESS_WORDS: Final = "0 NOT 1 NOT DUP1 MULMOD POP"
"""The same without the loop, for the assembler."""
