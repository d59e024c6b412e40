"""What a bench module hands to the driver, and the one way to time.

A module `bench_<area>.py` of this package offers `rows() -> Iterable[Row]`. The name of a row is the key of its target
in targets.toml, which gives it a unit, a limit and, where it is a ratio, the peer that it is measured against.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; smaller is better for every row.

    `value` is in the unit of the row's target (a ratio is ours / the peer's), or None where it could not be taken;
    `note` then says why, else what was measured. `parts` splits the value for the reader, each in the same unit.
    """

    name: str
    value: float | None
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)


def seconds(
    action: Callable[[], object], *, calls: int = 1, rounds: int = 5, clock: Callable[[], float] = perf_counter
) -> float:
    """Seconds of one call: the best of `rounds` rounds of `calls` calls each, after one call to warm up.

    The best and not the mean: other programs only ever add to a time. `clock` is another one where the processor's
    time says more, as it does of short calls that are compared with each other.
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
