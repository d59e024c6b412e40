"""Control methods, forks and state files compared with anvil.

- Control methods compared with anvil: the same requests must give the same responses.
- Forks and state files compared with anvil: both fork the same anvil node, and each loads the other's state.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localnet import Artifact, Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.dev.state import anvil_state
from tests.clients.conftest import EXAMPLE, PROJECT, installed, node_process
from tests.localnet.conftest import ARTIFACTS
from tests.web_server import reserved_port

pytestmark = pytest.mark.long

ALICE, BOB = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
NOBODY = "0x" + "99" * 20


@contextmanager
def anvil(*options: str) -> Iterator[str]:
    folder = installed(PROJECT / "build" / "clients", EXAMPLE)
    program = folder / "node_modules" / ".bin" / "anvil"
    with reserved_port() as port:
        process = subprocess.Popen([program, "--port", str(port), "--silent", *options])
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
            while True:
                try:
                    with NodeClient(url) as client:
                        client.request("eth_chainId")
                    break
                except NodeError:
                    assert time.monotonic() < deadline, "anvil does not start"
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)


class Both:
    """Sends requests to anvil and to our node."""

    def __init__(self, theirs: NodeClient, ours: NodeClient) -> None:
        self.theirs, self.ours = theirs, ours

    def ask(self, method: str, *params: Any) -> Any:
        """Return the common response of both nodes; fail if they differ."""
        theirs, ours = self.each(method, *params)
        assert ours == theirs, method
        return ours

    def each(self, method: str, *params: Any) -> tuple[Any, Any]:
        return self.theirs.request(method, *params), self.ours.request(method, *params)

    def refuses(self, method: str, *params: Any) -> None:
        for client in (self.theirs, self.ours):
            with pytest.raises(NodeError):
                client.request(method, *params)

    def send(self, **request: str) -> str:
        """Send a transaction of the first account to both nodes; return the contract address in the receipt."""
        hashes = self.each("eth_sendTransaction", {"from": ALICE, **request})
        while (theirs := self.theirs.request("eth_getTransactionReceipt", hashes[0])) is None:
            time.sleep(0.01)  # anvil answers before it mines
        ours = self.ours.request("eth_getTransactionReceipt", hashes[1])
        assert (theirs["status"], theirs["contractAddress"]) == (ours["status"], ours["contractAddress"])
        return str(ours["contractAddress"])


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with anvil() as theirs, node_process(tmp_path) as ours, NodeClient(theirs) as one, NodeClient(ours) as other:
        yield Both(one, other)


@pytest.fixture
def coin(both: Both, clients: Path) -> tuple[str, Artifact]:
    """Deploy OpenZeppelin's ERC-20 on both nodes."""
    artifact = Artifact.load(clients / "contracts" / "out" / "Coin.sol" / "Coin.json")
    return both.send(data=f"0x{artifact.interface.encode_constructor(artifact.bytecode, ALICE).hex()}"), artifact


def test_tokens_are_dealt(both: Both, coin: tuple[str, Artifact]) -> None:
    token, artifact = coin

    def asked(function: str, *arguments: str) -> int:
        data = f"0x{artifact.interface.encode_call(function, *arguments).hex()}"
        return int(both.ask("eth_call", {"to": token, "data": data}, "latest"), 16)

    supply = asked("totalSupply")
    for method, amount in (("anvil_dealERC20", 7), ("hardhat_dealERC20", 8), ("anvil_setERC20Balance", 9)):
        both.ask(method, BOB, token, hex(amount))
        assert asked("balanceOf", BOB) == amount
    assert asked("totalSupply") == supply
    both.ask("anvil_setERC20Allowance", BOB, ALICE, token, hex(5))
    assert (asked("allowance", BOB, ALICE), asked("allowance", ALICE, BOB)) == (5, 0)
    both.refuses("anvil_dealERC20", BOB, NOBODY, "0x1")


def test_anvil_reorg_replaces_blocks(both: Both) -> None:
    both.ask("anvil_mine", "0x3")
    gone = both.each("eth_getBlockByNumber", "latest", False)
    payment = {"from": ALICE, "to": NOBODY, "value": "0x5"}
    both.ask("anvil_reorg", 2, [[payment, 1]])
    assert both.ask("eth_blockNumber") == "0x3"
    assert [both.ask("eth_getBlockTransactionCountByNumber", hex(height)) for height in range(4)] == [
        "0x0", "0x0", "0x0", "0x1"
    ]  # fmt: skip
    assert both.ask("eth_getBalance", NOBODY, "latest") == "0x5"
    assert both.theirs.request("eth_getBlockByHash", gone[0]["hash"], False) is None
    assert both.ours.request("eth_getBlockByHash", gone[1]["hash"], False) is None
    both.refuses("anvil_reorg", 9, [])
    both.refuses("anvil_reorg", 1, [[payment, 1]])
    assert both.ask("eth_blockNumber") == "0x3"


