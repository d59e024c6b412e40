"""Recorded traces (`tests/fvm_hypervisor/soltest/json_traces`) equal the JSON of the installed forge."""

import json
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, forge_project, start
from tests.fvm_hypervisor.soltest.json_traces import golden

pytestmark = pytest.mark.long


def test_forge_matches_golden_file(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, golden.CONFIGURATION, golden.HERE / "contracts")
    done = start(
        clients, "forge", "test", "--use", EXAMPLE / "solc.mjs", "--json", "-vvvvv", folder=tmp_path, HOME=home
    )
    assert golden.of_forge(json.loads(done.stdout)) == golden.GOLDEN["forge"]
