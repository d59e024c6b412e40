"""Comparison of a suite's gas with forge's: unit tests, `.gas-snapshot`, and `--gas-report` as JSON and as tables."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.soltests.differences import GAS
from tests.soltests.runners import Chosen, End, Key, gas_reports, snapshots

_FRAME: Final = ("╭", "|", "+", "╰")
"""First characters of a table's lines."""


@dataclass(slots=True)
class ComparedGas:
    """Figures for the record, and differences that differences.py does not list."""

    figures: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def add(self, name: str, kind: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
        """Compare the two runners' results of one kind, by test or by line."""
        other = [key for key in sorted(theirs.keys() | ours.keys()) if theirs.get(key) != ours.get(key)]
        known = [key for key in other if (name, f"{kind} {key}") in GAS]
        self.findings += (
            f"{name} {kind} {key}: forge {theirs.get(key, 'none')}, here {ours.get(key, 'none')}"
            for key in other
            if key not in known
        )
        self.figures |= {
            f"{kind}: of forge": len(theirs),
            f"{kind}: alike": len(theirs) - sum(key in theirs for key in other),
            f"{kind}: known differences": len(known),
        }


def compare_gas(name: str, run: Chosen, theirs: Mapping[Key, End], ours: Mapping[Key, End], evm: str) -> ComparedGas:
    """Compare all gas figures of a suite. Those of fuzz tests depend on their inputs and are left out."""
    compared = ComparedGas()
    compared.add(name, "unit gas", *(_unit_gas(ends) for ends in (theirs, ours)))
    compared.add(name, "snapshot", *(_snapshot(lines) for lines in snapshots(run, evm)))
    if not any(end.gas for end in theirs.values()):  # without unit tests forge prints no report
        return compared
    compared.add(name, "gas report", *(_report(json.loads(text)) for text in gas_reports(run, evm, "--json")))
    compared.add(name, "gas table", *(_tables(text) for text in gas_reports(run, evm)))
    return compared


def _unit_gas(ends: Mapping[Key, End]) -> dict[str, str]:
    return {f"{key[0]} {key[1]}": str(end.gas) for key, end in ends.items() if end.gas}


def _snapshot(lines: Iterable[str]) -> dict[str, str]:
    """Return the figures by test: gas of unit tests; runs of fuzz tests, runs and calls of invariant tests."""
    found: dict[str, str] = {}
    for line in lines:  # contracts of one name in several files give several lines
        test, _, figures = line.partition(" (")
        if figures.startswith("runs: "):
            figures = figures.partition(", μ")[0].partition(", reverts")[0]
        while test in found:
            test += "'"
        found[test] = figures.rstrip(")")
    return found


def _report(report: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found = {}
    for contract in report:
        found[f"{contract['contract']} deployment"] = json.dumps(contract["deployment"])
        for signature, gas in contract["functions"].items():
            found[f"{contract['contract']} {signature}"] = json.dumps(gas)
    return found


def _tables(text: str) -> dict[str, str]:
    """Return the lines of all tables, by the table's title and the line's number."""
    found: dict[str, str] = {}
    title, number = "", 0
    for line in text.splitlines():
        if not line.startswith(_FRAME):
            continue
        if line.startswith("╭"):
            title, number = "", 0
        if line.startswith("|") and not title:
            title = line.strip("| ").strip()
            found[f"{title} top"] = line
        number += 1
        if title:
            found[f"{title} line {number}"] = line
    return found
