"""Forks of an Ethereum network; the forked node is this program's own, under Ethereum's rules."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, create_address
from bridge.ethereum.blobs import BLOB_PROOFS
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import NodeClient, NodeError, RequestOptions
from localnet.fork.remote_chain import MAX_CODE_BYTES
from localnet.replay.replay import close_folder, heights, replay
from localnet.rpc.debug import parity
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from tests.blobs import zeros
from tests.hypervisor_tools.soltest.forks import chains
from tests.hypervisor_tools.soltest.forks.chains import BUMP, COUNTER, DEV, SET
from tests.hypervisor_tools.soltest.forks.conftest import CREATION, served_chain
from tests.hypervisor_tools.soltest.forks.test_hostile_nodes import BLOCK, SOUND, node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed, refusal

HASH = "0x" + "ab" * 32
NOBODY = "0x" + "99" * 20
NUMBER = "0x8381f58a"
ACCOUNT = EthAddress(bytes.fromhex(DEV[2:]))
PREFUNDED = f"0x{create_address(ACCOUNT, 9).hex()}"
"""Address of the first contract that the account creates on a fork."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_chain({EthAddress(bytes.fromhex(PREFUNDED[2:])): 77}) as url:
        yield url


@pytest.fixture
def remote(url: str) -> Iterator[NodeClient]:
    with NodeClient(url) as client:
        yield client


def fork(url: str, number: int | None = None, path: str | Path = ":memory:", **options: Any) -> Network:
    return Network.fork(url, number, path, rules="ethereum", clock=Clock(), **options)


@pytest.fixture
def rpc(url: str) -> Iterator[Client]:
    with fork(url) as network:
        client = Client(Node(network))
        yield client
        client.node.close()


@pytest.mark.slow
def test_a_fork_begins_as_the_block_of_the_node(rpc: Client, remote: NodeClient) -> None:
    head = remote.request("eth_getBlockByNumber", "latest", False)
    assert rpc("eth_getBlockByNumber", "latest", False) == head
    assert rpc("eth_chainId") == remote.request("eth_chainId") == hex(777)
    assert rpc("eth_baseFee") == remote.request("eth_baseFee")
    rpc("evm_mine")
    mined = rpc("eth_getBlockByNumber", "latest", False)
    assert mined["parentHash"] == head["hash"]
    assert int(mined["number"], 16) == int(head["number"], 16) + 1
    assert mined["gasLimit"] == head["gasLimit"]
    assert int(mined["timestamp"], 16) - int(head["timestamp"], 16) == 1, "the clock begins at the block's time"


_READS: list[tuple[str, tuple[Any, ...]]] = [
    ("eth_getCode", (COUNTER, "0x3")),
    ("eth_getBalance", (COUNTER, "0x1")),
    ("eth_getBalance", (NOBODY, "0x1")),
    ("eth_getBalance", (DEV, "0x2")),
    ("eth_getTransactionCount", (DEV, "0x3")),
    ("eth_getTransactionCount", (DEV, "0x7")),
    ("eth_getStorageAt", (COUNTER, "0x0", "0x2")),
    ("eth_getStorageAt", (COUNTER, "0x0", "0x7")),
    ("eth_call", ({"to": COUNTER, "data": NUMBER}, "0x2")),
    ("eth_call", ({"to": COUNTER, "data": NUMBER}, "0x5")),
    ("eth_call", ({"to": COUNTER, "data": NUMBER}, "latest")),
    ("eth_estimateGas", ({"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"}, "0x3")),
    ("eth_getBlockByNumber", ("earliest", True)),
    ("eth_getBlockByNumber", ("0x6", True)),
    ("eth_getBlockByNumber", ("0x7", False)),
    ("eth_getBlockTransactionCountByNumber", ("0x6",)),
    ("eth_getBlockReceipts", ("0x6",)),
    ("eth_getTransactionByBlockNumberAndIndex", ("0x6", "0x1")),
    ("eth_getUncleCountByBlockNumber", ("0x6",)),
    ("eth_getHeaderByNumber", ("0x6",)),
    ("eth_getLogs", ({"fromBlock": "0x0", "toBlock": "0x7"},)),
    ("eth_getLogs", ({"fromBlock": "0x1", "toBlock": "latest", "address": COUNTER, "topics": [None]},)),
    ("eth_getLogs", ({"fromBlock": "0x1", "toBlock": "0x5", "address": NOBODY},)),
    ("eth_feeHistory", ("0x3", "0x5", [50.0])),
    ("eth_getProof", (COUNTER, ["0x0"], "0x5")),
    ("debug_traceBlockByNumber", ("0x6",)),
    ("debug_getRawTransactions", ("0x6",)),
    ("debug_getRawReceipts", ("0x6",)),
    ("eth_getRawTransactionByBlockNumberAndIndex", ("0x6", "0x1")),
    ("eth_getTransactionBySenderAndNonce", (DEV, "0x1")),
    ("trace_block", ("0x6",)),
    ("trace_filter", ({"fromBlock": "0x1", "toBlock": "0x7"},)),
    ("trace_filter", ({"fromBlock": "0x1", "toBlock": "0x6", "toAddress": [COUNTER], "after": 1, "count": 1},)),
    ("trace_call", ({"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"}, ["stateDiff"], "latest")),
    ("trace_call", ({"from": DEV, "to": COUNTER, "data": f"0x{SET}{0:064x}"}, ["trace", "stateDiff"], "0x7")),
]


