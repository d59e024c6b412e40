"""Whole projects through `hypervisor test`, with forge from npm as the oracle: `pytest -m long tests/soltests`."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import installed
from tests.soltests.folder import SuitesMissing, public_suites
from tests.soltests.runners import Chosen, End, Key, forge, hypervisor
from tests.soltests.stage import INSTALLED, PROJECT, PublicSuite

pytestmark = pytest.mark.long
HERE = Path(__file__).resolve().parent
BASE = HERE / "base"
API = ("filecoin-solidity-api", "solidity-cborutils", "@ensdomains")

Stage = Callable[[str], Chosen]


def bases() -> list[Path]:
    """Return the variants of a project's `lib/forge-std/src`: our small base, and forge-std if FVM_SUITES has it."""
    try:
        return [BASE, public_suites("forge-std") / "forge-std" / "src"]
    except SuitesMissing:
        return [BASE]


@pytest.fixture(params=bases(), ids=["own-base", "forge-std"][: len(bases())])
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """Copy a project of projects/, with a base for test contracts in its `lib/`."""
    packages = installed(INSTALLED, HERE) / "node_modules"

    def laid(name: str) -> Chosen:
        folder = tmp_path / name
        shutil.copytree(HERE / "projects" / name, folder)
        shutil.copytree(request.param, folder / "lib" / "forge-std" / "src")
        for package in API if name == "actors" else ():
            shutil.copytree(packages / package, folder / "node_modules" / package)
        return Chosen(folder, PublicSuite("", fuzz_runs=64, invariant_runs=8, depth=30), seed=1)

    return laid


def statuses(found: dict[Key, End]) -> dict[Key, str]:
    return {key: end.status for key, end in found.items()}


def test_a_project_as_forge_init_makes_it_runs_as_under_forge(stage: Stage) -> None:
    project = stage("init")
    ours = hypervisor(project)
    assert len(ours) == 2
    assert {(end.status, end.gas) for end in ours.values()} == {
        (end.status, end.gas) for end in forge(project).values()
    }


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_every_result_text_equals_that_of_forge(stage: Stage, evm: str) -> None:
    project = stage("oracle")
    theirs, ours = forge(project), hypervisor(project, "--evm", evm)
    assert statuses(ours) == statuses(theirs)
    for key, end in theirs.items():
        if "Breaks" in key[1]:
            assert "2 >= 3" not in ours[key].reason
        assert _plain(ours[key].reason) == _plain(end.reason), key


def test_every_kind_of_test_runs_as_under_forge(stage: Stage) -> None:
    """Tables, `testFail*`, `beforeTestSetup`, wrong `setUp`s, assertions in handlers, values that are maximized."""
    project = stage("kinds")
    theirs, ours = forge(project), hypervisor(project)
    assert len(theirs) > 40
    assert ours == theirs
    removed = {key: end for key, end in hypervisor(project, "--allow-test-fail").items() if "RemovedTest" in key[0]}
    assert {key[1]: end.status for key, end in removed.items()} == {
        "testFailReverts()": "Success",
        "testFailWith(uint256)": "Success",
        "test_other()": "Success",
        "tableOther(uint256)": "Failure",
    }


def _plain(reason: str) -> str:
    """A reason without the numbers of a fuzz test's counterexample."""
    return re.sub(r"\d+( \[[^]]*\])? >= ", "N >= ", reason)


def test_filecoin_solidity_calls_reach_actors_only_in_hypervisor(stage: Stage) -> None:
    project = stage("actors")
    assert set(statuses(hypervisor(project)).values()) == {"Success"}
    assert set(statuses(hypervisor(project, "--rules", "filecoin")).values()) == {"Success"}
    assert "Success" not in statuses(forge(project)).values()


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_the_examples_tests_pass(rules: str, tmp_path: Path) -> None:
    installed(INSTALLED, HERE)
    folder = tmp_path / "solidity"
    shutil.copytree(PROJECT / "examples" / "solidity", folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "foundry.toml").write_text('[profile.default]\nsrc = "contracts"\nlibs = []\noptimizer = true\n')
    found = hypervisor(Chosen(folder, PublicSuite("", fuzz_runs=32), seed=1), "--rules", rules)
    assert len(found) == 8
    assert set(statuses(found).values()) == {"Success"}
