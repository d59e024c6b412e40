"""Recorded results, traces and names of options of forge equal those of the installed forge."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, forge_project, start
from tests.docs.forge_names import names_of_program, recorded
from tests.fvm_hypervisor.soltest.cheatcodes import golden as cheatcodes
from tests.fvm_hypervisor.soltest.golden import configuration, of_forge
from tests.fvm_hypervisor.soltest.isolation import golden as isolation
from tests.fvm_hypervisor.soltest.json_traces import golden as json_traces

pytestmark = pytest.mark.long

CONFIGURATION = configuration("""fs_permissions = [{ access = "read-write", path = "./files" }]
remappings = ["hypervisor/=hypervisor/"]
""")


def test_results_of_the_cheatcode_tests_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(CONFIGURATION, encoding="utf-8")
    shutil.copytree(cheatcodes.HERE / "contracts", tmp_path / "test")
    shutil.copytree(PROJECT / "fvm_hypervisor" / "soltest" / "solidity", tmp_path / "hypervisor")
    shutil.copytree(cheatcodes.HERE / "broadcast", tmp_path / "broadcast")
    (tmp_path / "files").mkdir()
    home = tmp_path / "home"  # with no names of events of other projects
    home.mkdir()
    start(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=tmp_path, HOME=str(home))  # learns names
    said: dict[str, Any] = {}
    for chosen in cheatcodes.RUNS:  # steps are recorded from -vvv on
        command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", *chosen, "--json", "-vvv")
        done = start(clients, *command, folder=tmp_path, HOME=str(home))
        # each prompt without a terminal ends a line
        assert done.stdout.lstrip().startswith("{"), done.stdout + done.stderr
        said |= of_forge(json.loads(done.stdout))
    for tests in (*said.values(), *cheatcodes.GOLDEN["forge"].values()):
        for name in ("testDir()", "testMissing()", "testArtifactPaths()"):  # a path is in the words, and paths cost gas
            tests.pop(name, None)
    assert said == cheatcodes.GOLDEN["forge"]


def test_results_with_isolation_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, isolation.CONFIGURATION, isolation.HERE / "contracts")
    command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json")
    tests = start(clients, *command, "-vv", folder=tmp_path, HOME=home)
    assert of_forge(json.loads(tests.stdout)) == isolation.GOLDEN["forge"]
    report = start(clients, *command, "--gas-report", "--nmt", "testFuzz", folder=tmp_path, HOME=home)
    assert isolation.gas_of_forge(json.loads(report.stdout)) == isolation.GOLDEN["gas"]


def test_recorded_traces_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, json_traces.CONFIGURATION, json_traces.HERE / "contracts")
    done = start(
        clients, "forge", "test", "--use", EXAMPLE / "solc.mjs", "--json", "-vvvvv", folder=tmp_path, HOME=home
    )
    assert json_traces.of_forge(json.loads(done.stdout)) == json_traces.GOLDEN["forge"]


def test_recorded_names_of_options_and_keys_are_those_of_forge(clients: Path) -> None:
    found = names_of_program(str(clients / "node_modules" / ".bin" / "forge"))
    assert found == recorded(), "python -m tests.docs.forge_names FORGE > tests/docs/forge_names.toml"
