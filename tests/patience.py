"""How long may it take? A limit that holds on an idle machine is stretched by what this one is slower, here and now."""

from __future__ import annotations

from time import perf_counter
from typing import Final

_ROUNDS: Final = 5
_USUAL: Final = 0.004
"""Seconds that the work below takes on an idle core of 2024."""


def slowness() -> float:
    """How many times longer than usual a fixed piece of work takes, the slowest of a few rounds; at least 1."""
    return max(1.0, max(_seconds() for _ in range(_ROUNDS)) / _USUAL)


def _seconds() -> float:
    start = perf_counter()
    sum(number * number for number in range(60_000))
    return perf_counter() - start
