"""Hardhat 3 and its plugin.

- Hardhat 3: its project template on a fresh node, tests and deployment; its Solidity tests on a fork of the node.
- The Hardhat plugin (integrations/hardhat): its example and Hardhat's project template on the node that it starts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.clients.conftest import HERE, PROJECT, missing, node_process, run, start

pytestmark = pytest.mark.long


class Project(NamedTuple):
    """A project of the template and the node that is its network."""

    clients: Path
    folder: Path
    url: str

    def environment(self) -> dict[str, str]:
        return {"NODE_URL": self.url, "HARDHAT_IGNITION_CONFIRM_DEPLOYMENT": "true"}


@pytest.fixture(scope="module")
def project(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = clients / "hardhat"
    shutil.copytree(clients / "node_modules" / "hardhat" / "templates" / "01-node-test-runner-viem", folder)
    # The library of the template's Solidity test comes from a git host.
    (folder / "contracts" / "Counter.t.sol").unlink()
    shutil.copytree(HERE / "hardhat", folder, dirs_exist_ok=True)
    shutil.copy(HERE / "contracts" / "src" / "Native.sol", folder / "contracts")
    shutil.copy(clients / "contracts" / "lib" / "FilecoinFork.sol", folder / "contracts")
    with node_process(tmp_path_factory.mktemp("node")) as url:
        yield Project(clients, folder, url)


def test_hardhat_template_tests_of_helpers_and_actors_pass(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    done = start(
        project.clients, "hardhat", "test", "nodejs", "--network", "localnet",
        folder=project.folder, **project.environment(),
    )  # fmt: skip
    passed, failed = (sum(map(int, re.findall(rf"(\d+) {word}", done.stdout))) for word in ("passing", "failing"))
    record_property("checks", passed + failed)
    record_property("failures", failed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed == 12, done.stdout


def test_hardhat_solidity_tests_reach_actors_only_on_a_fork(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    output = run(project.clients, "hardhat", "test", "solidity", folder=project.folder, **project.environment())
    passed = re.findall(r"✔ (\w+)", output)
    record_property("checks", len(passed))
    assert passed == ["test_no_actor_answers", "test_an_actor_answers"], output


def test_the_documented_compiler_setting_is_the_tested_one() -> None:
    page = (PROJECT / "docs" / "coming-from-foundry.md").read_text(encoding="utf-8")
    config = (HERE / "hardhat" / "hardhat.config.ts").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```ts\n(.*?)```", page, re.DOTALL)
    assert [line for line in recipe.splitlines() if line.strip() not in config] == []


def test_ignition_deploys_the_templates_module(project: Project) -> None:
    output = run(
        project.clients, "hardhat", "ignition", "deploy", "ignition/modules/Counter.ts", "--network", "localnet",
        folder=project.folder, **project.environment(),
    )  # fmt: skip
    assert "successfully deployed" in output
    record = project.folder / "ignition" / "deployments" / "chain-31415926" / "deployed_addresses.json"
    address = json.loads(record.read_text(encoding="utf-8"))["CounterModule#Counter"]
    assert run(project.clients, "cast", "call", address, "x()(uint256)", "--rpc-url", project.url) == "5\n"


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


# Resolves the plugin's configuration with the options in the environment, and sends a transaction to INVALID.
SEND_FAILING = """
const { default: handlers } = await import(`${process.env.PLUGIN}/config.js`);
const hooks = await handlers();
const hypervisor = { command: process.env.HYPERVISOR, ...JSON.parse(process.env.OPTIONS) };
const problems = await hooks.validateUserConfig({ hypervisor });
if (problems.length) throw new Error(problems[0].message);
const user = await hooks.extendUserConfig({ hypervisor }, async (config) => config);
const { networks } = await hooks.resolveUserConfig(user, undefined, async (config) => ({ networks: config.networks }));
const url = await networks.filecoin.url.getUrl();
const request = async (method, ...params) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  return (await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })).json();
};
const to = `0x${"ab".repeat(20)}`;
await request("anvil_setCode", to, "0xfe");
const [from] = (await request("eth_accounts")).result;
const sent = await request("eth_sendTransaction", { from, to, gas: "0x989680" });
console.log(sent.error === undefined ? "sent" : sent.error.data.data);
process.exit();
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "sent"),
        ({"throwOnTransactionFailures": False}, "sent"),
        ({"throwOnTransactionFailures": True}, "0x"),
        ({"throwOnTransactionFailures": "yes"}, "expected true or false"),
    ],
)
def test_plugin_option_makes_failed_transactions_errors(options: dict[str, object], expected: str) -> None:
    if shutil.which("node") is None:
        missing("Node.js is not installed")
    variables = {"PLUGIN": str(PLUGIN), "HYPERVISOR": str(COMMAND), "OPTIONS": json.dumps(options)}
    command = ["node", "--input-type=module", "--eval", SEND_FAILING]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert expected in (done.stdout if done.returncode == 0 else done.stderr), done.stderr


def test_ignition_deploys_on_the_network_of_the_plugin(clients: Path, plugin_project: Path) -> None:
    done = start(
        clients, "hardhat", "ignition", "deploy", "ignition/modules/Counter.ts", "--network", "filecoin",
        folder=plugin_project, HARDHAT_IGNITION_CONFIRM_DEPLOYMENT="true", HYPERVISOR=str(COMMAND),
    )  # fmt: skip
    assert "successfully deployed" in done.stdout, done.stdout + done.stderr


def run_tests(clients: Path, project: Path, **environment: str) -> Any:
    variables = {"HYPERVISOR": str(COMMAND), **environment}
    return start(clients, "hardhat", "test", "nodejs", "--network", "filecoin", folder=project, **variables)
