"""Coverage of our packages by a target's inputs, from libFuzzer's output.

A line is `#INPUTS EVENT cov: EDGES ft: FEATURES corp: ...` (compiler-rt lib/fuzzer/FuzzerLoop.cpp, `PrintStats`). An
edge is a branch of a module that the target imports; a feature also counts how often one input passed it, in powers of
two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_STATISTICS: Final = re.compile(r"^#(\d+)\s+[A-Za-z_]+\s+cov: (\d+) ft: (\d+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage, and the number of the last input that reached a new edge."""

    edges: int = 0
    features: int = 0
    last_new: int = 0


def read_coverage(log: str) -> Coverage:
    """Return the coverage at the end of a log; empty without statistics."""
    found = Coverage()
    for inputs, edges, features in (map(int, line) for line in _STATISTICS.findall(log)):
        found = Coverage(edges, features, inputs if edges > found.edges else found.last_new)
    return found
