"""`make first-node`, all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, installed


@pytest.mark.long
def test_the_first_node() -> None:
    installed(PROJECT / "build" / "clients", EXAMPLE)
    venv = Path(sys.executable).parent.parent
    done = subprocess.run(
        [PROJECT / "scripts" / "first-node", venv.name], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '-> "DataCap"' in done.stdout
