"""Time limits scaled by the current speed of the machine."""

from time import perf_counter
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
