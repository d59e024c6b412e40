"""The result type of bench modules, and their timing function.

A module `bench_<area>.py` of this package defines `rows() -> Iterable[Row]`. A row's name is its key in targets.toml,
which defines a unit, a limit and, for a ratio, the peer that it is compared with.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; smaller is better for every row.

    `value` is in the unit of the row's target (a ratio is ours / the peer's), or None if it could not be measured, with
    the reason in `note`; otherwise `note` describes the measurement. `parts` splits the value, in the same unit.
    """

    name: str
    value: float | None
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)


def seconds(
    action: Callable[[], object], *, calls: int = 1, rounds: int = 5, clock: Callable[[], float] = perf_counter
) -> float:
    """Return seconds of one call: the best of `rounds` rounds of `calls` calls each, after one call to warm up.

    The best rather than the mean, because other programs only add to a time. Use processor time as `clock` to compare
    short calls.
    """
    action()
    collecting = gc.isenabled()
    gc.disable()
    try:
        return min(_round(action, calls, clock) for _ in range(rounds)) / calls
    finally:
        if collecting:
            gc.enable()


def _round(action: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        action()
    return clock() - start
