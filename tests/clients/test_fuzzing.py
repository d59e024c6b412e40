"""Sizes of fuzz inputs compared with forge's, by the mean gas of the tests."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.clients.conftest import EXAMPLE, run

FUZZED = Path(__file__).resolve().parent / "fuzzed"
OPTIONS = ("--json", "--fuzz-runs", "400", "--fuzz-seed", "1")


def test_variable_length_fuzz_inputs_use_gas_within_30_percent(clients: Path, tmp_path: Path) -> None:
    project = tmp_path / "fuzzed"
    shutil.copytree(FUZZED, project)
    theirs = _means(run(clients, "forge", "test", "--use", EXAMPLE / "solc.mjs", *OPTIONS, folder=project))
    program = Path(sys.executable).with_name("hypervisor")
    ours = _means(run(clients, program, "test", project, "--use", clients / "node_modules" / "solc", *OPTIONS))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 9
    different = {name: (ours[name], theirs[name]) for name in ours if not 0.7 < ours[name] / theirs[name] < 1.3}
    assert different == {}


def _means(text: str) -> dict[str, int]:
    found: dict[str, Any] = json.loads(text)
    return {
        name: test["kind"]["Fuzz"]["mean_gas"]
        for suite in found.values()
        for name, test in suite["test_results"].items()
    }
