"""Quick start of each client library on a fresh node: programs of named checks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import start

pytestmark = pytest.mark.long

PROGRAMS = {
    "ethers": "ethers",
    "viem": "viem",
    "web3.js": "web3js",
    "OpenZeppelin": "openzeppelin",
    "filecoin-solidity-api": "filecoin_solidity",
    "iso-filecoin": "iso_filecoin",
}


@pytest.mark.parametrize("client", PROGRAMS)
def test_every_check_holds(
    client: str, clients: Path, node: str, record_property: Callable[[str, object], None]
) -> None:
    done = start(clients, "node", clients / "programs" / f"{PROGRAMS[client]}.mjs", node)
    output = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    checks = [line for line in output if "check" in line]
    failed = [line for line in checks if line["error"] is not None]
    record_property("checks", len(checks))
    record_property("failures", len(failed))
    assert not failed, "\n\n".join(f"{line['check']}: {line['error'][:2000]}" for line in failed)
    assert done.returncode == 0, done.stderr
    assert output[-1] == {"done": len(checks)}, done.stderr
