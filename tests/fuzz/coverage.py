"""Coverage of our packages by a target's inputs, from libFuzzer's output.

A line is `#INPUTS EVENT cov: EDGES ft: FEATURES corp: ...` (compiler-rt lib/fuzzer/FuzzerLoop.cpp, `PrintStats`). An
edge is a branch of a module that the target imports; a feature also counts how often one input passed it, in powers of
two.

A target is saturated if the last nine tenths of its inputs, and of at least `LEAST`, reached no new edge.
"""

import re
from dataclasses import dataclass
from typing import Final

LEAST: Final = 100_000
"""Minimum number of inputs of a saturated target."""
_STATISTICS: Final = re.compile(r"^#(\d+)\s+([A-Za-z_]+)\s+cov: (\d+) ft: (\d+) ", re.MULTILINE)
_PULSE: Final = "pulse"
"""Event that libFuzzer prints at each power of two."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage, and the number of the last input that reached a new edge.

    `curve` has a line `INPUTS EDGES FEATURES` for each power of two.
    """

    edges: int = 0
    features: int = 0
    last_new: int = 0
    curve: tuple[str, ...] = ()

    def is_saturated(self, count: int) -> bool:
        """Return True if a target with this many inputs is saturated."""
        return count >= max(LEAST, 10 * self.last_new)


def read_coverage(log: str) -> Coverage:
    """Return the coverage at the end of a log; empty without statistics."""
    edges = features = last_new = 0
    curve = []
    for inputs, event, now, features_now in _STATISTICS.findall(log):
        if int(now) > edges:
            edges, last_new = int(now), int(inputs)
        features = int(features_now)
        if event == _PULSE:
            curve.append(f"{inputs} {now} {features_now}")
    return Coverage(edges, features, last_new, tuple(curve))
