"""Otterscan's methods: anvil 1.7's responses for the same transactions, and pages of an address's history."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from localnet import Network
from localnet.fork.node_client import NodeClient
from localnet.fork.remote_history import RemoteHistory
from localnet.ledger.address_index import AddressIndex
from localnet.rpc.node import Node
from tests.hypervisor_tools.soltest.forks.chains import BUMP, COUNTER, DEV
from tests.hypervisor_tools.soltest.forks.conftest import served_chain
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NO_HASH, NOBODY, deploy, greet
from tests.localnet.rpc.conftest import Client, Failed

CHILD = "600160005360016000f3"
"""Init code of a contract with one byte of code."""
FACTORY = (
    f"69{CHILD}600052" + "600a60166000f050" + "6007600a60166000f550" + "6000600060006000600560995af150" + "00"
)  # CREATE, CREATE2 with the salt 7, 5 wei to 0x99
REVERTS = "7f" + "aa" * 32 + "60005260206000fd"
LIMITS = {"filecoin": hex(2 * 10**9), "ethereum": hex(10**7)}


def init_code(runtime: str) -> str:
    """Return init code that returns a runtime code."""
    size = f"{len(runtime) // 2:02x}"
    return f"0x60{size}600c60003960{size}6000f3{runtime}"


@pytest.fixture(params=["filecoin", "ethereum"])
def rules(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["looking through the chain", "by the index"])
def rpc(rules: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules=rules) as network:
        addresses = AddressIndex() if request.param else None
        yield Client(Node(network, addresses=addresses))
        if addresses is not None:
            addresses.close()


def follow(rpc: Client) -> None:
    if rpc.node.addresses is not None:
        while rpc.node.addresses.follow(rpc.node.network.chain.index):
            pass


def made(rpc: Client, rules: str, runtime: str) -> tuple[str, str]:
    """Return a contract and the transaction that created it."""
    sent = rpc("eth_sendTransaction", {"from": ALICE, "data": init_code(runtime), "gas": LIMITS[rules]})
    return rpc("eth_getTransactionReceipt", sent)["contractAddress"], sent


@pytest.mark.slow
def test_internal_operations_and_contract_creator_are_reported(rpc: Client, rules: str) -> None:
    factory, created = made(rpc, rules, FACTORY)
    called = rpc("eth_sendTransaction", {"from": ALICE, "to": factory, "value": "0x64", "gas": LIMITS[rules]})
    follow(rpc)
    own = EthAddress(bytes.fromhex(factory[2:]))
    child = f"0x{create_address(own, 1).hex()}"
    salted = f"0x{create2_address(own, (7).to_bytes(32, 'big'), bytes.fromhex(CHILD)).hex()}"
    assert rpc("ots_getInternalOperations", created) == [{"type": 2, "from": ALICE, "to": factory, "value": "0x0"}]
    assert rpc("ots_getInternalOperations", called) == [
        {"type": 0, "from": ALICE, "to": factory, "value": "0x64"},
        {"type": 2, "from": factory, "to": child, "value": "0x0"},
        {"type": 3, "from": factory, "to": salted, "value": "0x0"},
        {"type": 0, "from": factory, "to": f"0x{0x99:040x}", "value": "0x5"},
    ]
    calls = rpc("ots_traceTransaction", called)
    assert [(call["type"], call["depth"], call["to"]) for call in calls] == [
        ("CALL", 0, factory), ("CREATE", 1, child), ("CREATE2", 1, salted), ("CALL", 1, f"0x{0x99:040x}")
    ]  # fmt: skip
    assert rpc("ots_getContractCreator", factory) == {"hash": created, "creator": ALICE}
    assert rpc("ots_getContractCreator", child) == {"hash": called, "creator": factory}
    assert rpc("ots_getContractCreator", salted) == {"hash": called, "creator": factory}
    assert rpc("ots_getContractCreator", ALICE) is None
    assert [rpc("ots_hasCode", factory, at) for at in ("latest", "0x0", 0, 1)] == [True, False, False, True]
    assert rpc("ots_hasCode", ALICE, "latest") is False


def test_transaction_revert_data_is_returned(rpc: Client, rules: str) -> None:
    contract, created = made(rpc, rules, REVERTS)
    failed = rpc("eth_sendTransaction", {"from": ALICE, "to": contract, "gas": LIMITS[rules]})
    assert rpc("ots_getTransactionError", failed) == "0x" + "aa" * 32
    assert rpc("ots_getTransactionError", created) == "0x"
    for method in ("ots_getTransactionError", "ots_traceTransaction", "ots_getInternalOperations"):
        with pytest.raises(Failed, match="is not on this chain"):
            rpc(method, NO_HASH)


def test_a_block_with_its_fees_and_its_transactions_in_pages(rpc: Client) -> None:
    rpc("evm_setAutomine", False)
    sent = [rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(each)}) for each in range(1, 6)]
    rpc("evm_mine")
    block = rpc("eth_getBlockByNumber", "latest", False)
    details = rpc("ots_getBlockDetails", 1)
    assert details == rpc("ots_getBlockDetails", "0x1") == rpc("ots_getBlockDetailsByHash", block["hash"])
    receipts = [rpc("eth_getTransactionReceipt", each) for each in sent]
    fees = sum(int(each["gasUsed"], 16) * int(each["effectiveGasPrice"], 16) for each in receipts)
    assert int(details["totalFees"], 16) == fees
    assert details["issuance"] == {"blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0"}
    hashes = block.pop("transactions")
    assert details["block"] == {**block, "transactionCount": 5}
    first, second = (rpc("ots_getBlockTransactions", 1, page, 3) for page in (0, 1))
    shown = [each["hash"] for page in (first, second) for each in page["fullblock"]["transactions"]]
    assert (shown, first["fullblock"]["transactionCount"]) == (hashes, 5)
    assert [each["transactionHash"] for each in second["receipts"]] == hashes[3:]
    assert second["receipts"][0]["timestamp"] == block["timestamp"]
    assert rpc("ots_getBlockTransactions", 1, 9, 3)["receipts"] == []
    with pytest.raises(Failed, match="1001 transactions exceeds the limit of 1000"):
        rpc("ots_getBlockTransactions", 1, 0, 1001)


def test_missing_block_details_are_null(rpc: Client) -> None:
    rpc("hypervisor_mineAfterNullRounds", 2)
    for height in (1, 99):
        assert rpc("ots_getBlockDetails", height) is None
        assert rpc("ots_getBlockTransactions", height, 0, 5) is None
    assert rpc("ots_getBlockDetailsByHash", NO_HASH) is None


def test_the_history_of_an_address_in_pages_of_whole_blocks(rpc: Client) -> None:
    for value in range(1, 7):  # blocks 1 to 6
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB if value == 6 else NOBODY, "value": hex(value)})
    follow(rpc)

    def page(direction: str, owner: str, height: int, size: int) -> tuple[list[int], bool, bool]:
        found: dict[str, Any] = rpc(f"ots_searchTransactions{direction}", owner, height, size)
        assert [each["transactionHash"] for each in found["receipts"]] == [each["hash"] for each in found["txs"]]
        return [int(each["blockNumber"], 16) for each in found["txs"]], found["firstPage"], found["lastPage"]

    # anvil 1.7 to six such transactions
    assert page("Before", ALICE, 0, 2) == ([6, 5], True, False)
    assert page("After", ALICE, 0, 2) == ([2, 1], False, True)
    assert page("Before", ALICE, 4, 2) == ([3, 2], False, False)
    assert page("After", ALICE, 4, 2) == ([6, 5], True, False)
    assert page("Before", ALICE, 3, 1) == ([2], False, False)
    assert page("After", ALICE, 3, 1) == ([4], False, False)
    assert page("Before", BOB, 0, 25) == page("After", BOB, 0, 25) == ([6], True, True)
    assert page("Before", "0x" + "77" * 20, 0, 25) == ([], True, True)
    assert [rpc("ots_getTransactionBySenderAndNonce", ALICE, nonce) for nonce in (0, "0x5", 99)] == [
        rpc("eth_getTransactionByBlockNumberAndIndex", "0x1", "0x0")["hash"],
        rpc("eth_getTransactionByBlockNumberAndIndex", "0x6", "0x0")["hash"],
        None,
    ]


def test_an_events_emitter_is_in_its_history(rpc: Client) -> None:
    inbox = deploy(rpc, INBOX)
    sent = greet(rpc, inbox)
    follow(rpc)
    assert next(each["hash"] for each in rpc("ots_searchTransactionsBefore", inbox, 0, 25)["txs"]) == sent


def test_otterscan_api_level_is_8(rpc: Client) -> None:
    assert rpc("ots_getApiLevel") == 8


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


@pytest.mark.slow
@pytest.mark.parametrize(("method", "params"), _REQUESTS, ids=[f"{method}{params}" for method, params in _REQUESTS])
def test_transactions_before_fork_match_remote_node(
    method: str, params: tuple[Any, ...], otterscan_fork_rpc: Client, remote: NodeClient
) -> None:
    response = otterscan_fork_rpc(method, *params)
    assert response == remote.request(method, *params)
    assert response is not None


@pytest.mark.slow
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


@pytest.mark.slow
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
