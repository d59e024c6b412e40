"""The clone of `.ci/run` follows the README, and sees no data of the current user."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import PROJECT

FUNCTIONS = (PROJECT / ".ci" / "run").read_text(encoding="utf-8").removesuffix("main\n")
BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="no bash on this machine")
needs_bash_2 = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no variable says where a user's files are")


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


@needs_bash
@needs_bash_2
@pytest.mark.slow
def test_the_clone_sees_no_bundle_and_no_data_of_this_user(tmp_path: Path) -> None:
    asks = (
        "import os; from hypervisor.bundles.bundle_library import downloaded_releases; "
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
