"""Fixtures that replace the geth process of web3.py's integration tests by a running node, which FVM_PEER_URL names.

The harness copies this file beside the suite's own fixtures. The node gets the contracts and blocks of the suite's
fixture data once, and goes back to them before each test.
"""

import json
import os
import runpy
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

_GENERATORS = Path(__file__).parent.parent / "generate_fixtures"
sys.path.insert(0, str(_GENERATORS))  # its programs import each other by name
common: Any = import_module("common")
common.COINBASE = common.KEYFILE_ACCOUNT_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
common.KEYFILE_ACCOUNT_PKEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The node's first account, because a node cannot be given the key of the suite's own."""

_UNHURRIED = ("unmined", "replace", "modify", "pending", "raw_transaction")
"""Words in the names of tests that need a transaction to wait for its block."""


def _request(method: str, *parameters: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    request = urllib.request.Request(os.environ["FVM_PEER_URL"], body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


class _Generous(HTTPProvider):
    """Raises gas limits: under Filecoin's rules those of the fixture data are too low."""

    def make_request(self, method: Any, params: Any) -> Any:
        if method == "eth_sendTransaction":
            params[0]["gas"] = hex(max(int(params[0].get("gas", "0x0"), 16), 10_000_000))
        return super().make_request(method, params)


@pytest.fixture(scope="session")
def _prepared() -> dict[str, Any]:
    """Data of `config.json` in the suite's archive, of the node's own chain."""
    for account in (common.COINBASE, common.RAW_TXN_ACCOUNT):
        _request("anvil_setBalance", account, hex(10**27))
    _request("evm_setAutomine", False)
    _request("evm_setIntervalMining", 1)
    set_up = runpy.run_path(str(_GENERATORS / "go_ethereum.py"))["setup_chain_state"]
    made = set_up(Web3(_Generous(os.environ["FVM_PEER_URL"])))
    data = {name: f"0x{value.hex()}" if isinstance(value, bytes) else value for name, value in made.items()}
    data |= {"raw_txn_account": common.RAW_TXN_ACCOUNT, "keyfile_pw": common.KEYFILE_PW}
    data["snapshot"] = _request("evm_snapshot")
    return data


@pytest.fixture
def geth_fixture_data(_prepared: dict[str, Any]) -> dict[str, Any]:
    return _prepared


@pytest.fixture
def start_geth_process_and_yield_port(_prepared: dict[str, Any], request: pytest.FixtureRequest) -> int:
    _request("evm_revert", _prepared["snapshot"])
    _prepared["snapshot"] = _request("evm_snapshot")
    _request("evm_setIntervalMining", 6 if any(word in request.node.name for word in _UNHURRIED) else 1)
    return int(os.environ["FVM_PEER_URL"].rpartition(":")[2])
