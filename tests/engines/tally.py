"""Totals of a run of generated programs, summed over several processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Sums over programs."""

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    found_by_rules: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Tally) -> None:
        """Add another tally's sums."""
        self.count += other.count
        self.stages.update(other.stages)
        self.counts.update(other.counts)
        self.findings += other.findings
        self.found_by_rules.update(other.found_by_rules)
