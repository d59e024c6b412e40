"""Shrinking of failing call sequences by delta debugging: remove halves, then quarters, down to single calls.

After Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeVar

from fvm_hypervisor.soltest.fuzz.fuzz import SHRINK_SECONDS

Step = TypeVar("Step")


def shrink(
    steps: Sequence[Step],
    reason: str,
    fails: Callable[[Sequence[Step]], tuple[int, str] | None],
    limit: int,
    merge: Callable[[Step, Sequence[Step]], Step] = lambda step, _: step,
) -> tuple[Sequence[Step], str]:
    """Return a shorter sequence that still fails, and the reason, within `limit` tries and a time limit.

    Given enough tries and time, no single step of it can be removed. `fails` returns the number of steps until a
    sequence fails and the reason, or None. `merge` returns the replacement of a step whose predecessors are removed.
    """
    tries, end = 0, monotonic() + SHRINK_SECONDS
    size = len(steps) // 2
    while size:
        at, before = 0, len(steps)
        while at < len(steps) and len(steps) > 1:
            if tries >= limit or monotonic() > end:
                return steps, reason
            tries += 1
            removed, rest = steps[at : at + size], steps[at + size :]
            candidate = [*steps[:at], *([merge(rest[0], removed), *rest[1:]] if rest else ())]
            failure = fails(candidate) if candidate else None
            if failure is None:
                at += size
            else:
                length, reason = failure
                steps = candidate[:length]
        again = size == 1 and len(steps) < before  # steps that only a removed step needed may be removable now
        size = size if again else min(size, len(steps)) // 2
    return steps, reason
