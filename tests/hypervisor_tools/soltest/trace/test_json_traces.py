"""Traces and logs in the JSON of results equal forge's, field by field, at every verbosity.

Expected values are the output of forge 1.7.1 (`golden.json.xz`); `make clients` compares them with forge again.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import SuiteResult
from hypervisor_tools.soltest.project.project import CompilerSettings, InvariantSettings, Project
from hypervisor_tools.soltest.report import viewer
from hypervisor_tools.soltest.report.report import json_report
from tests.hypervisor_tools.soltest.here import run_suite, written
from tests.hypervisor_tools.soltest.trace.golden import GOLDEN, SOURCE, of_forge

_FORGES: Any = GOLDEN["forge"]


def report(folder: Path, verbosity: int, evm: str = "fast", rules: str = "ethereum") -> dict[str, Any]:
    """Return the traces and logs of the JSON report, by suite and test."""
    places = written(folder, GOLDEN["artifacts"])
    project = Project(
        folder, compiler=CompilerSettings(evm_version="osaka"), invariant=InvariantSettings(runs=2, depth=3)
    )
    artifacts = Artifacts(folder, places, {})
    options = Options(
        shows_logs=True, records_logs=True, rules=rules, evm=evm, verbosity=verbosity, records_traces=True
    )
    job = Job(project, places, {}, options, seed=1)
    found = [
        SuiteResult(suite.file, suite.contract, run_suite(job, artifacts, suite))
        for suite in find_suites(artifacts, [SOURCE], SuiteFilter())[0]
    ]
    return of_forge(json_report(found, verbosity))


def without_steps(suites: dict[str, Any]) -> dict[str, Any]:
    """Return the traces as they are without instructions."""
    copied: dict[str, Any] = json.loads(json.dumps(suites))
    for suite in copied.values():
        for test in suite.values():
            for _, arena in test["traces"]:
                for node in arena["arena"]:
                    node["ordering"] = [item for item in node["ordering"] if "Step" not in item]
                    node["trace"]["steps"] = []
    return copied


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_every_instruction_equals_that_of_forge(evm: str, tmp_path: Path) -> None:
    found = report(tmp_path, 5, evm)
    assert {name: list(suite) for name, suite in found.items()} == {
        name: list(suite) for name, suite in _FORGES.items()
    }
    for name, suite in _FORGES.items():
        for signature, test in suite.items():
            assert json.dumps(found[name][signature]) == json.dumps(test), signature  # also the order of fields


@pytest.mark.slow
@pytest.mark.parametrize("verbosity", [3, 4])
def test_instructions_are_shown_from_verbosity_five_on(verbosity: int, tmp_path: Path) -> None:
    assert report(tmp_path, verbosity) == without_steps(_FORGES)


@pytest.mark.slow
def test_traces_do_not_depend_on_the_duration_of_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that uses all its gas in two milliseconds took more than 50 on a busy machine."""
    monkeypatch.setattr(viewer, "SHORT", -1.0)
    assert report(tmp_path, 4) == without_steps(_FORGES)


@pytest.mark.slow
def test_below_verbosity_three_only_invariant_tests_have_traces(tmp_path: Path) -> None:
    found = report(tmp_path, 1)
    for name, suite in without_steps(_FORGES).items():
        for signature, test in suite.items():
            is_invariant = signature.startswith("invariant")
            assert found[name][signature]["traces"] == (test["traces"] if is_invariant else [])
            assert found[name][signature]["logs"] == []


@pytest.mark.slow
def test_under_filecoins_rules_the_same_instructions_run(tmp_path: Path) -> None:
    found = report(tmp_path, 5, rules="filecoin")["TracedTest"]["test_refunds()"]["traces"]
    theirs = _FORGES["TracedTest"]["test_refunds()"]["traces"]
    assert [kind for kind, _ in found] == [kind for kind, _ in theirs]
    for ours, node in zip(found[-1][1]["arena"], theirs[-1][1]["arena"], strict=True):
        steps = ours["trace"]["steps"]
        assert ours["ordering"] == node["ordering"]
        assert [(step["pc"], step["op"]) for step in steps] == [(s["pc"], s["op"]) for s in node["trace"]["steps"]]
        assert [step["gas_used"] for step in steps] == sorted(step["gas_used"] for step in steps)
        assert all(not step["gas_used"] for step in steps[:1])
