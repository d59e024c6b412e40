"""Totals of a run of random inputs, summed over several processes."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Self


@dataclass
class Tally:
    """Sums over inputs: stages, findings, and other `counts`. A subclass adds counters, numbers and lists."""

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Self) -> None:
        """Add another tally's sums."""
        for each in fields(self):
            total = getattr(self, each.name)
            total += getattr(other, each.name)
            setattr(self, each.name, total)