def test_names_of_other_nodes_do_the_same(both: Both) -> None:
    both.ask("tenderly_setBalance", NOBODY, "0x10")
    both.ask("hardhat_addBalance", NOBODY, "0x1")
    both.ask("tenderly_addBalance", NOBODY, "0x2")
    assert both.ask("eth_getBalance", NOBODY, "latest") == "0x13"
    both.ask("evm_setAccountNonce", NOBODY, "0x7")
    assert both.ask("eth_getTransactionCount", NOBODY, "latest") == "0x7"
    both.ask("hardhat_autoImpersonateAccount", True)
    both.ask("anvil_setBalance", NOBODY, hex(10**20))
    both.each("eth_sendTransaction", {"from": NOBODY, "to": BOB, "value": "0x1"})
    assert both.ask("eth_getTransactionCount", NOBODY, "latest") == "0x8"
    both.ask("anvil_setAutomine", False)
    both.each("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
    both.ask("hardhat_dropAllTransactions")
    both.ask("anvil_mine", "0x1")
    assert both.ask("eth_getBlockTransactionCountByNumber", "latest") == "0x0"
    for on in (False, True):
        both.ask("anvil_setLoggingEnabled", on)
        both.ask("hardhat_setLoggingEnabled", on)


def test_a_transaction_and_its_receipt_are_one_request(both: Both) -> None:
    theirs, ours = both.each("eth_sendTransactionSync", {"from": ALICE, "to": BOB, "value": "0x1"})
    for field in ("status", "from", "to", "blockNumber", "transactionIndex", "contractAddress", "logs", "type"):
        assert ours[field] == theirs[field], field


def test_nodes_say_the_same_of_themselves_in_the_same_words(both: Both) -> None:
    for client in (both.theirs, both.ours):
        genesis = client.request("eth_getBlockByNumber", "0x0", False)
        assert client.request("anvil_getGenesisTime") == int(genesis["timestamp"], 16)
    for method in ("anvil_nodeInfo", "anvil_metadata"):
        theirs, ours = both.each(method)
        assert _shape(ours) == {name: kind for name, kind in _shape(theirs).items() if name in _shape(ours)}, method


def _shape(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _shape(field) if isinstance(field, dict) else type(field) for name, field in value.items()}


def test_otterscan_methods_match_anvil(tmp_path: Path) -> None:
    child = "600160005360016000f3"
    runtime = f"69{child}600052600a60166000f0506007600a60166000f5506000600060006000600560995af15000"
    init = f"60{len(runtime) // 2:02x}600c60003960{len(runtime) // 2:02x}6000f3{runtime}"
    with (
        anvil() as theirs,
        node_process(tmp_path, "--rules", "ethereum", "--index") as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        both = Both(one, other)
        factory = both.send(data=f"0x{init}", gas="0x989680")
        for request in (
            {"to": factory, "value": "0x64", "gas": "0x989680"}, {"to": NOBODY, "value": "0x7"},
            {"data": "0x600b380380600b5f395ff3" + "5f5ffd", "gas": "0x989680"},
        ):  # fmt: skip
            both.send(**request)
        sent = [
            both.each("eth_getTransactionByBlockNumberAndIndex", hex(height), "0x0") for height in range(1, 5)
        ]  # fmt: skip
        for a, b in sent:
            responses = (
                one.request("ots_getInternalOperations", a["hash"]),
                other.request("ots_getInternalOperations", b["hash"]),
            )
            assert responses[0] == responses[1]
            calls = (one.request("ots_traceTransaction", a["hash"]), other.request("ots_traceTransaction", b["hash"]))
            assert calls[0] == [call for call in calls[1] if not call["type"].startswith("CREATE")]  # anvil has none
            error = one.request("ots_getTransactionError", a["hash"])
            assert error == other.request("ots_getTransactionError", b["hash"])
        for address in (factory, NOBODY, ALICE):
            both.ask("ots_hasCode", address, "latest")
            assert _creator(one, address) == _creator(other, address)
            # At a page that is full anvil ends at the next block, whether it has more of the address or not.
            pages = ((0, 25), (0, 2), (3, 1), (2, 25)) if address == ALICE else ((0, 25), (2, 25))
            for direction in ("Before", "After"):
                for page in pages:
                    asked = (f"ots_searchTransactions{direction}", address, *page)
                    assert _history(one, *asked) == _history(other, *asked), asked
        for height in range(5):
            shown = both.each("ots_getBlockDetails", height)
            assert [each["block"]["transactionCount"] for each in shown] == [int(height > 0)] * 2
            assert shown[0]["issuance"] == shown[1]["issuance"]
            assert set(shown[0]["block"]) - set(shown[1]["block"]) <= {"requestsHash", "withdrawals", "withdrawalsRoot"}
        assert both.ask("ots_getApiLevel") == 8


def _history(client: NodeClient, *request: Any) -> tuple[list[str], bool, bool]:
    found = client.request(*request)
    return [each["blockNumber"] for each in found["txs"]], found["firstPage"], found["lastPage"]


def _creator(client: NodeClient, address: str) -> Any:
    found = client.request("ots_getContractCreator", address)
    return found and found["creator"]


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
