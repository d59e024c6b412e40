"""The clone of `.ci/run` follows the README, and sees no data of the current user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import PROJECT

FUNCTIONS = (PROJECT / ".ci" / "run").read_text(encoding="utf-8").removesuffix("main\n")
BASH = shutil.which("bash")
pytestmark = [
    pytest.mark.skipif(BASH is None, reason="no bash on this machine"),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no variable says where a user's files are"),
]


def run_in_the_clone(command: str, folder: Path, **environment: str) -> str:
    """Return a command's output after defining the functions of `.ci/run` and an empty clone."""
    script = f'{FUNCTIONS}\nmkdir "$scratch/clone"\n{command}\n'
    place = folder / "project" / ".ci" / "run"
    place.parent.mkdir(parents=True)
    return subprocess.run(
        [str(BASH), "-c", script, str(place)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@pytest.mark.slow
def test_the_clone_sees_no_bundle_and_no_data_of_this_user(tmp_path: Path) -> None:
    asks = (
        "import os; from hypervisor.bundle_library import downloaded_releases; "
        "print(dict(downloaded_releases()), [name for name in os.environ if name.startswith('FVM_')])"
    )
    for name in ("data/fvm-hypervisor/bundles", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "v18-devnet.car").touch()
    user = {"XDG_DATA_HOME": str(tmp_path / "data"), "FVM_DATA": str(tmp_path), "FVM_SUITES": str(tmp_path)}
    python = f"'{sys.executable}' -c \"{asks}\""
    for more in ({}, {"FVM_BUNDLE_DIR": str(tmp_path / "mine")}):
        seen = run_in_the_clone(python, tmp_path / f"user{len(more)}", **user, **more)
        assert "v18-devnet.car" in seen
        alone = run_in_the_clone(f"in_the_clone {python}", tmp_path / f"clone{len(more)}", **user, **more)
        assert alone == "{} []\n"


def test_the_readmes_two_commands_run_in_the_clone(tmp_path: Path) -> None:
    """The first command runs unchanged with a time limit; the second uses another Python than the run with the data."""
    block = re.search(r"```\w*\n(make demo\n.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    wanted = block[1].splitlines()
    (tmp_path / "path").mkdir()
    for name, script in (("make", 'echo "$PWD: make $*"'), ("git", "")):
        (tmp_path / "path" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "path" / name).chmod(0o755)
    (step,) = [line for line in FUNCTIONS.splitlines() if "tests in that clone" in line]
    path = f"{tmp_path / 'path'}:{os.environ['PATH']}"
    said = run_in_the_clone(f"echo $scratch\nsecond=python3.0\ndemo_from_clone\n{step}", tmp_path, PATH=path)
    scratch, *lines = said.splitlines()
    made = [line.removeprefix(f"{scratch}/clone: ") for line in lines if line.startswith(scratch)]
    assert [line.replace("PYTHON=python3.0 ", "") for line in made] == wanted
    assert made[0] == wanted[0]
