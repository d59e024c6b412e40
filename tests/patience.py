"""Time limits, interrupts and endless loops for tests.

- Time limits scaled by the current speed of the machine.
- Delivery of SIGALRM to the main thread, for tests that interrupt it.
- Endless loops for tests of interrupts and timeouts: slow relative to their gas in every engine, compiled or not.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import Final

_ROUNDS: Final = 5
_USUAL: Final = 0.004
"""Seconds that the work below takes on an idle core of 2024."""


def slowness() -> float:
    """Return how many times longer than usual a fixed piece of work takes, at least 1; the slowest of a few rounds."""
    return max(1.0, max(_seconds() for _ in range(_ROUNDS)) / _USUAL)


def _seconds() -> float:
    start = perf_counter()
    sum(number * number for number in range(60_000))
    return perf_counter() - start


@contextmanager
def alarm_clock(ring: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `ring` on SIGALRM; at the end, stop the timer and restore the signal handler."""
    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # what is on its way is dropped: by default it ends the process
        signal.signal(signal.SIGALRM, before)


ENDLESS: Final = bytes.fromhex("5b600019600119800950600056")
"""A loop at 0 around (2^256 - 2)^2 mod 2^256 - 1: two nanoseconds per gas; a loop of jumps alone compiles to a tenth of
that.
"""
ENDLESS_WORDS: Final = "0 NOT 1 NOT DUP1 MULMOD POP"
"""The same without the loop, for the assembler."""
