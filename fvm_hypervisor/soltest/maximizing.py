"""Maximizing invariant tests: forge's optimization mode, for a test that returns an `int256`.

Such a test does not fail by what it returns: the result is the largest value found, with the calls that lead to it.
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
    """The largest value that a test has returned, and the calls before it."""

    value: int
    steps: Sequence[Step]


def is_maximizing(test: TestFunction) -> bool:
    """Return whether an invariant test is one whose value is maximized."""
    return [output["type"] for output in test.entry.get("outputs", ())] == ["int256"]


def returned_value(outcome: CallOutcome) -> int | None:
    """Return the value that a call of a maximizing test returned; None if it reverted."""
    if not outcome.success or len(outcome.output) < 32:
        return None
    return int.from_bytes(outcome.output[:32], "big", signed=True)
