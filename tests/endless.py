"""Code without an end for tests of interrupts and of time: slow for its gas in every engine, compiled or not."""

from typing import Final

ENDLESS: Final = bytes.fromhex("5b600019600119800950600056")
"""A loop at 0 around (2^256 - 2)^2 mod 2^256 - 1: two nanoseconds a gas, where a loop of jumps alone is compiled to a
tenth of one."""
ENDLESS_WORDS: Final = "0 NOT 1 NOT DUP1 MULMOD POP"
"""The same, without the loop, for the assembler."""
