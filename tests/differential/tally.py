"""Totals of a run of cases: stages, findings, exit codes, and gas ratios by class."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from hypervisor.exit_codes import ExitCode
from tests.differential.twins import LOOKED, RAN_OUT, Case, Compared, Outcome, Twins
from tests.tally import Tally

RAN, FINISHED, LEFT = "ran on both", "came to an end of its own", "left something to see"
STAGES: Final = (RAN, FINISHED, LEFT)
_OWN_ENDS: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
_EMPTY: Final = (b"", b"\x40")
"""Return data without information: none, or an empty byte string in CBOR."""


@dataclass
class CaseTally(Tally):
    """Sums over cases; `gas` holds the class of each message, and its gas on the EVM runtime and the official actor."""

    by_gas: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    gas: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, compared: Compared) -> None:
        """Count one case."""
        self.count += 1
        case = compared.case
        if compared.by_gas:
            self.by_gas[compared.by_gas] += 1
        elif compared.difference:
            self.findings.append(f"{case.theme} {case.name}: {compared.difference}")
            self.found[case.theme] += 1
        self.stages.update(_stages(compared.official))
        for ours, official in zip(compared.ours, compared.official, strict=True):
            self.exits[official.exit_code] += 1
            if ours.exit_code == official.exit_code != ExitCode.SYS_OUT_OF_GAS:
                self.gas.append((case.theme, ours.gas, official.gas))

    @property
    def gas_decided(self) -> int:
        """Number of cases decided by gas."""
        return self.by_gas.total()

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return, by class, the ratio of total gas to the official actor's, and quantiles of single messages."""
        pairs: dict[str, list[tuple[int, int]]] = {}
        for theme, ours, official in self.gas:
            pairs.setdefault(theme, []).append((ours, official))
        return {theme: _ratios(pairs[theme]) for theme in sorted(pairs)}

    def details(self) -> dict[str, Any]:
        """Return the record's details, besides stages and findings."""
        return {
            "messages by exit code": {str(code): count for code, count in sorted(self.exits.items())},
            "cases that gas decided": {reason: self.by_gas[reason] for reason in (RAN_OUT, LOOKED)},
            "gas, EVM runtime to official actor": self.ratios(),
        }


def run(twins: Twins, cases: Iterable[Case]) -> CaseTally:
    """Compare every case and return the totals."""
    tally = CaseTally()
    for case in cases:
        tally.add(twins.compare(case))
    return tally


def _stages(outcomes: tuple[Outcome, ...]) -> list[str]:
    finished = [outcome for outcome in outcomes if outcome.exit_code in _OWN_ENDS]
    left = any(outcome.events or outcome.return_data not in _EMPTY for outcome in finished)
    reached = (bool(outcomes), bool(finished), left)
    return [name for name, passed in zip(STAGES, reached, strict=True) if passed]


def _ratios(pairs: list[tuple[int, int]]) -> dict[str, float]:
    single = sorted(ours / official for ours, official in pairs)
    last = len(single) - 1
    return {
        "all": round(sum(ours for ours, _ in pairs) / sum(official for _, official in pairs), 3),
        "5%": round(single[last * 5 // 100], 3),
        "median": round(median(single), 3),
        "95%": round(single[last * 95 // 100], 3),
    }
