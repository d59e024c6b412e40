"""Maximizing invariant tests: forge's optimization mode, for a test that returns an `int256`.

The return value never fails such a test: its result is the largest value found and the calls that lead to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fvm_hypervisor.soltest.discovery import TestFunction
from fvm_hypervisor.soltest.world import CallOutcome

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class BestSequence(Generic[Step]):
    """The largest value that a test returned, and the calls before it."""

    value: int
    steps: Sequence[Step]


def is_maximizing(test: TestFunction) -> bool:
    """Return True if an invariant test's return value is to be maximized."""
    return [output["type"] for output in test.entry.get("outputs", ())] == ["int256"]


def returned_value(outcome: CallOutcome) -> int | None:
    """Return the value that a call of a maximizing test returned; None if it reverted."""
    if not outcome.success or len(outcome.output) < 32:
        return None
    return int.from_bytes(outcome.output[:32], "big", signed=True)
