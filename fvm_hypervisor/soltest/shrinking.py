"""Sequences of calls made shorter: the calls are left out by halves, by quarters, and so on to single ones.

After Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): delta debugging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeVar

from fvm_hypervisor.soltest.fuzz import SHRINK_SECONDS

Step = TypeVar("Step")


def shortened(
    steps: Sequence[Step], reason: str, fails: Callable[[Sequence[Step]], tuple[int, str] | None], most: int
) -> tuple[Sequence[Step], str]:
    """A sequence that fails still, and why; no single step of it can be left out, if `most` tries and time suffice.

    `fails` says after how many steps a sequence fails and why; None where it does not.
    """
    tries, end = 0, monotonic() + SHRINK_SECONDS
    size = len(steps) // 2
    while size:
        at, before = 0, len(steps)
        while at < len(steps) and len(steps) > 1:
            if tries >= most or monotonic() > end:
                return steps, reason
            tries += 1
            candidate = [*steps[:at], *steps[at + size :]]
            failure = fails(candidate) if candidate else None
            if failure is None:
                at += size
            else:
                length, reason = failure
                steps = candidate[:length]
        again = size == 1 and len(steps) < before  # what was needed by a step that is gone may be left out now
        size = size if again else min(size, len(steps)) // 2
    return steps, reason
