"""`anvil_reset` under Ethereum's rules: to another block, to another node, and to a new network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet import Network
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import NodeClient, UnfitNode
from localnet.ledger.address_index import AddressIndex
from localnet.replay.replay import close_folder, heights, replay
from localnet.rpc.node import FORK_QUERY_TIME, Node
from localnet.rpc.server.server import serving
from tests.hypervisor_tools.soltest.forks import chains
from tests.hypervisor_tools.soltest.forks.chains import BUMP, COUNTER, DEV
from tests.hypervisor_tools.soltest.forks.conftest import CREATION
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed, client_fixture, refusal

FUNDS = hex(10**22)
"""Balance of an account of a new network: 10,000 FIL."""
NUMBER = {"to": COUNTER, "data": "0x8381f58a"}


@pytest.fixture(scope="module")
def urls() -> Iterator[tuple[str, str]]:
    """Serve two nodes at block 7, with chain IDs 777 and 888 and the same contract in different states."""
    with (
        Network(rules="ethereum", chain_id=777, clock=Clock()) as first,
        Network(rules="ethereum", chain_id=888, clock=Clock()) as second,
        serving(first) as one,
        serving(second) as other,
    ):
        chains.build(one, CREATION, 8601)
        chains.build(other, CREATION, 8602)
        yield one, other


@pytest.fixture
def remotes(urls: tuple[str, str]) -> Iterator[tuple[NodeClient, NodeClient]]:
    with NodeClient(urls[0]) as one, NodeClient(urls[1]) as other:
        yield one, other


@pytest.fixture
def fork(urls: tuple[str, str]) -> Iterator[Client]:
    with Network.fork(urls[0], rules="ethereum", clock=Clock()) as network:
        client = Client(Node(network))
        yield client
        client.node.close()


plain = client_fixture(lambda: Network(rules="ethereum", clock=Clock()))


@pytest.mark.slow
def test_a_fork_is_reset_to_another_block(fork: Client, remotes: tuple[NodeClient, NodeClient]) -> None:
    mined = fork("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
    snapshot = fork("evm_snapshot")
    assert fork("anvil_reset", {"forking": {"blockNumber": "0x5"}}) is None
    assert fork("eth_blockNumber") == "0x5"
    assert fork("eth_getBlockByNumber", "latest", True) == remotes[0].request("eth_getBlockByNumber", "0x5", True)
    assert fork("eth_call", NUMBER, "latest") == remotes[0].request("eth_call", NUMBER, "0x5")
    assert fork("eth_call", NUMBER, "0x3") == remotes[0].request("eth_call", NUMBER, "0x3")
    assert fork("eth_getTransactionCount", DEV, "latest") == remotes[0].request("eth_getTransactionCount", DEV, "0x5")
    assert fork("eth_getBalance", DEV, "latest") == FUNDS
    assert fork("eth_getTransactionReceipt", mined) is None
    assert fork("eth_getBlockByNumber", "0x6", False) is None
    assert fork("evm_revert", snapshot) is False
    assert fork("anvil_nodeInfo")["forkConfig"]["forkBlockNumber"] == 5


@pytest.mark.slow
def test_blocks_are_mined_after_a_reset(fork: Client, remotes: tuple[NodeClient, NodeClient]) -> None:
    fork("anvil_mine", "0x3")
    fork("anvil_reset", {"forking": {"blockNumber": 3}})
    before = int(fork("eth_call", NUMBER, "latest"), 16)
    sent = fork("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
    receipt = fork("eth_getTransactionReceipt", sent)
    assert (receipt["status"], receipt["blockNumber"]) == ("0x1", "0x4")
    assert int(fork("eth_call", NUMBER, "latest"), 16) == before + 1
    assert int(fork("eth_call", NUMBER, "0x3"), 16) == before
    parent = fork("eth_getBlockByNumber", "0x4", False)["parentHash"]
    assert parent == remotes[0].request("eth_getBlockByNumber", "0x3", False)["hash"]


@pytest.mark.slow
def test_a_fork_is_reset_to_another_node(
    fork: Client, urls: tuple[str, str], remotes: tuple[NodeClient, NodeClient]
) -> None:
    instance = fork("anvil_metadata")["instanceId"]
    fork("anvil_reset", {"forking": {"jsonRpcUrl": urls[1], "blockNumber": 6}})
    assert fork("eth_call", NUMBER, "latest") == remotes[1].request("eth_call", NUMBER, "0x6")
    assert fork("eth_call", NUMBER, "latest") != remotes[0].request("eth_call", NUMBER, "0x6")
    assert fork("eth_chainId") == hex(777), "the chain ID stays, as anvil's does"
    fork("hardhat_reset", {"forking": {}})  # the newest block of the same node
    assert fork("eth_getBlockByNumber", "latest", False) == remotes[1].request("eth_getBlockByNumber", "latest", False)
    assert fork("anvil_metadata")["instanceId"] != instance


@pytest.mark.slow
def test_a_fork_is_reset_to_a_network_of_its_own(fork: Client) -> None:
    fork("anvil_reset")
    assert fork("eth_blockNumber") == "0x0"
    assert fork("eth_getCode", COUNTER, "latest") == "0x"
    assert (fork("eth_getBalance", DEV, "latest"), fork("eth_getTransactionCount", DEV, "latest")) == (FUNDS, "0x0")
    assert fork("anvil_nodeInfo")["forkConfig"]["forkUrl"] is None
    assert len(fork("eth_getCode", "0xca11bde05977b3631167028862be2a173976ca11", "latest")) > 2
    with refusal(-32602, "jsonRpcUrl is required"):
        fork("anvil_reset", {"forking": {"blockNumber": 2}})


@pytest.mark.slow
def test_a_network_of_its_own_becomes_a_fork(
    plain: Client, urls: tuple[str, str], remotes: tuple[NodeClient, NodeClient]
) -> None:
    plain("anvil_mine", "0x9")
    plain("anvil_reset", {"forking": {"jsonRpcUrl": urls[0]}})
    assert plain("eth_chainId") == hex(777)
    for method, params in (
        ("eth_getBlockByNumber", ("0x6", True)),
        ("eth_call", (NUMBER, "latest")),
        ("eth_getLogs", ({"fromBlock": "0x0", "toBlock": "latest"},)),
    ):
        assert plain(method, *params) == remotes[0].request(method, *params)
    plain("anvil_reset")
    assert plain("eth_getBlockByNumber", "0x6", False) is None


@pytest.mark.slow
def test_filters_continue_at_the_new_head(fork: Client) -> None:
    blocks, logs = fork("eth_newBlockFilter"), fork("eth_newFilter", {})
    fork("anvil_mine", "0x2")
    fork("anvil_reset", {"forking": {"blockNumber": 4}})
    assert (fork("eth_getFilterChanges", blocks), fork("eth_getFilterChanges", logs)) == ([], [])
    fork("evm_mine")
    assert fork("eth_getFilterChanges", blocks) == [fork("eth_getBlockByNumber", "latest", False)["hash"]]


@pytest.mark.parametrize(
    "forking",
    [{"blockNumber": 8}, {"jsonRpcUrl": "http://127.0.0.1:1"}, {"jsonRpcUrl": "nowhere"}],
    ids=["a block that is not there", "no node", "no URL"],
)
def test_failed_reset_changes_no_state(fork: Client, forking: dict[str, object]) -> None:
    fork("anvil_mine", "0x2")
    before, snapshot = fork("eth_getBlockByNumber", "latest", False), fork("evm_snapshot")
    with pytest.raises(Failed):
        fork("anvil_reset", {"forking": forking})
    assert fork("eth_getBlockByNumber", "latest", False) == before
    assert fork("eth_call", NUMBER, "latest") == f"0x{86016:064x}"
    assert fork("evm_revert", snapshot) is True


@pytest.mark.slow
def test_a_node_is_reset_while_it_serves(urls: tuple[str, str], remotes: tuple[NodeClient, NodeClient]) -> None:
    with Network(rules="ethereum", clock=Clock()) as network, serving(network) as url, NodeClient(url) as client:
        assert client.request("eth_call", NUMBER, "latest") == "0x"
        for at, number in ((0, 7), (1, 4), (0, 2)):
            client.request("anvil_reset", {"forking": {"jsonRpcUrl": urls[at], "blockNumber": number}})
            expected = remotes[at].request("eth_call", NUMBER, hex(number))
            assert client.request("eth_call", NUMBER, "latest") == expected
        client.request("anvil_reset")
        assert client.request("eth_call", NUMBER, "latest") == "0x"


def test_queries_of_a_new_fork_may_take_longer(plain: Client, urls: tuple[str, str]) -> None:
    plain("anvil_reset", {"forking": {"jsonRpcUrl": urls[0]}})
    assert plain.node.limits.query == FORK_QUERY_TIME


@pytest.mark.slow
def test_folder_continues_from_its_reset_state(tmp_path: Path, urls: tuple[str, str]) -> None:
    folder = tmp_path / "chain"
    with Network(folder, rules="ethereum", clock=Clock()) as network:
        network.reset(ForkSource(urls[0], 5))
        network.send(network.accounts[1].address, value=3)
        head = network.head
    assert [(height, replay(folder, height).difference) for height in heights(folder)] == [(6, "")]
    close_folder()
    with Network(folder) as network:
        assert network.head == head
        assert network.chain.index.first == 5
        network.reset()
    with Network(folder) as network:
        assert (network.block_number, network.chain.origin) == (0, None)


def test_resets_from_python_name_the_node_that_is_missing() -> None:
    with Network(rules="ethereum") as network:
        with pytest.raises(UnfitNode, match=r"no node responds at http://127\.0\.0\.1:1"):
            network.reset(ForkSource("http://127.0.0.1:1"))
        assert network.block_number == 0


def test_filecoin_forks_are_not_reset_to_another_node(client_of_filecoin: Client) -> None:
    with refusal(-32602, "cannot be reset to another fork: start a node with --fork-url"):
        client_of_filecoin("anvil_reset", {"forking": {"jsonRpcUrl": "http://127.0.0.1:1"}})


client_of_filecoin = client_fixture(lambda: Network(clock=Clock()))


@pytest.mark.slow
def test_an_index_by_address_follows_a_reset(urls: tuple[str, str]) -> None:
    with (
        Network.fork(urls[0], 2, rules="ethereum", clock=Clock()) as network,
        serving(network, addresses=AddressIndex(None)) as url,
        NodeClient(url) as client,
    ):
        client.request("anvil_mine", "0x3")
        client.request("anvil_reset", {"forking": {"blockNumber": 6}})
        sent = client.request("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
        found = client.request("ots_searchTransactionsBefore", DEV, 0, 5)
        assert [each["blockNumber"] for each in found["txs"]][:2] == ["0x7", "0x6"]
        assert found["txs"][0]["hash"] == sent


def test_a_reset_beyond_the_head_names_the_head(fork: Client) -> None:
    with pytest.raises(Failed, match=r"block 99 cannot be forked: http://127\.0\.0\.1:[0-9]+ is at block 7"):
        fork("anvil_reset", {"forking": {"blockNumber": 99}})


@pytest.mark.parametrize("method", ["anvil_reset", "hardhat_reset"])
def test_empty_options_reset_a_node_that_is_no_fork(plain: Client, method: str) -> None:
    plain("hardhat_mine", "0x2")
    plain(method, {})
    assert plain("eth_blockNumber") == "0x0"
