"""Quick start of each client library on a fresh node: programs of named checks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import start
from tests.clients.nodes import node_process

PROGRAMS = {
    "ethers": "ethers",
    "viem": "viem",
    "web3.js": "web3js",
    "OpenZeppelin": "openzeppelin",
    "filecoin-solidity-api": "filecoin_solidity",
    "iso-filecoin": "iso_filecoin",
}


@pytest.mark.long
@pytest.mark.parametrize("client", PROGRAMS)
def test_every_check_holds(
    client: str, clients: Path, node: str, record_property: Callable[[str, object], None]
) -> None:
    assert_checks(PROGRAMS[client], clients, node, record_property)


@pytest.mark.long
def test_uniswap_mints_liquidity_under_ethereums_rules(
    clients: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with node_process(tmp_path, "--rules", "ethereum") as url:
        assert_checks("uniswap", clients, url, record_property)


def assert_checks(program: str, clients: Path, url: str, record_property: Callable[[str, object], None]) -> None:
    """Run a program on a node, count its checks, and fail if one of them does."""
    done = start(clients, "node", clients / "programs" / f"{program}.mjs", url)
    output = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    checks = [line for line in output if "check" in line]
    failed = [line for line in checks if line["error"] is not None]
    record_property("checks", len(checks))
    record_property("failures", len(failed))
    assert not failed, "\n\n".join(f"{line['check']}: {line['error'][:2000]}" for line in failed)
    assert done.returncode == 0, done.stderr
    assert output[-1] == {"done": len(checks)}, done.stderr
