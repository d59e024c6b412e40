"""The gas report equals forge's, as tables and as JSON. Expected: `forge test --gas-report` of forge 1.7.1."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.report.collecting import GasUse, merge
from fvm_hypervisor.soltest.report.gas import gas_json, gas_lines, report_data
from tests.fvm_hypervisor.soltest.reports.conftest import Runs
from tests.fvm_hypervisor.soltest.reports.golden import HERE, forge

RANDOM = {("src/Proxy.sol:Vault", "set(uint256)"), ("test/Proxy.t.sol:Helper", "add(uint256)")}
"""Functions called by fuzz and invariant tests, whose gas depends on random inputs."""


@pytest.fixture
def report(runs: Runs) -> dict[str, GasUse]:
    suites = sorted(runs("default", 0, "gas"), key=lambda suite: suite.name)
    return report_data(merge(part for suite in suites for part in suite.collected), Project(HERE))


def without_random(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the report with only the number of calls where gas depends on random inputs."""
    return [
        {
            **row,
            "functions": {
                name: {"calls": found["calls"]} if (row["contract"], name) in RANDOM else found
                for name, found in row["functions"].items()
            },
        }
        for row in rows
    ]


def test_gas_report_object_equals_that_of_forge(report: dict[str, GasUse]) -> None:
    theirs = json.loads(forge("gas.json"))
    assert without_random(gas_json(report)) == without_random(theirs)
    assert list(gas_json(report)[0]["functions"]["make()"]) == list(theirs[0]["functions"]["make()"])


def test_gas_report_tables_equal_those_of_forge(report: dict[str, GasUse]) -> None:
    def tables(text: str) -> list[str]:
        found = text[text.index("╭--------------------------------+-----------------+--------+") :]
        lines = found[: found.rindex("╯") + 1].splitlines()
        return [line for line in lines if not re.match(r"\| (set\(uint256\)|add) ", line)]

    ours, theirs = tables("\n".join(gas_lines(report))), tables(forge("gas.txt"))
    assert ours == theirs
    assert len(ours) > 60


def test_contracts_may_be_chosen_and_test_functions_included(runs: Runs) -> None:
    suites = runs("default", 0, "gas")
    found = merge(part for suite in suites for part in suite.collected)

    def names(**changes: Any) -> set[str]:
        return {name.partition(":")[2] for name in report_data(found, replace(Project(HERE), **changes))}

    assert names(gas_reports=("Fees",)) == {"Fees"}
    assert names(gas_reports_ignore=("Fees", "Vault", "Factory")) == {"Proxy", "Helper", "ProxyTest"}
    assert names(gas_reports=("Fees",), gas_reports_ignore=("Fees",)) == {"Fees"}  # as in forge, which warns
    included = report_data(found, replace(Project(HERE), gas_reports_include_tests=True))
    assert {"setUp()", "test_delegates()"} <= included["test/Proxy.t.sol:ProxyTest"].functions.keys()
