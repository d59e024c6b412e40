"""With `isolate` each test and the gas report equal forge's, including every unit of gas.

Expected values are the output of forge (`golden.json.xz`); `make clients` compares them with forge again.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.soltest.compile.artifact import Artifacts
from fvm_hypervisor.soltest.execution.discovery import SuiteFilter, find_suites
from fvm_hypervisor.soltest.execution.job import Job, Options
from fvm_hypervisor.soltest.execution.results import TestResult
from fvm_hypervisor.soltest.project.project import CompilerSettings, FuzzSettings, Project
from fvm_hypervisor.soltest.report.collecting import SuiteCoverage, merge
from fvm_hypervisor.soltest.report.gas import gas_json, report_data
from fvm_hypervisor.soltest.run.session import SuiteSession
from hypervisor.errors import InvalidInput
from tests.fvm_hypervisor.soltest.here import run_suite, written
from tests.fvm_hypervisor.soltest.isolation.golden import GOLDEN, HERE

_FORGES: Any = GOLDEN["forge"]


def run(
    folder: Path, contract: str, evm: str, isolate: bool = True, report: list[SuiteCoverage] | None = None,
    tests: str | None = None, rules: str = "ethereum",
) -> Mapping[str, TestResult]:  # fmt: skip
    """Return the results by signature; data for a gas report is stored in `report`."""
    shutil.copytree(HERE / "contracts", folder / "test")
    places = written(folder, GOLDEN["artifacts"])
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    project = Project(
        folder, isolate=isolate, compiler=CompilerSettings(evm_version="prague"), fuzz=FuzzSettings(runs=16, seed=1)
    )
    artifacts = Artifacts(folder, places, {})
    suites, _ = find_suites(artifacts, ["test/Isolated.t.sol"], SuiteFilter(contract=f"^{contract}$", test=tests))
    options = Options(rules=rules, evm=evm, shows_logs=True, report="" if report is None else "gas")
    job = Job(project, places, {}, options, seed=1)
    return {test.signature: test for test in run_suite(job, artifacts, suites[0], report)}


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("contract", ["IsolatedTest", "PlainTest"])
def test_tests_end_as_in_forge_with_its_gas(contract: str, evm: str, tmp_path: Path) -> None:
    found = run(tmp_path, contract, evm)
    ours = {
        name: {
            "status": test.status.value, "reason": test.reason or "", "logs": list(test.logs),
            "gas": 0 if name.startswith("testFuzz") else test.gas,
        }
        for name, test in found.items()
    }  # fmt: skip
    assert ours == _FORGES[contract]


def test_isolation_can_be_disabled(tmp_path: Path) -> None:
    found = run(tmp_path, "IsolatedTest", "fast", isolate=False, tests=r"test_(transient|nothing|inOne)\(")
    assert found["test_transient()"].reason == "transient"
    assert found["test_nothing()"].gas == _FORGES["IsolatedTest"]["test_nothing()"]["gas"]
    assert found["test_inOne()"].gas < _FORGES["IsolatedTest"]["test_inOne()"]["gas"] - 21_000


@pytest.mark.slow
def test_gas_report_equals_that_of_forge(tmp_path: Path) -> None:
    collected: list[SuiteCoverage] = []
    for number, contract in enumerate(("IsolatedTest", "PlainTest")):
        run(tmp_path / str(number), contract, "fast", report=collected, tests="test_")
    names = ("min", "mean", "median", "max", "calls")
    ours = {
        row["contract"]: {name: [found[key] for key in names] for name, found in row["functions"].items()}
        for row in gas_json(report_data(merge(collected), Project(tmp_path)))
    }
    assert ours == GOLDEN["gas"]


@pytest.mark.parametrize("test", ["test_set", "test_transient"])
def test_under_filecoins_rules_it_is_refused_with_the_remedy(test: str, tmp_path: Path) -> None:
    found = run(tmp_path, "IsolatedTest", "fast", rules="filecoin", tests=f"{test}\\(")
    assert "isolate = false" in (found["setUp()"].reason or "")
    session = SuiteSession(Project(tmp_path, isolate=True), SuiteFilter(), Options(rules="filecoin"))
    with pytest.raises(InvalidInput, match="omit --isolate"):
        session.prepare()
