"""`make first-node`, with the project's own bundle and with one stored by `hypervisor bundle add`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, installed
from tests.conftest import data_file

VENV = Path(sys.executable).parent.parent
RELEASE = "v18-testing-fake-proofs"


def first_node(library: Path) -> subprocess.CompletedProcess[str]:
    """Run the script without test data."""
    installed(PROJECT / "build" / "clients", EXAMPLE)
    environment = os.environ | {"FVM_BUNDLE_DIR": str(library), "FVM_DATA": str(library / "nothing")}
    command = [str(PROJECT / "scripts" / "first-node"), VENV.name]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_first_node_runs_on_own_bundle_when_no_other_is_stored(tmp_path: Path) -> None:
    done = first_node(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "built-in actors: own\n" in done.stderr
    assert '-> "DataCap"' in done.stdout


@pytest.mark.long
def test_the_first_node_runs_on_a_bundle_that_was_added(tmp_path: Path) -> None:
    environment = os.environ | {"FVM_BUNDLE_DIR": str(tmp_path)}
    command = [str(VENV / "bin" / "hypervisor"), "bundle", "add", str(data_file(f"bundles/{RELEASE}.car"))]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    done = first_node(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"built-in actors: {RELEASE}\n" in done.stderr
    assert '-> "DataCap"' in done.stdout
