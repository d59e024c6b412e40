"""forge, cast, ethers and viem, as their users call them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localnet import Network
from tests.clients.conftest import EXAMPLE, PROJECT, SOLIDITY, run, start

KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
SENDER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_viem(clients: Path, url: str, artifact: Path) -> None:
    seen = json.loads(run(clients, "node", Path(__file__).with_name("viem.mjs"), url, artifact))
    assert seen.pop("revert").startswith('The contract function "name" reverted')
    assert seen == {
        "chainId": 31415926, "deployed": "success", "name": "DataCap", "kept": "DataCap", "event": "DataCap", "logs": 1,
        "types": ["eip1559", "legacy", "eip2930"], "received": 3, "history": 3, "block": True, "nonce": 5,
        "reverted": True,
    }  # fmt: skip


def test_ethers_and_viem_over_a_websocket(clients: Path, url: str) -> None:
    seen = json.loads(run(clients, "node", Path(__file__).with_name("sockets.mjs"), url))
    told = {"chainId": 31415926, "block": True, "pending": True}
    assert seen == {"ethers": told, "viem": told}


def test_ethers(clients: Path, url: str, artifact: Path) -> None:
    address = run(clients, "node", EXAMPLE / "deploy.mjs", url, artifact).strip()
    assert run(clients, "cast", "call", address, "kept()(string)", "--rpc-url", url) == '"DataCap"\n'


def test_forge_script(clients: Path, url: str, network: Network) -> None:
    # The gas that forge's own simulation counts is Ethereum's: --skip-simulation lets it ask the node.
    height = network.block_number
    run(
        clients, "forge", "script", SOLIDITY / "script" / "Deploy.s.sol", "--root", SOLIDITY,
        "--use", EXAMPLE / "solc.mjs", "--rpc-url", url, "--private-key", KEY, "--broadcast", "--skip-simulation",
    )  # fmt: skip
    assert network.block_number == height + 1
    assert network.receipt(network.head.transactions[0]).contract_address is not None


def test_cast(clients: Path, url: str) -> None:
    def cast(*arguments: str) -> str:
        return run(clients, "cast", *arguments, "--rpc-url", url).strip()

    receiver = "0x" + "ab" * 20
    for options in ([], ["--legacy"]):
        receipt = json.loads(cast("send", receiver, "--value", "1ether", "--private-key", KEY, "--json", *options))
        assert receipt["status"] == "0x1"
        assert json.loads(cast("tx", receipt["transactionHash"], "--json"))["hash"] == receipt["transactionHash"]
    unlocked = json.loads(cast("send", receiver, "--value", "1ether", "--unlocked", "--from", SENDER, "--json"))
    assert unlocked["status"] == "0x1"
    assert cast("balance", receiver, "--ether") == "3.000000000000000000"
    assert int(cast("estimate", receiver, "--value", "1", "--from", SENDER)) > 1_000_000
    assert int(cast("nonce", SENDER)) >= 3
    assert cast("code", receiver) == "0x"
    assert cast("chain-id") == "31415926"
    assert "100100" in cast("gas-price")
    assert cast("rpc", "evm_snapshot").startswith('"0x')


def test_a_call_that_reverts_is_told_by_cast(clients: Path, url: str, artifact: Path) -> None:
    address = run(clients, "node", EXAMPLE / "deploy.mjs", url, artifact).strip()
    told = start(clients, "cast", "call", address, "nothing()", "--rpc-url", url).stderr
    assert "error code 3: message execution failed (exit=[EVM_CONTRACT_REVERTED(33)]" in told


@pytest.mark.long
def test_the_first_node(clients: Path) -> None:
    venv = Path(sys.executable).parent.parent
    done = subprocess.run(
        [PROJECT / "scripts" / "first-node", venv.name], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '-> "DataCap"' in done.stdout
    assert shutil.which("node")
