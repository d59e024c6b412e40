"""Planted defects, and totals of runs that find them.

- Replacement of attributes at run time, which plants a defect in a class or a module.
- Totals of a run of random inputs, summed over several processes.
"""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Self


def replace_attribute(owner: object, name: str, value: object) -> None:
    """Replace an existing attribute of a class, a module or an object. Raises AttributeError if there is none."""
    getattr(owner, name)
    setattr(owner, name, value)


@dataclass
class Tally:
    """Sums over inputs: findings by kind (`found`), and other `counts`. A subclass adds counters, numbers and lists."""

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Self) -> None:
        """Add another tally's sums."""
        for each in fields(self):
            total = getattr(self, each.name)
            total += getattr(other, each.name)
            setattr(self, each.name, total)
