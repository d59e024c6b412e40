"""What reports over all tests are made of: the gas of calls, and how often each instruction of a contract ran.

Plain data: workers send them (`collecting`), and who makes a report of them (`gas_report`, `coverage`) runs no test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[str, str]
"""A contract's file and name; of a native actor `""` and its name."""
Code = tuple[str, str, bool]
"""A contract's file and name, and whether it is its init code."""


@dataclass(slots=True)
class GasUse:
    """Gas by the signatures of a contract's functions, and of the last creation gas and bytes of init code.

    The gas is None unless a test created the contract itself, the size unless any call did.
    """

    functions: dict[str, list[int]] = field(default_factory=dict)
    deployment_gas: int | None = None
    deployment_size: int | None = None


@dataclass(slots=True)
class SuiteCoverage:
    """Of one suite, or of several. `visits` count instructions by program counter; `cut` names what was too long."""

    gas: dict[Place, GasUse] = field(default_factory=dict)
    visits: dict[Code, Counter[int]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def add(self, other: SuiteCoverage, times: int = 1) -> None:
        """Take over what another one has, N times."""
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
    """What several suites have collected."""
    whole = SuiteCoverage()
    for part in parts:
        whole.add(part)
    return whole