@pytest.mark.parametrize(("method", "params"), _READS, ids=[f"{method}-{params[-1]}" for method, params in _READS])
def test_state_before_fork_matches_remote_node(
    method: str, params: tuple[Any, ...], rpc: Client, remote: NodeClient
) -> None:
    assert rpc(method, *params) == remote.request(method, *params)
    rpc("evm_mine")
    if "latest" not in params:
        assert rpc(method, *params) == remote.request(method, *params)


def test_traces_of_a_range_across_the_fork_are_those_of_both_nodes(
    rpc: Client, remote: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rpc("eth_sendTransaction", {"from": DEV, "to": NOBODY, "value": "0x1"})
    head = rpc("eth_blockNumber")
    older = remote.request("trace_filter", {"fromBlock": "0x6", "toBlock": hex(int(head, 16) - 1)})
    newest = rpc("trace_block", head)
    assert len(newest) == 1
    assert rpc("trace_filter", {"fromBlock": "0x6"}) == older + newest
    assert rpc("trace_filter", {"fromBlock": "0x6", "after": len(older)}) == newest
    assert rpc("trace_filter", {"fromBlock": "0x6", "toAddress": [NOBODY]}) == newest
    monkeypatch.setattr(parity, "MAX_TRACES", 2)
    assert len(older) > 2
    for after in range(len(older) + 2):
        assert rpc("trace_filter", {"fromBlock": "0x6", "after": after}) == (older + newest)[after : after + 2]


@pytest.mark.slow
def test_pre_fork_blocks_and_transactions_are_found_by_hash(rpc: Client, remote: NodeClient) -> None:
    block = remote.request("eth_getBlockByNumber", "0x6", False)
    for method in ("eth_getBlockByHash", "eth_getBlockTransactionCountByHash", "eth_getHeaderByHash"):
        extra = [False] if method == "eth_getBlockByHash" else []
        assert rpc(method, block["hash"], *extra) == remote.request(method, block["hash"], *extra) is not None
    for transaction in block["transactions"]:
        for method in (
            "eth_getTransactionByHash", "eth_getTransactionReceipt", "debug_traceTransaction", "trace_transaction",
            "eth_getRawTransactionByHash",
        ):  # fmt: skip
            assert rpc(method, transaction) == remote.request(method, transaction) is not None
        assert rpc("trace_get", transaction, []) == remote.request("trace_get", transaction, []) is not None
    raw = (block["hash"], "0x0")
    method = "eth_getRawTransactionByBlockHashAndIndex"
    assert rpc(method, *raw) == remote.request(method, *raw) is not None
    at = {"blockHash": block["hash"]}
    assert rpc("eth_getLogs", at) == remote.request("eth_getLogs", at)
    called = {"to": COUNTER, "data": NUMBER}
    assert rpc("eth_call", called, at) == remote.request("eth_call", called, at)
    for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockByHash"):
        assert rpc(method, "0x" + "ab" * 32) is None


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_transactions_on_a_fork_end_as_on_the_network_itself(evm: str) -> None:
    """Receipts with gas and logs for changed, cleared and reset slots, transfers and creations."""
    with Network(rules="ethereum", chain_id=777, clock=Clock(), evm=evm) as there, serving(there) as url:
        chains.build(url, CREATION, 8601)
        with NodeClient(url) as original, fork(url, evm=evm) as network:
            here = Client(Node(network))
            alice = hex(int(original.request("eth_getBalance", DEV, "latest"), 16))
            here("anvil_setBalance", DEV, alice)
            requests: list[dict[str, str]] = [
                {"to": COUNTER, "data": f"0x{SET}{0:064x}"},
                {"to": COUNTER, "data": f"0x{BUMP}"},
                {"to": COUNTER, "data": f"0x{SET}{5:064x}"},
                {"to": NOBODY, "value": "0x5"},
                {"data": CREATION},
                {"to": COUNTER, "data": "0xdeadbeef", "gas": "0x20000"},
            ]
            for request in requests:
                sent = {"from": DEV, "gas": "0x100000", **request}
                ours = here("eth_getTransactionReceipt", here("eth_sendTransaction", sent))
                theirs = original.request("eth_getTransactionReceipt", original.request("eth_sendTransaction", sent))
                for receipt in (ours, theirs):
                    for log in (receipt, *receipt["logs"]):
                        for own in ("blockHash", "blockTimestamp"):
                            del log[own]
                assert ours == theirs
            for method, params in (
                ("eth_getStorageAt", [COUNTER, "0x0"]), ("eth_getBalance", [DEV]), ("eth_getBalance", [NOBODY]),
                ("eth_getTransactionCount", [DEV]), ("eth_call", [{"to": COUNTER, "data": NUMBER}]),
            ):  # fmt: skip
                assert here(method, *params, "latest") == original.request(method, *params, "latest")
            here.node.close()


def test_the_forked_network_stays_as_it_is(rpc: Client, remote: NodeClient) -> None:
    before = remote.request("eth_call", {"to": COUNTER, "data": NUMBER}, "latest")
    rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{SET}{5:064x}"})
    assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 5
    assert remote.request("eth_call", {"to": COUNTER, "data": NUMBER}, "latest") == before


def test_logs_are_found_across_the_fork(rpc: Client, remote: NodeClient) -> None:
    earlier = remote.request("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x7"})
    sent = rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{SET}{5:064x}"})
    own = rpc("eth_getTransactionReceipt", sent)["logs"]
    assert earlier
    assert own
    assert rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}) == earlier + own
    assert rpc("eth_getLogs", {"fromBlock": "0x8", "toBlock": "latest"}) == own
    found = rpc("eth_newFilter", {"fromBlock": "0x0", "toBlock": "latest"})
    assert rpc("eth_getFilterLogs", found) == earlier + own


