"""`hypervisor test` in a project created by `forge init`, for a new user without a compiler."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.soltests.folder import SuitesMissing, public_suites

SOLTESTS = Path(__file__).resolve().parents[1] / "soltests"
HYPERVISOR = Path(sys.executable).with_name("hypervisor")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create forge's template with forge-std, or, if it is missing, with the declarations that the template imports."""
    folder = tmp_path / "hello"
    shutil.copytree(SOLTESTS / "projects" / "init", folder)
    library = folder / "lib" / "forge-std"
    try:
        shutil.copytree(public_suites("forge-std") / "forge-std", library)
    except SuitesMissing:
        shutil.copytree(SOLTESTS / "base", library / "src")
    return folder


def registry(clients: Path, folder: Path) -> Path:
    """Return a folder with an npm that packs the release of the clients' lock file like the registry."""
    with tarfile.open(folder / "solc.tgz", "w:gz") as package:
        package.add(clients / "node_modules" / "solc" / "soljson.js", "package/soljson.js")
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "pack solc@0.8.37" ] && cp {folder}/solc.tgz solc-0.8.37.tgz\n')
    npm.chmod(0o755)
    return npm.parent


@pytest.mark.slow
def test_the_template_of_forge_runs_without_options(clients: Path, project: Path, tmp_path: Path) -> None:
    path = f"{registry(clients, tmp_path)}{os.pathsep}{os.environ['PATH']}"
    fresh = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}

    def hypervisor_test(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(HYPERVISOR), "test", *options]
        return subprocess.run(
            command, cwd=project, env=os.environ | fresh | {"PATH": path}, capture_output=True, text=True, check=False
        )

    refused = hypervisor_test("--offline")
    assert refused.returncode == 2
    assert "solc 0.8.37 is not installed, and --offline" in refused.stderr
    first = hypervisor_test()
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr.splitlines()[0] == "Installing Solc 0.8.37 from npm"
    assert "2 tests passed, 0 failed, 0 skipped" in first.stdout
    again = hypervisor_test("--offline", "--force", "-v")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stderr.splitlines()[0] == "Using Solc 0.8.37 of npm"
