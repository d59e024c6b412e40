"""Gas reports and snapshots equal forge's: tables, JSON, `.gas-snapshot`, and the files under `snapshots/`.

Expected: `forge test --gas-report` and `forge snapshot --allow-failure` of forge 1.7.1.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project.project import Project, load_project
from hypervisor_tools.soltest.report.collecting import GasUse, merge
from hypervisor_tools.soltest.report.gas import (
    differences,
    entries_of,
    gas_json,
    gas_lines,
    measurements,
    report_data,
    text_of,
    write,
)
from tests.hypervisor_tools.soltest.report.conftest import Runs
from tests.hypervisor_tools.soltest.report.golden import HERE, forge

# forge 1.7.1 for the values of testValues of cheatcodes/contracts/Metering.t.sol
FORGES = """{
  "a": "115792089237316195423570985008687907853269984665640564039457584007913129639935",
  "b": "13"
}"""


def suites(**values: int) -> list[SuiteResult]:
    found = tuple(("MeteringTest", name, value) for name, value in values.items())
    test = TestResult("testValues()", CaseKind.UNIT, CaseStatus.SUCCESS, measured=(*found, ("group", "c", 0)))
    return [SuiteResult("test/Metering.t.sol", "MeteringTest", [test])]


def test_a_group_is_a_file_as_forge_writes_it(tmp_path: Path) -> None:
    write(measurements(suites(b=13, a=2**256 - 1)), tmp_path / "snapshots")
    assert (tmp_path / "snapshots" / "MeteringTest.json").read_text(encoding="utf-8") == FORGES
    assert (tmp_path / "snapshots" / "group.json").read_text(encoding="utf-8") == '{\n  "c": "0"\n}'


def test_no_measurement_creates_no_folder(tmp_path: Path) -> None:
    write(measurements([]), tmp_path / "snapshots")
    assert not (tmp_path / "snapshots").exists()


def test_differing_values_are_reported_and_new_ones_are_not(tmp_path: Path) -> None:
    write(measurements(suites(b=14, first=1)), tmp_path)
    found = list(differences(measurements(suites(b=13, first=27278, new=1)), tmp_path))
    assert found == [
        "\n[MeteringTest] Failed to match snapshots:",
        "- [b] 14 → 13",
        "- [first] 1 → 27278",
    ]
    assert list(differences(measurements(suites(b=14)), tmp_path)) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"b": 1}'])
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "MeteringTest.json").write_text(content)
    with pytest.raises(InvalidInput, match="gas snapshots of"):
        list(differences(measurements(suites(b=14)), tmp_path))


def test_foundry_toml_and_forges_variables_switch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foundry.toml").write_text('[profile.default]\ngas_snapshot_check = true\nsnapshots = "gas"')
    found = load_project(tmp_path)
    assert (found.snapshots, found.gas_snapshot_check, found.gas_snapshot_emit) == ("gas", True, True)
    monkeypatch.setenv("FORGE_SNAPSHOT_EMIT", "false")
    monkeypatch.setenv("FORGE_SNAPSHOT_CHECK", "false")
    found = load_project(tmp_path)
    assert (found.gas_snapshot_check, found.gas_snapshot_emit) == (False, False)
    monkeypatch.setenv("FORGE_SNAPSHOT_CHECK", "perhaps")
    with pytest.raises(InvalidInput, match="FORGE_SNAPSHOT_CHECK is 'perhaps', expected true or false"):
        load_project(tmp_path)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_gas_snapshot_matches_forge_with_failed_and_skipped(runs: Runs) -> None:
    theirs = forge("gas-snapshot").splitlines()
    ours = text_of(entries_of(runs())).splitlines()
    assert {"ProxyTest:test_fails() (gas: 40240)", "ProxyTest:test_skips() (gas: 0)"} <= {*ours}
    assert [line for line in ours if "Fuzz" not in line] == [line for line in theirs if "Fuzz" not in line]
    assert [line.split(" (")[0] for line in ours] == [line.split(" (")[0] for line in theirs]


def test_same_named_contracts_in_two_files_are_sorted_by_gas() -> None:
    """The lines are those of forge 1.7.1 for two files with a SameTest, of which the first one takes more gas."""
    suites = [
        suite("test/A.t.sol", "SameTest", 3584),
        suite("test/B.t.sol", "SameTest", 122),
        suite("test/B.t.sol", "Same1Test", 122),
    ]
    assert text_of(entries_of(suites)).splitlines() == [
        "Same1Test:test_b() (gas: 122)",
        "SameTest:test_b() (gas: 122)",
        "SameTest:test_b() (gas: 3584)",
    ]


def suite(file: str, contract: str, gas: int) -> SuiteResult:
    return SuiteResult(file, contract, [TestResult("test_b()", CaseKind.UNIT, CaseStatus.SUCCESS, gas=gas)])