def test_contracts_see_the_hashes_of_blocks_before_the_fork(rpc: Client, remote: NodeClient) -> None:
    rpc("evm_mine")
    for number in (3, 7):
        code = f"0x60{number:02x}4060005260206000f3"  # BLOCKHASH(number)
        seen = rpc("eth_call", {"data": code}, "latest")
        assert seen == remote.request("eth_getBlockByNumber", hex(number), False)["hash"]


@pytest.mark.slow
def test_an_account_that_is_destroyed_does_not_come_back(rpc: Client) -> None:
    """It has a balance on the forked network; the contract created there destroys itself in its constructor."""
    assert rpc("eth_getBalance", PREFUNDED) == hex(77)
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {"from": DEV, "data": "0x33ff"}))
    assert (receipt["contractAddress"], receipt["status"]) == (PREFUNDED, "0x1")
    rpc("evm_mine")
    for at in ("latest", "0x8"):
        assert rpc("eth_getBalance", PREFUNDED, at) == "0x0"
        assert rpc("eth_getTransactionCount", PREFUNDED, at) == "0x0"
    asked = f"0x73{PREFUNDED[2:]}3f60005260206000f3"  # EXTCODEHASH
    assert int(rpc("eth_call", {"data": asked}, "latest"), 16) == 0, "an account that is none has no hash (EIP-1052)"
    assert rpc("eth_getBalance", PREFUNDED, "0x7") == hex(77)


