"""Otterscan's methods and the explorer on a fork, for blocks before the fork: equal to the forked node's responses."""

from collections.abc import Iterator
from typing import Any

import pytest

from localnet import Network
from localnet.fork.node_client import NodeClient
from localnet.fork.remote_history import RemoteHistory
from localnet.rpc.node import Node
from tests.fvm_hypervisor.soltest.forks.chains import BUMP, COUNTER, DEV
from tests.fvm_hypervisor.soltest.forks.conftest import served_chain
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_chain() as url:
        yield url


@pytest.fixture
def remote(url: str) -> Iterator[NodeClient]:
    with NodeClient(url) as client:
        yield client


@pytest.fixture
def otterscan_fork_rpc(url: str) -> Iterator[Client]:
    with Network.fork(url, rules="ethereum", clock=Clock()) as network:
        client = Client(Node(network))
        client("anvil_mine", "0x2")
        yield client
        client.node.close()


_REQUESTS: list[tuple[str, tuple[Any, ...]]] = [
    ("ots_getBlockDetails", (6,)),
    ("ots_getBlockTransactions", (6, 0, 5)),
    ("ots_hasCode", (COUNTER, "0x5")),
    ("ots_getContractCreator", (COUNTER,)),
    ("ots_getTransactionBySenderAndNonce", (DEV, 0)),
    ("ots_searchTransactionsBefore", (DEV, 0, 25)),
    ("ots_searchTransactionsBefore", (DEV, 5, 2)),
    ("ots_searchTransactionsAfter", (DEV, 0, 25)),
]


@pytest.mark.parametrize(("method", "params"), _REQUESTS, ids=[f"{method}{params}" for method, params in _REQUESTS])
def test_transactions_before_fork_match_remote_node(
    method: str, params: tuple[Any, ...], otterscan_fork_rpc: Client, remote: NodeClient
) -> None:
    response = otterscan_fork_rpc(method, *params)
    assert response == remote.request(method, *params)
    assert response is not None


def test_transactions_before_the_fork_are_the_nodes(otterscan_fork_rpc: Client, remote: NodeClient) -> None:
    block = remote.request("eth_getBlockByNumber", "0x6", False)
    by_hash = "ots_getBlockDetailsByHash"
    assert otterscan_fork_rpc(by_hash, block["hash"]) == remote.request(by_hash, block["hash"]) is not None
    for method in ("ots_traceTransaction", "ots_getInternalOperations", "ots_getTransactionError"):
        assert (
            otterscan_fork_rpc(method, block["transactions"][0])
            == remote.request(method, block["transactions"][0])
            is not None
        )


def test_searches_continue_before_fork_block(otterscan_fork_rpc: Client, remote: NodeClient) -> None:
    sent = [
        otterscan_fork_rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"}) for _ in range(2)
    ]
    for method in ("After", "Before"):
        older = [each["hash"] for each in remote.request(f"ots_searchTransactions{method}", DEV, 0, 25)["txs"]]
        every = [*reversed(sent), *older]
        found = otterscan_fork_rpc(f"ots_searchTransactions{method}", DEV, 0, 25)
        assert [each["hash"] for each in found["txs"]] == every
        assert [each["transactionHash"] for each in found["receipts"]] == every
        assert (found["firstPage"], found["lastPage"]) == (True, True)
    page = otterscan_fork_rpc("ots_searchTransactionsBefore", DEV, 0, 2)
    assert [each["hash"] for each in page["txs"]] == every[:2]
    assert (page["firstPage"], page["lastPage"]) == (True, False)
    assert otterscan_fork_rpc("ots_getTransactionBySenderAndNonce", DEV, len(older)) == sent[0]


def test_searches_without_the_nodes_help_are_of_the_fork(
    otterscan_fork_rpc: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """geth, for example, has no Otterscan methods."""
    ask = RemoteHistory.forward

    def forward(self: RemoteHistory, method: str, *params: Any) -> Any:
        return ask(self, f"x{method}" if method.startswith("ots_") else method, *params)

    monkeypatch.setattr(RemoteHistory, "forward", forward)
    sent = otterscan_fork_rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
    for method in ("Before", "After"):
        assert [each["hash"] for each in otterscan_fork_rpc(f"ots_searchTransactions{method}", DEV, 0, 25)["txs"]] == [
            sent
        ]
    with pytest.raises(Failed, match="xots_getBlockDetails"):
        otterscan_fork_rpc("ots_getBlockDetails", 6)


def test_errors_name_where_earlier_transactions_are(otterscan_fork_rpc: Client, remote: NodeClient) -> None:
    sent = remote.request("eth_getBlockByNumber", "0x6", False)["transactions"][0]
    with pytest.raises(Failed, match=r"not on this chain \(a fork: blocks up to 7 are on the forked node\)"):
        otterscan_fork_rpc("hypervisor_trace", sent)
