"""Fixtures of the packaging tests: the wheel, built once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import PROJECT


@pytest.fixture(scope="session")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pure wheel with the locked hatchling, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(command, env=os.environ | {"FVM_COMPILED": "0"}, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path