@pytest.mark.slow
def test_fork_revert_restores_remote_storage(rpc: Client) -> None:
    snapshot = rpc("evm_snapshot")
    rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{SET}{0:064x}"})
    assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 0
    assert rpc("evm_revert", snapshot) is True
    assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 86016


def test_manual_state_overrides_remote_node(rpc: Client) -> None:
    slot = "0x" + "0" * 64
    rpc("anvil_setStorageAt", COUNTER, slot, f"0x{9:064x}")
    assert int(rpc("eth_getStorageAt", COUNTER, slot), 16) == 9
    rpc("anvil_setStorageAt", COUNTER, slot, slot)
    assert int(rpc("eth_getStorageAt", COUNTER, slot), 16) == 0
    rpc("anvil_setCode", COUNTER, "0x60005460005260206000f3")
    assert rpc("eth_call", {"to": COUNTER}) == slot
    assert rpc("eth_call", {"to": COUNTER}, "latest", {COUNTER: {"stateDiff": {slot: f"0x{7:064x}"}}}) == f"0x{7:064x}"
    assert rpc("eth_call", {"to": COUNTER}, "latest", {COUNTER: {"state": {}}}) == slot


def test_proofs_after_the_fork_are_refused_with_the_reason(rpc: Client) -> None:
    rpc("evm_mine")
    with pytest.raises(Failed, match="eth_getProof is not available after block 7, where this fork begins"):
        rpc("eth_getProof", COUNTER, [], "latest")


@pytest.mark.slow
def test_a_fork_may_begin_at_an_earlier_block(url: str, remote: NodeClient) -> None:
    for number, expected in ((3, 3), (-2, 5)):
        with fork(url, number) as network:
            rpc = Client(Node(network))
            assert int(rpc("eth_blockNumber"), 16) == expected
            called = {"to": COUNTER, "data": NUMBER}
            assert rpc("eth_call", called) == remote.request("eth_call", called, hex(expected))
            assert rpc("eth_getBlockByNumber", hex(expected + 1), False) is None
            later = remote.request("eth_getBlockByNumber", hex(expected + 1), True)
            assert rpc("eth_getBlockByHash", later["hash"], False) is None
            assert rpc("eth_getTransactionByHash", later["transactions"][0]["hash"]) is None
            rpc.node.close()


@pytest.mark.slow
def test_fork_folder_reopens_without_its_node(tmp_path: Path) -> None:
    with Network(rules="ethereum", chain_id=777, clock=Clock()) as there, serving(there) as url:
        chains.build(url, CREATION, 8601)
        with fork(url) as network:
            Client(Node(network))("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
        del network
        gc.collect()  # its engine, which has seen the code, is used again
        with fork(url, None, tmp_path / "chain") as network:
            rpc = Client(Node(network))
            rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
            block = rpc("eth_getBlockByNumber", "0x6", True)
            rpc.node.close()
    with Network(tmp_path / "chain", clock=Clock()) as network:
        rpc = Client(Node(network))
        assert network.chain_id == 777
        assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 86017
        rpc("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
        assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 86018
        assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}, "0x7"), 16) == 86016
        assert rpc("eth_getBlockByNumber", "0x6", True) == block
        with pytest.raises(Failed, match="no node responds at"):
            rpc("eth_getBalance", NOBODY)
        head = network.block_number
        rpc.node.close()
    assert heights(tmp_path / "chain") == [head - 1, head]
    assert [replay(tmp_path / "chain", height).difference for height in (head, head - 1)] == ["", ""]
    close_folder()


