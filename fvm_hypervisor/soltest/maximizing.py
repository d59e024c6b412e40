"""Optimization mode of invariant tests, as in forge: maximizes the `int256` that a test returns.

No return value makes such a test fail. Its result is the largest value found, with the call sequence that produced it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fvm_hypervisor.soltest.call_outcome import CallOutcome
from fvm_hypervisor.soltest.execution.discovery import TestFunction

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class BestSequence(Generic[Step]):
    """The largest value that a test returned, and the call sequence that produced it."""

    value: int
    steps: Sequence[Step]


def is_maximizing(test: TestFunction) -> bool:
    """Return True if an invariant test's return value is to be maximized."""
    return [output["type"] for output in test.entry.get("outputs", ())] == ["int256"]


def returned_value(outcome: CallOutcome) -> int | None:
    """Return the value of a maximizing test's call; None if it reverted or returned less than 32 bytes."""
    if not outcome.success or len(outcome.output) < 32:
        return None
    return int.from_bytes(outcome.output[:32], "big", signed=True)
