"""Data that reports are made from: gas used by calls, and execution counts of instructions, over all tests.

Plain data: workers send it (`collecting`), and the reports (`gas_report`, `coverage`) run no tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[str, str]
"""A contract's file and name; for a native actor, `""` and its name."""
Code = tuple[str, str, bool]
"""A contract's file and name, and True for its init code."""


@dataclass(slots=True)
class GasUse:
    """Gas by function signature of a contract, and the gas and init code size (bytes) of the last creation.

    The gas is None unless a test created the contract itself, the size unless any call did.
    """

    functions: dict[str, list[int]] = field(default_factory=dict)
    deployment_gas: int | None = None
    deployment_size: int | None = None


@dataclass(slots=True)
class SuiteCoverage:
    """Collected data of one or more suites.

    `visits` counts executions by program counter; `cut` names the tests that exceeded the limit.
    """

    gas: dict[Place, GasUse] = field(default_factory=dict)
    visits: dict[Code, Counter[int]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def add(self, other: SuiteCoverage, times: int = 1) -> None:
        """Add the data of another suite, multiplied by `times`."""
        self.cut += other.cut
        for place, use in other.gas.items():
            mine = self.gas.setdefault(place, GasUse())
            if use.deployment_gas is not None:
                mine.deployment_gas = use.deployment_gas
            if use.deployment_size is not None:
                mine.deployment_size = use.deployment_size
            for function, gas in use.functions.items():
                mine.functions.setdefault(function, []).extend(gas * times)
        for code, visits in other.visits.items():
            counted = self.visits.setdefault(code, Counter())
            for counter, count in visits.items():
                counted[counter] += count * times


def merge(parts: Iterable[SuiteCoverage]) -> SuiteCoverage:
    """Return the combined data of several suites."""
    whole = SuiteCoverage()
    for part in parts:
        whole.add(part)
    return whole