def test_a_served_fork_answers_on_every_thread(url: str, remote: NodeClient) -> None:
    with fork(url) as network, serving(network) as served, NodeClient(served) as client:
        sent = client.request("eth_sendTransaction", {"from": DEV, "to": COUNTER, "data": f"0x{BUMP}"})
        assert client.request("eth_getTransactionReceipt", sent)["blockNumber"] == "0x8"
        assert int(client.request("eth_call", {"to": COUNTER, "data": NUMBER}, "latest"), 16) == 86017
        older = remote.request("eth_getBlockByNumber", "0x6", False)["transactions"][0]
        assert client.request("eth_getTransactionReceipt", older) == remote.request("eth_getTransactionReceipt", older)
        assert client.request("debug_traceTransaction", sent)["failed"] is False
        with pytest.raises(NodeError, match="is not available after block 7"):
            client.request("eth_getProof", COUNTER, [], "latest")


def test_a_fork_may_begin_after_a_transaction(url: str, remote: NodeClient) -> None:
    """Block 6 has three transactions that each add one: after the second one the counter is two ahead of block 5."""
    block = remote.request("eth_getBlockByNumber", "0x6", False)
    source = ForkSource(url, transaction=bytes.fromhex(block["transactions"][1][2:]))
    with Network(rules="ethereum", fork=source, clock=Clock()) as network:
        rpc = Client(Node(network))
        own = rpc("eth_getBlockByNumber", "latest", False)
        assert (own["number"], own["timestamp"]) == (block["number"], block["timestamp"])
        assert own["transactions"] == block["transactions"][:2]
        assert own["baseFeePerGas"] == block["baseFeePerGas"]
        assert int(rpc("eth_call", {"to": COUNTER, "data": NUMBER}), 16) == 86014
        rpc.node.close()


@pytest.mark.slow
def test_a_fork_continues_with_the_excess_blob_gas(tmp_path: Path) -> None:
    """Cancun: seven blocks of six blobs leave an excess of 21 blobs, and a fee of 2 for the next two blocks."""
    options: Any = {"hardfork": "cancun", "clock": Clock()}
    with Network(rules="ethereum", **options) as there, serving(there) as url, NodeClient(url) as remote:
        for nonce in range(7):
            remote.request("eth_sendRawTransaction", f"0x{zeros(there.accounts[0], 6, BLOB_PROOFS, nonce=nonce).hex()}")
        for path in (":memory:", tmp_path / "chain"):
            with Network.fork(url, None, path, rules="ethereum", **options) as network:
                rpc = Client(Node(network))
                assert rpc("eth_blobBaseFee") == remote.request("eth_blobBaseFee") == "0x2"
                fees = remote.request("eth_feeHistory", "0x2", "latest", [])
                assert rpc("eth_feeHistory", "0x2", "latest", []) == fees
                rpc.node.close()
        with Network(tmp_path / "chain", **options) as network:
            network.mine(2)
            remote.request("anvil_mine", "0x2")
            rpc = Client(Node(network))
            for number, blobs in (("0x7", 18), ("0x8", 21), ("0x9", 18)):
                for ask in (rpc, remote.request):
                    assert ask("eth_getBlockByNumber", number, False)["excessBlobGas"] == hex(blobs << 17)
            rpc.node.close()


def test_a_fork_of_mainnet_has_the_blob_base_fee_of_bpo2() -> None:
    """An excess of 50,000,000 under BPO2 (fraction 11,684,671): floor(e^4.279) = 72; 14 blobs are its target."""
    block = {**BLOCK, "timestamp": hex(1_767_747_671), "excessBlobGas": hex(50_000_000), "blobGasUsed": hex(14 << 17)}
    with node({**SOUND, "eth_getBlockByNumber": block}) as url:
        with Network(rules="ethereum", fork=ForkSource(url, 7), account_count=1) as network:
            assert network.blob_base_fee == 72
            assert network.rules.hardfork == "Osaka"
        with Network(rules="ethereum", fork=ForkSource(url, 7, chain_id=5), account_count=1) as network:
            assert network.blob_base_fee > 20_000, "Osaka's own fraction, 5,007,716: e^9.98"


