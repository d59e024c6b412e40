"""The Hardhat plugin (integrations/hardhat): its example and Hardhat's project template on the node that it starts."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, PROJECT, start

PLUGIN = PROJECT / "integrations" / "hardhat"
COMMAND = Path(sys.executable).with_name("hypervisor")


@pytest.fixture(scope="module")
def plugin_project(clients: Path) -> Path:
    """Create a project of Hardhat's template with the plugin, installed from its folder by npm."""
    folder = clients / "hardhat-plugin"
    shutil.copytree(clients / "node_modules" / "hardhat" / "templates" / "01-node-test-runner-viem", folder)
    (folder / "contracts" / "Counter.t.sol").unlink()  # its library comes from a git host
    shutil.copytree(PLUGIN / "example", folder, dirs_exist_ok=True)
    shutil.copy(HERE / "contracts" / "src" / "Native.sol", folder / "contracts")
    installed = folder / "node_modules" / "hardhat-fvm"
    shutil.copytree(PLUGIN, installed, ignore=shutil.ignore_patterns("example"))
    return folder


def test_example_and_template_pass_on_plugin_network(
    clients: Path, plugin_project: Path, record_property: Callable[[str, object], None]
) -> None:
    done = run_tests(clients, plugin_project)
    passed, failed = (sum(map(int, re.findall(rf"(\d+) {word}", done.stdout))) for word in ("passing", "failing"))
    record_property("checks", passed + failed)
    record_property("failures", failed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed == 7, done.stdout  # two of the template


def test_a_missing_command_is_reported_with_the_remedy(clients: Path, plugin_project: Path) -> None:
    done = run_tests(clients, plugin_project, HYPERVISOR="no-such-command")
    assert done.returncode != 0
    assert "the command 'no-such-command' was not found: activate the Python environment" in done.stdout + done.stderr


def test_ignition_deploys_on_the_network_of_the_plugin(clients: Path, plugin_project: Path) -> None:
    done = start(
        clients, "hardhat", "ignition", "deploy", "ignition/modules/Counter.ts", "--network", "filecoin",
        folder=plugin_project, HARDHAT_IGNITION_CONFIRM_DEPLOYMENT="true", HYPERVISOR=str(COMMAND),
    )  # fmt: skip
    assert "successfully deployed" in done.stdout, done.stdout + done.stderr


def run_tests(clients: Path, project: Path, **environment: str) -> Any:
    variables = {"HYPERVISOR": str(COMMAND), **environment}
    return start(clients, "hardhat", "test", "nodejs", "--network", "filecoin", folder=project, **variables)
