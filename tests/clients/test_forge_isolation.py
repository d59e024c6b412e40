"""forge ends the tests with `isolate = true` as `golden.json.gz` says, with which our results are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, start
from tests.fvm_hypervisor.soltest.forks.golden import of_forge
from tests.fvm_hypervisor.soltest.isolation import golden

pytestmark = pytest.mark.long


def test_forge_says_what_the_golden_file_says(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(golden.CONFIGURATION, encoding="utf-8")
    shutil.copytree(golden.HERE / "contracts", tmp_path / "test")
    (tmp_path / "src").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json")
    tests = start(clients, *command, "-vv", folder=tmp_path, HOME=str(home))
    assert of_forge(json.loads(tests.stdout)) == golden.GOLDEN["forge"]
    report = start(clients, *command, "--gas-report", "--nmt", "testFuzz", folder=tmp_path, HOME=str(home))
    assert golden.gas_of_forge(json.loads(report.stdout)) == golden.GOLDEN["gas"]