@pytest.mark.slow
def test_known_chain_id_is_not_requested_from_node(tmp_path: Path) -> None:
    """Chain IDs as anvil 1.7's: --fork-chain-id is that of the fork, and --chain-id overrides it."""
    requests: list[str] = []
    with node({name: SOUND[name] for name in SOUND if name != "eth_chainId"}, requests) as url:
        source = ForkSource(url, 7, chain_id=5)
        for chain_id, expected in ((None, 5), (9, 9)):
            with Network(rules="ethereum", fork=source, account_count=1, chain_id=chain_id) as network:
                rpc = Client(Node(network))
                assert (rpc("eth_chainId"), rpc("net_version")) == (hex(expected), str(expected))
                rpc.node.close()
        with Network(tmp_path / "chain", rules="ethereum", fork=source, account_count=1) as network:
            assert network.chain_id == 5
        other = ForkSource(url, chain_id=6)
        with pytest.raises(InvalidInput, match="is a fork of chain ID 5, not 6: omit the fork's chain ID"):
            Network(tmp_path / "chain", fork=other)
    assert "eth_getBlockByNumber" in requests
    assert "eth_chainId" not in requests


def test_the_chain_id_of_a_fork_selects_its_hardfork() -> None:
    """Block 7 of the node has a time of 5 s: before Prague on mainnet (chain ID 1), and unknown elsewhere."""
    with node(SOUND) as url:
        for chain_id, hardfork in ((1, "Cancun"), (5, "Osaka")):
            source = ForkSource(url, 7, chain_id=chain_id)
            with Network(rules="ethereum", fork=source, account_count=1) as network:
                assert network.rules.hardfork == hardfork


@pytest.mark.slow
def test_node_responses_are_cached_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    requests: list[str] = []
    with node({**SOUND, "eth_getLogs": []}, requests) as url:
        for caches, expected in ((True, 1), (True, 1), (None, 2), (False, 3)):
            with Network(rules="ethereum", fork=ForkSource(url, caches=caches), account_count=1) as network:
                rpc = Client(Node(network))
                rpc("eth_getStorageAt", NOBODY, "0x3", "0x7")
                rpc("eth_getCode", NOBODY)
                rpc("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x7"})
                rpc.node.close()
            counted = [requests.count(method) for method in ("eth_getStorageAt", "eth_getLogs")]
            assert counted == [expected] * 2, caches
    (file,) = tmp_path.rglob("*.sqlite")
    assert file.parent.name == "1", "the chain's id"


_HOSTILE: list[tuple[str, Any, str, list[Any], str | None]] = [
    ("eth_getBalance", "0x" + "f" * 65, "eth_getBalance", [NOBODY], "eth_getBalance: "),
    ("eth_getBalance", [], "eth_getBalance", [NOBODY], r"eth_getBalance: \[\]"),
    ("eth_getTransactionCount", "0x1" + "0" * 16, "eth_getTransactionCount", [NOBODY], "number of 64 bits"),
    ("eth_getCode", "0x123", "eth_getCode", [NOBODY], "expected 0x and pairs of hex digits"),
    (
        "eth_getCode", "0x" + "00" * (MAX_CODE_BYTES + 1), "eth_call", [{"to": NOBODY}],
        f"expected at most {MAX_CODE_BYTES} bytes",
    ),
    ("eth_getStorageAt", "0x" + "00" * 33, "eth_call", [{"to": NOBODY}], "eth_getStorageAt: "),
    ("eth_getStorageAt", 503, "eth_call", [{"to": NOBODY}], "returned HTTP 503"),
    ("eth_getBlockByNumber", [], "eth_getBlockByNumber", ["0x5", False], "it is not an object"),
    ("eth_getBlockByNumber", {**BLOCK, "number": "0x6"}, "eth_getBlockByNumber", ["0x5", False], "block 6 instead"),
    ("eth_getBlockByNumber", {**BLOCK, "number": "0x5"}, "eth_getBlockByNumber", ["0x5", True], "list of transactions"),
    ("eth_getBlockByNumber", {"number": "five"}, "eth_getBlockByNumber", ["0x5", True], "that is not a number"),
    ("eth_getTransactionByHash", {"hash": "0x1"}, "eth_getTransactionByHash", [HASH], None),
    ("eth_getTransactionByHash", {"hash": "0x" + "22" * 32, "blockNumber": "0x1"}, "eth_getTransactionByHash", [HASH],
     "another transaction"),
    ("eth_getTransactionReceipt", "none", "eth_getTransactionReceipt", [HASH], "it is not an object"),
    ("eth_getLogs", {"a": 1}, "eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x7"}], "not a list of objects"),
    ("eth_getLogs", ["0x1"], "eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x7"}], "not a list of objects"),
    ("eth_getLogs", {"error": {"code": -32000, "message": "range too large"}}, "eth_getLogs",
     [{"fromBlock": "0x1", "toBlock": "0x7"}], "range too large"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("hostile", "answer", "method", "params", "words"), _HOSTILE)
