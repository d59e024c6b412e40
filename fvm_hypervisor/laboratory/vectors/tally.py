"""Summary of a run of state tests: cases by fork, and the slowest ones."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

SECONDS = "seconds"
SLOWEST = 5


class Tally:
    """Collects the durations of a run's records, and removes them from the records."""

    def __init__(self) -> None:
        self._passed: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._slowest: list[tuple[float, str]] = []

    def watch(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records without their durations."""
        for record in records:
            seconds = record.pop(SECONDS, 0.0)
            (self._passed if record["pass"] else self._failed)[record["fork"]] += 1
            case = f"{record['name']} {record['fork']} {record['index']}"
            heapq.heappush(self._slowest, (seconds, case))
            if len(self._slowest) > SLOWEST:
                heapq.heappop(self._slowest)
            yield record

    def lines(self) -> Iterator[str]:
        """Return one line per fork, then the slowest cases in descending order, in seconds on this machine."""
        for fork in sorted({*self._passed, *self._failed}):
            yield f"{fork or 'no fork'}: {self._passed[fork]} passed, {self._failed[fork]} failed"
        for seconds, case in sorted(self._slowest, reverse=True):
            yield f"{seconds:8.2f} s  {case}"
