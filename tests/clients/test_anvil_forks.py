"""Forks and state files compared with anvil: both fork the same anvil node, and each loads the other's state."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localnet import Artifact, Network
from localnet.fork.node_client import NodeClient
from localnet.rpc.anvil_dump import anvil_state
from tests.clients.nodes import node_process
from tests.clients.test_anvil import ALICE, BOB, NOBODY, Both, anvil
from tests.localnet.conftest import ARTIFACTS

COUNTER = Artifact.load(ARTIFACTS / "Counter.json")
EMITTER = "0x60395f8160095f39f3" + "5f54600101805f555f527f" + "ab" * 32 + "60205fa100"
"""Code that counts its calls in slot 0 and emits the count with one topic."""


def mined(client: NodeClient, **request: str) -> dict[str, Any]:
    """Return the receipt of a transaction of the first account."""
    sent = client.request("eth_sendTransaction", {"from": ALICE, **request})
    deadline = time.monotonic() + 30
    while (receipt := client.request("eth_getTransactionReceipt", sent)) is None:
        assert time.monotonic() < deadline, "the transaction is not mined"
        time.sleep(0.02)
    found: dict[str, Any] = receipt
    return found


def build(client: NodeClient) -> tuple[str, list[str]]:
    """Make eight blocks with a contract that emits logs; return its address and the hashes of the transactions."""
    receipts = [mined(client, data=EMITTER)]
    contract = receipts[0]["contractAddress"]
    receipts += [mined(client, to=contract, gas="0x30d40") for _ in range(3)]
    receipts += [mined(client, to=NOBODY, value="0x77"), mined(client, data="0x5f5ffd", gas="0x30d40")]
    client.request("anvil_mine", "0x2")
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 5 + ["0x0"]
    return contract, [receipt["transactionHash"] for receipt in receipts]


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[str, str, list[str]]]:
    """Yield the URL of an anvil node at block 8, its contract and its transactions."""
    with anvil("--chain-id", "777") as url, NodeClient(url) as client:
        yield url, *build(client)


@pytest.mark.parametrize("at", [(), ("--fork-block-number", "5"), ("--fork-block-number", "5", "--chain-id", "99")])
def test_a_fork_answers_as_a_fork_of_anvil(
    upstream: tuple[str, str, list[str]], at: tuple[str, ...], tmp_path: Path
) -> None:
    url, contract, sent = upstream
    head = int(at[1]) if at else 8
    with (
        anvil("--fork-url", url, *at) as theirs,
        node_process(tmp_path, "--rules", "ethereum", "--fork-url", url, *at) as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        both = Both(one, other)
        for method in ("eth_chainId", "eth_blockNumber"):
            both.ask(method)
        for number in (*map(hex, range(1, head + 1)), "latest"):
            for method, params in (
                ("eth_getBalance", (NOBODY,)),
                ("eth_getTransactionCount", (ALICE,)),
                ("eth_getCode", (contract,)),
                ("eth_getStorageAt", (contract, "0x0")),
                ("eth_call", ({"from": BOB, "to": contract},)),
                ("eth_getBlockByNumber", ()),
            ):
                extra = (False,) if method == "eth_getBlockByNumber" else ()
                both.ask(method, *params, number, *extra)
            both.ask("eth_getBlockTransactionCountByNumber", number)
        for transaction in sent[: head if head < len(sent) else None]:
            both.ask("eth_getTransactionByHash", transaction)
            both.ask("eth_getTransactionReceipt", transaction)
        for wanted in ({}, {"address": contract}, {"topics": ["0x" + "ab" * 32]}, {"topics": [None, None]}):
            both.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(head), **wanted})
        assert both.ask("eth_getBlockByNumber", hex(head + 1), False) is None
        assert both.ask("eth_getTransactionReceipt", "0x" + "12" * 32) is None


def test_forks_continue_as_in_anvil(upstream: tuple[str, str, list[str]], tmp_path: Path) -> None:
    url, contract, _ = upstream
    options = ("--fork-url", url, "--fork-block-number", "6")
    with (
        anvil(*options) as theirs,
        node_process(tmp_path, "--rules", "ethereum", *options) as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        both = Both(one, other)
        for _ in range(2):
            pair = [mined(client, to=contract, gas="0x30d40") for client in (one, other)]
            for field in ("status", "gasUsed", "blockNumber", "effectiveGasPrice", "cumulativeGasUsed"):
                assert pair[0][field] == pair[1][field], field
            assert [len(receipt["logs"]) for receipt in pair] == [1, 1]
        created = [mined(client, data=EMITTER)["contractAddress"] for client in (one, other)]
        assert created[0] == created[1]
        both.ask("eth_getStorageAt", contract, "0x0", "latest")
        both.ask("eth_getStorageAt", contract, "0x0", "0x6")
        both.ask("eth_getStorageAt", contract, "0x0", "0x3")
        logs = both.each("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": contract})
        shown = [[(log["blockNumber"], log["logIndex"], log["data"]) for log in found] for found in logs]
        assert shown[0] == shown[1]
        assert len(shown[0]) == 5


def test_resets_are_those_of_anvil(upstream: tuple[str, str, list[str]], tmp_path: Path) -> None:
    url, contract, _ = upstream
    with (
        anvil("--chain-id", "888") as second,
        NodeClient(second) as client,
        anvil("--fork-url", url) as theirs,
        node_process(tmp_path, "--rules", "ethereum", "--fork-url", url) as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        mined(client, to=NOBODY, value="0x1234")
        both = Both(one, other)
        for forking in (
            {"blockNumber": "0x3"},
            {"blockNumber": 2},
            {"jsonRpcUrl": second},
            {"jsonRpcUrl": url, "blockNumber": 7},
            {},
        ):
            both.ask("anvil_reset", {"forking": forking})
            for method, params in (
                ("eth_chainId", ()),
                ("eth_blockNumber", ()),
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_getBalance", (NOBODY, "latest")),
                ("eth_getBalance", (ALICE, "latest")),
                ("eth_getTransactionCount", (ALICE, "latest")),
                ("eth_getStorageAt", (contract, "0x0", "latest")),
            ):
                both.ask(method, *params)
            configs = [each["forkConfig"] for each in both.each("anvil_nodeInfo")]
            assert configs[0]["forkBlockNumber"] == configs[1]["forkBlockNumber"]
        both.ask("anvil_reset")
        both.ask("eth_blockNumber")
        both.ask("eth_getBalance", ALICE, "latest")
        assert other.request("eth_getCode", contract, "latest") == "0x", "anvil has accounts of the fork that it read"


def test_a_state_of_anvil_is_loaded(tmp_path: Path) -> None:
    with (
        anvil() as theirs,
        node_process(tmp_path, "--rules", "ethereum") as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        contract, sent = build(one)
        assert other.request("anvil_loadState", one.request("anvil_dumpState")) is True
        both = Both(one, other)
        both.ask("eth_blockNumber")
        for address in (ALICE, NOBODY, contract):
            both.ask("eth_getBalance", address, "latest")
            both.ask("eth_getTransactionCount", address, "latest")
            both.ask("eth_getCode", address, "latest")
        both.ask("eth_getStorageAt", contract, "0x0", "latest")
        both.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
        for transaction in sent:
            receipts = both.each("eth_getTransactionReceipt", transaction)
            assert {**receipts[0], "blobGasPrice": ""} == {**receipts[1], "blobGasPrice": ""}
        for height in range(9):
            hashes = [each["hash"] for each in both.each("eth_getBlockByNumber", hex(height), False)]
            assert hashes[0] == hashes[1]


def test_anvil_loads_a_state(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with node_process(tmp_path, "--rules", "ethereum", "--dump-state", str(file)) as ours, NodeClient(ours) as client:
        contract, sent = build(client)
        receipts = [client.request("eth_getTransactionReceipt", each) for each in sent]
        balance = client.request("eth_getBalance", ALICE, "latest")
    with anvil("--load-state", str(file)) as theirs, NodeClient(theirs) as client:
        assert client.request("eth_blockNumber") == "0x8"
        assert client.request("eth_getStorageAt", contract, "0x0", "latest") == f"0x{3:064x}"
        assert client.request("eth_getBalance", ALICE, "latest") == balance
        for receipt in receipts:
            found = client.request("eth_getTransactionReceipt", receipt["transactionHash"])
            for field in ("status", "from", "to", "gasUsed", "effectiveGasPrice", "contractAddress", "blockNumber"):
                assert found[field] == receipt[field], field
            assert [log["data"] for log in found["logs"]] == [log["data"] for log in receipt["logs"]]
        assert mined(client, to=contract, gas="0x30d40")["blockNumber"] == "0x9"
        assert client.request("eth_getStorageAt", contract, "0x0", "latest") == f"0x{4:064x}"


def test_a_state_from_python_is_loaded_by_anvil(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with Network(rules="ethereum") as network:
        counter = network.deploy(COUNTER)
        counter.send("increment")
        file.write_bytes(anvil_state(network))
    data = f"0x{COUNTER.interface.encode_call('number').hex()}"
    with anvil("--load-state", str(file)) as theirs, NodeClient(theirs) as client:
        assert int(client.request("eth_call", {"to": f"0x{counter.address.hex()}", "data": data}, "latest"), 16) == 1
