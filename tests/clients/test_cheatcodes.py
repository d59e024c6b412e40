"""Recorded results of forge for the cheatcode tests (`golden.json.xz`) equal those of the installed forge."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, start
from tests.fvm_hypervisor.soltest.cheatcodes import golden
from tests.fvm_hypervisor.soltest.golden import configuration, of_forge

pytestmark = pytest.mark.long

CONFIGURATION = configuration("""fs_permissions = [{ access = "read-write", path = "./files" }]
remappings = ["hypervisor/=hypervisor/"]
""")


def test_forge_matches_golden_file(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(CONFIGURATION, encoding="utf-8")
    shutil.copytree(golden.HERE / "contracts", tmp_path / "test")
    shutil.copytree(PROJECT / "fvm_hypervisor" / "soltest" / "solidity", tmp_path / "hypervisor")
    shutil.copytree(golden.HERE / "broadcast", tmp_path / "broadcast")
    (tmp_path / "files").mkdir()
    home = tmp_path / "home"  # with no names of events of other projects
    home.mkdir()
    start(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=tmp_path, HOME=str(home))  # learns names
    said: dict[str, Any] = {}
    for chosen in golden.RUNS:  # steps are recorded from -vvv on
        command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", *chosen, "--json", "-vvv")
        done = start(clients, *command, folder=tmp_path, HOME=str(home))
        # each prompt without a terminal ends a line
        assert done.stdout.lstrip().startswith("{"), done.stdout + done.stderr
        said |= of_forge(json.loads(done.stdout))
    for tests in (*said.values(), *golden.GOLDEN["forge"].values()):
        for name in ("testDir()", "testMissing()", "testArtifactPaths()"):  # a path is in the words, and paths cost gas
            tests.pop(name, None)
    assert said == golden.GOLDEN["forge"]