def test_a_hostile_answer_is_an_error_that_names_it(
    hostile: str, answer: Any, method: str, params: list[Any], words: str | None
) -> None:
    results = dict(SOUND)
    with node(results) as url:
        options = RequestOptions(retries=0)
        source = ForkSource(url, options=options)
        with Network(rules="ethereum", fork=source, account_count=1, evm="py-evm") as network:
            rpc = Client(Node(network))
            results[hostile] = answer
            if words is None:
                assert rpc(method, *params) is None
            else:
                with refusal(-32000, words) as failed:
                    rpc(method, *params)
                assert "internal" not in failed.value.message
            rpc.node.close()


@pytest.mark.slow
def test_remote_failure_mid_transaction_leaves_chain_unchanged() -> None:
    """The node fails within a block; the next transaction succeeds once it responds again."""
    results = dict(SOUND)
    with (
        node(results) as url,
        Network(rules="ethereum", fork=ForkSource(url, options=RequestOptions(retries=0)), account_count=1) as network,
    ):
        rpc, call = Client(Node(network)), {"from": DEV, "to": NOBODY, "gas": "0x20000"}
        rpc("anvil_setCode", DEV, "0x")  # this node says that every address has code
        results["eth_getStorageAt"] = 503
        with pytest.raises(Failed, match="returned HTTP 503"):
            rpc("eth_sendTransaction", call)
        assert (rpc("eth_blockNumber"), rpc("eth_getTransactionCount", DEV)) == ("0x7", "0x1")
        results["eth_getStorageAt"] = SOUND["eth_getStorageAt"]
        assert rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", call))["status"] == "0x1"
        rpc.node.close()


@pytest.mark.slow
def test_the_hardfork_of_a_known_network_is_that_of_the_block() -> None:
    """Mainnet: Prague from 1746612311 on, Osaka from 1764798551 (go-ethereum params/config.go), Cancun before."""
    times = [(1_746_612_310, "Cancun"), (1_746_612_311, "Prague"), (1_764_798_550, "Prague"), (1_764_798_551, "Osaka")]
    for timestamp, hardfork in times:
        with node({**SOUND, "eth_getBlockByNumber": {**BLOCK, "timestamp": hex(timestamp)}}) as url:
            with Network.fork(url, rules="ethereum", account_count=1) as network:
                assert network.rules.hardfork == hardfork
                assert network.head.timestamp == timestamp
            with Network.fork(url, rules="ethereum", account_count=1, hardfork="Osaka") as network:
                assert network.rules.hardfork == "Osaka"


@pytest.mark.slow
def test_gas_limit_and_fees_follow_those_of_the_block() -> None:
    """A block of 30,000,000 gas that is full: the base fee rises by an eighth (EIP-1559)."""
    block = {**BLOCK, "gasLimit": hex(60_000_000), "gasUsed": hex(60_000_000), "baseFeePerGas": hex(8_000)}
    with node({**SOUND, "eth_getBlockByNumber": block}) as url:
        with Network.fork(url, rules="ethereum", account_count=1) as network:
            rpc = Client(Node(network))
            rpc("evm_mine")
            mined = rpc("eth_getBlockByNumber", "latest", False)
            assert (int(mined["gasLimit"], 16), int(mined["baseFeePerGas"], 16)) == (60_000_000, 9_000)
            rpc.node.close()
        with Network.fork(url, rules="ethereum", account_count=1, gas_limit=12_000_000) as network:
            network.mine()
            assert network.rules.settings.gas_limit_of(network.head) == 12_000_000
