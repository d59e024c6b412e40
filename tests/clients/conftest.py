"""A node on an official bundle, and the real clients that talk to it.

The programs of npm are those that `scripts/clients` installs; without them the tests that need them are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet import Network
from localnet.rpc.server import serving
from tests.conftest import data_file

PROJECT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = PROJECT / "examples" / "first-node"
SOLIDITY = PROJECT / "examples" / "solidity"
INSTALLED = PROJECT / "build" / "clients"


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder with npm's packages."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    stamp, lock = INSTALLED / "installed", EXAMPLE / "package-lock.json"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        pytest.skip("the clients are not installed: `make clients` installs them and runs these tests")
    return INSTALLED


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """A network on an official bundle."""
    with Network(bundle=data_file("bundles/v18-testing-fake-proofs.car")) as found:
        yield found


@pytest.fixture(scope="session")
def url(network: Network) -> Iterator[str]:
    """Where it is served."""
    with serving(network) as found:
        yield found


def start(clients: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """A client's program, run to its end."""
    environment = os.environ | {
        "CLIENTS": str(clients),
        "PATH": f"{clients / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        [str(part) for part in command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )


def run(clients: Path, *command: str | Path) -> str:
    """What a client's program prints. Fails where the program does: npm's foundry exits with 0 all the same."""
    done = start(clients, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error:" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def artifact(clients: Path) -> Path:
    """The example's contract as forge compiles it."""
    run(clients, "forge", "build", "--root", SOLIDITY, "--use", EXAMPLE / "solc.mjs")
    return PROJECT / "build" / "first-node" / "out" / "DataCapName.sol" / "DataCapName.json"
