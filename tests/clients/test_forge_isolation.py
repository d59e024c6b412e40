"""Recorded results of forge with `isolate = true` (`golden.json.xz`) equal those of the installed forge."""

import json
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, forge_project, start
from tests.fvm_hypervisor.soltest.golden import of_forge
from tests.fvm_hypervisor.soltest.isolation import golden

pytestmark = pytest.mark.long


def test_forge_matches_golden_file(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, golden.CONFIGURATION, golden.HERE / "contracts")
    command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json")
    tests = start(clients, *command, "-vv", folder=tmp_path, HOME=home)
    assert of_forge(json.loads(tests.stdout)) == golden.GOLDEN["forge"]
    report = start(clients, *command, "--gas-report", "--nmt", "testFuzz", folder=tmp_path, HOME=home)
    assert golden.gas_of_forge(json.loads(report.stdout)) == golden.GOLDEN["gas"]
