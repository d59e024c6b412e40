"""Cheatcodes of forge 1.8: each test of `contracts/` passes."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.project.consent import Consent, Grant
from hypervisor_tools.soltest.project.project import InvariantSettings, Project
from hypervisor_tools.soltest.report.collecting import SuiteCoverage, merge
from hypervisor_tools.soltest.report.gas import gas_json, report_data
from tests.hypervisor_tools.soltest.cheatcodes.forge_1_8.golden import ARTIFACTS
from tests.hypervisor_tools.soltest.here import run_suite, written

SUITES = sorted(name.partition(":")[2] for name in ARTIFACTS if name.endswith("Test"))
FORGE_ONLY = {
    **dict.fromkeys(("FrameGasTest", "OnlyFrameTest"), "Filecoin's rules have no gas of the last call"),
    "RecordedGasTest": "Filecoin's rules have no recording of state diffs",
}
"""Suites of cheatcodes that only exist under Ethereum's rules, with a part of the message."""


def run(
    suite: str, folder: Path, evm: str, rules: str = "ethereum", isolate: bool = False,
    report: list[SuiteCoverage] | None = None,
) -> dict[str, str]:  # fmt: skip
    """Return the reasons of failure by test; empty for a test that passes. `report` gets the data of a gas report."""
    folder.mkdir(exist_ok=True)
    places = written(folder, ARTIFACTS)
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    consent, invariant = Grant(frozenset({Consent.FFI})), InvariantSettings(runs=2, depth=20)
    project = Project(folder, ffi=True, isolate=isolate, consent=consent, invariant=invariant)
    artifacts = Artifacts(folder, places, {})
    files = sorted({place.file for place in places})
    (found,), _ = find_suites(artifacts, files, SuiteFilter(contract=f"^{suite}$"))
    job = Job(project, places, {}, Options(rules=rules, evm=evm, report="" if report is None else "gas"), None)
    results = run_suite(job, artifacts, found, report)
    return {test.signature: "" if test.status.value == "Success" else test.reason or "failed" for test in results}


HOOKS = [suite for suite in SUITES if suite.endswith("HooksTest")]
ISOLATED = [suite for suite in SUITES if suite.startswith("Isolated")]
ETHEREUM_ONLY = ("HaltsTest", "RevertedPricesTest")
"""Suites of Ethereum's halts, gas prices and blobs."""
PLAIN = [suite for suite in SUITES if suite not in ("ModeTest", *HOOKS, *ISOLATED)]


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("suite", PLAIN)
def test_contracts_tests_pass(suite: str, evm: str, tmp_path: Path) -> None:
    found = run(suite, tmp_path, evm)
    assert found
    assert set(found.values()) == {""}, found


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("suite", ISOLATED)
def test_isolated_calls_are_transactions_as_in_forge_1_8(suite: str, evm: str, tmp_path: Path) -> None:
    found = run(suite, tmp_path, evm, isolate=True)
    assert found
    assert set(found.values()) == {""}, found


def test_gas_report_has_no_deployment_by_name(tmp_path: Path) -> None:
    report: list[SuiteCoverage] = []
    run("IsolatedNamedTest", tmp_path, "fast", isolate=True, report=report)
    (row,) = (row for row in gas_json(report_data(merge(report), Project(tmp_path))) if "Named" in row["contract"])
    assert row["deployment"]["gas"] == 0  # as in forge 1.7.1


@pytest.mark.parametrize("suite", HOOKS)
def test_hooks_are_called(suite: str, tmp_path: Path) -> None:
    found = run(suite, tmp_path, "fast")
    assert found
    assert set(found.values()) == {""}, found


@pytest.mark.parametrize(
    ("rules", "evm", "wanted"),
    [
        (
            "ethereum",
            "py-evm",
            "a storage hook requires the engine fast: run without --evm py-evm and without a debugger",
        ),
        ("filecoin", "fast", "Filecoin's rules have no storage hooks"),
    ],
)
def test_hooks_name_their_requirements(rules: str, evm: str, wanted: str, tmp_path: Path) -> None:
    found = run("SetUpHooksTest", tmp_path, evm, rules)
    assert found == {"setUp()": f"vm.registerSstoreHook: {wanted}"}


@pytest.mark.parametrize("suite", [suite for suite in PLAIN if suite not in ETHEREUM_ONLY])
def test_they_pass_under_filecoins_rules(suite: str, tmp_path: Path) -> None:
    found = run(suite, tmp_path, "fast", rules="filecoin")
    wanted = FORGE_ONLY.get(suite)
    assert all(wanted in reason if wanted else not reason for reason in found.values()), found


def test_isolate_mode_is_reported_in_set_up_and_tests(tmp_path: Path) -> None:
    assert run("ModeTest", tmp_path / "on", "fast", isolate=True) == {"testMode()": "", "testIsolated()": ""}
    plain = run("ModeTest", tmp_path / "off", "fast")
    assert plain == {"testMode()": "", "testIsolated()": "EvmError: Revert"}
