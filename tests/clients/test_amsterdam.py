"""viem, ethers, forge and cast on a node under the rules of Ethereum's fork Amsterdam."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import start
from tests.clients.nodes import node_process
from tests.clients.test_foundry import SENDER, Foundry

CHAIN = "31415926"
"""The chain ID that the programs expect."""

DIFFERENT = {
    "ethers": {"write, and read the event from the receipt"},  # the first log is the transfer's
    "viem": {"an access list is refused with the reason"},  # Ethereum's rules accept it
}
"""Checks of Filecoin's rules that cannot hold here."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("node")
    with node_process(folder, "--rules", "ethereum", "--hardfork", "amsterdam", "--chain-id", CHAIN) as url:
        yield url


@pytest.mark.parametrize("client", DIFFERENT)
def test_checks_of_client_libraries_hold(client: str, clients: Path, node: str) -> None:
    done = start(clients, "node", clients / "programs" / f"{client}.mjs", node)
    checks = [line for line in map(json.loads, done.stdout.splitlines()) if "check" in line]
    assert len(checks) > 20
    assert {line["check"] for line in checks if line["error"] is not None} == DIFFERENT[client]


def test_foundry_deploys_calls_and_transfers(clients: Path, node: str, tmp_path: Path) -> None:
    foundry = Foundry(clients, node, tmp_path)
    deployed = foundry.forge("create", "contracts/src/Notes.sol:Notes", "--json", "--constructor-args", "first")
    notes = json.loads(deployed)["deployedTo"]
    assert foundry.send(notes, "write(uint256,string)", "1", "second")["status"] == "0x1"
    assert foundry.cast("call", notes, "count()(uint256)") == "2"
    receipt: dict[str, Any] = foundry.send("0x" + "11" * 20, "--value", "5")
    # EIP-7708: a transfer logs Transfer(sender, receiver, value) with this address as its emitter.
    (log,) = receipt["logs"]
    assert log["address"] == "0xfffffffffffffffffffffffffffffffffffffffe"
    assert log["topics"][1:] == [f"0x{SENDER[2:].lower():0>64}", "0x" + ("11" * 20).rjust(64, "0")]
    assert int(log["data"], 16) == 5
