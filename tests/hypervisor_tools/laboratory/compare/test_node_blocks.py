"""`hypervisor compare --fork-url`: transactions of a second local node that reach a contract, under two sets of rules.

Expected gas is that of go-ethereum's transition tool (v1.17.10), from the accounts before each transaction.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, checksummed, create_address
from hypervisor_tools.laboratory.compare.node_blocks import MAX_BLOCKS, MAX_GAS
from hypervisor_tools.laboratory.drafts import read_draft
from localnet import Network
from localnet.fork import forking
from localnet.fork.response_cache import ResponseCache, cache_file
from localnet.rpc.node import Node
from runtimes.evm.forks import forks
from tests.command import run
from tests.hypervisor_tools.soltest.contracts import artifact, forge_out
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client
from tests.web_server import replying

RECORDED = Path(__file__).parent / "recorded" / "ethereum.jsonl.gz"
"""Responses of the node that `fill` made, as (block, request, response): `test_second_run_is_offline` wrote them."""
GETH = [(54_670, 218_586), (43_249, 125_169), (28_636, 30_136), (50_739, 140_159), (21_337, 21_790), (43_249, 125_169)]
"""Gas under Osaka and Amsterdam of the transactions of `fill` that reach the contract, by go-ethereum's `evm t8n`."""
Edit = Callable[[str, list[Any], dict[str, Any]], dict[str, Any]]
"""Change to a response of a node, given the method and parameters."""
SENDER = EthAddress(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
STORE_AT, CALL_AT, SPARSE_AT = (create_address(SENDER, nonce) for nonce in range(3))
STORE = "60003560005500"  # stores the first word of its input
CALL = f"60055f525f5f60205f5f73{STORE_AT.hex()}5af100"  # calls it with 5, without an event
SPARSE = f"60065f525f5f60205f5f73{STORE_AT.hex()}63{{:08x}}f15f5500"  # the same with its own gas; stores the result
STRICT = f"60065f525f5f60205f5f73{STORE_AT.hex()}611770f1602957" + "5f5ffd5b00"
"""The same with 6,000 gas, and reverts if that does not suffice for a changed slot: 5,000 under Osaka (EIP-2929)."""
ELSEWHERE = f"0x{'54' * 20}"


def node_of(network: Network) -> Client:
    return Client(Node(network))


@contextmanager
def served(client: Client, edit: Edit = lambda _method, _params, response: response) -> Iterator[str]:
    """Serve a node whose responses `edit` changes."""
    lock = Lock()

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        with lock:
            found = client.send(json.dumps(request).encode())
        return edit(request["method"], request["params"], found)

    with replying(reply) as url:
        yield url


def report(url: str, rules: str, *arguments: object, contract: bytes = STORE_AT, status: int = 1) -> dict[str, Any]:
    found = run(
        "compare", "--fork-url", url, "--contract", f"0x{contract.hex()}", "--rules", rules, "--json", "--workers", 1,
        *arguments,
    )  # fmt: skip
    assert found.exit_code == status, found.stderr
    decoded: dict[str, Any] = json.loads(found.stdout)
    return decoded


def send(client: Client, to: str | None, data: str, gas: int, **fields: object) -> str:
    receiver = {} if to is None else {"to": to}
    sent = {"from": f"0x{SENDER.hex()}", "data": f"0x{data}", "gas": hex(gas), **receiver, **fields}
    found: str = client("eth_sendTransaction", sent)
    return found


def deploy(client: Client, code: str, gas: int) -> str:
    return send(client, None, f"60{len(code) // 2:02x}600c60003960{len(code) // 2:02x}6000f3{code}", gas)


def fill(client: Client, gas: int = 400_000, sparse_gas: int = 25_000) -> list[str]:
    """Deploy three contracts, then make three blocks of one transaction and one of four.

    Return the hashes of all transactions that reach the first contract.
    """
    store, call, sparse = (f"0x{each.hex()}" for each in (STORE_AT, CALL_AT, SPARSE_AT))
    made = [deploy(client, code, gas) for code in (STORE, CALL, SPARSE.format(sparse_gas))]
    single = [send(client, to, data, gas) for to, data in ((store, f"{7:064x}"), (call, ""), (sparse, ""))]
    client("evm_setAutomine", False)
    several = [
        send(client, to, data, gas)
        for to, data in ((ELSEWHERE, ""), (store, f"{0:064x}"), (ELSEWHERE, "01"), (store, f"{9:064x}"))
    ]
    client("evm_mine")
    return [made[0], *single, several[1], several[3]]


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def gas_by_hash(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {change["message"]: tuple(change["gas"]) for change in found["changes"]}


@pytest.mark.slow
def test_gas_under_both_forks_is_that_of_geth(osaka: tuple[Client, list[str]]) -> None:
    client, hashes = osaka
    with served(client) as url:
        found = report(url, "osaka,amsterdam")
    assert (found["messages"], found["skipped"]) == (6, [])
    assert gas_by_hash(found) == dict(zip(hashes, GETH, strict=True))
    of_code = {"name": "OnStateGas", "a": [0, 0], "b": [1, len(STORE) // 2 * 1530 * 1000]}  # EIP-8037: 1,530 per byte
    assert of_code in found["changed"]["charges"]
    for change in found["changes"]:
        rows = change["explanation"]["rows"]
        assert sum(row["gas"][1] - row["gas"][0] for row in rows) == change["gas"][1] - change["gas"][0]
        assert all(reason["sources"] for row in rows for reason in row["reasons"])


@pytest.mark.slow
def test_a_contract_that_no_transaction_reaches_is_no_success(osaka: tuple[Client, list[str]]) -> None:
    with served(osaka[0]) as url:
        assert report(url, "osaka,amsterdam", contract=b"\x12" * 20, status=2)["cases"] == 0


@pytest.mark.slow
def test_recorded_responses_are_compared_offline() -> None:
    url = "https://node.example/key"
    path = cache_file(31337, url)
    assert path is not None
    with closing(ResponseCache(path)) as cache:
        for line in gzip.decompress(RECORDED.read_bytes()).splitlines():
            cache.put(*json.loads(line))
    found = report(url, "osaka,amsterdam", "--offline")
    assert found["skipped"] == []
    assert [tuple(change["gas"]) for change in found["changes"]] == GETH


@pytest.fixture(scope="module")
def osaka() -> Iterator[tuple[Client, list[str]]]:
    """Return a node under Osaka's rules, and the hashes of the transactions that reach the first contract."""
    with Network(rules="ethereum", clock=Clock()) as network:
        client = node_of(network)
        yield client, fill(client)


@pytest.fixture(scope="module")
def filecoin() -> Iterator[tuple[Client, list[str]]]:
    """Return a node under Filecoin's rules, and the hashes of the transactions that reach the first contract."""
    with Network(clock=Clock()) as network:
        client = node_of(network)
        yield client, fill(client, 50_000_000, 5_000_000)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hard fork that differs from Osaka in the price of a slot's first value, by 7."""
    fork = forks.OSAKA.successor("DearSlot", gas=forks.OSAKA.gas._replace(set_slot=forks.OSAKA.gas.set_slot + 7))
    monkeypatch.setattr(forks, "FORKS", {**forks.FORKS, "DearSlot": fork})
    return "osaka,dearslot"  # forks are cached by name: no other test has this one


@pytest.mark.slow
def test_planted_price_of_a_hard_fork_is_the_reason(osaka: tuple[Client, list[str]], planted: str) -> None:
    client, hashes = osaka
    with served(client) as url:
        found = report(url, planted)
    changes = {change["message"]: change for change in found["changes"]}
    assert {each: b - a for each, (a, b) in gas_by_hash(found).items()} == {hashes[1]: 7, hashes[3]: 7, hashes[5]: 7}
    why = changes[hashes[1]]["explanation"]
    assert why["first_difference"] == f"SSTORE at byte 5 of {checksummed(STORE_AT)}: 22,100 -> 22,107 gas"
    assert why["reasons"] == [{"name": "set_slot", "values": [20_000, 20_007], "sources": []}]
    assert [(row["name"], row["gas"]) for row in why["rows"]] == [("SSTORE", [22_100, 22_107])]
    assert changes[hashes[1]]["kinds"] == ["gas"]


SOURCE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Store {
    uint256 word;
    function set(uint256 value) external {
        word = value;
    }
}
"""


@pytest.mark.slow
def test_an_instruction_of_a_project_is_named_by_source_line(
    osaka: tuple[Client, list[str]], planted: str, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Store.sol").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    spans = f"{SOURCE.index('value;')}:5:0:-;;;{SOURCE.index('word = value')}:12:0:-;"
    deployed = {"object": f"0x{STORE}", "sourceMap": spans}
    forge_out(tmp_path, "src/Store.sol", SOURCE, {"Store": {**artifact({}), "deployedBytecode": deployed}})
    client, _ = osaka
    with served(client) as url:
        found = report(url, planted, "--project", tmp_path)
    first = found["changes"][0]["explanation"]["first_difference"]
    assert first == "SSTORE at Store.set (src/Store.sol:6): 22,100 -> 22,107 gas"


def dear_blocks(folder: Path) -> Path:
    """Write a draft of nv30 with a price for an opened block that is higher by 7."""
    file = folder / "nv30.toml"
    file.write_text("name = 'nv30'\nnumber = 30\nbase = 29\n[prices]\nblock_open_flat = 187_447\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_planted_price_of_a_draft_is_the_reason(filecoin: tuple[Client, list[str]], tmp_path: Path) -> None:
    draft = dear_blocks(tmp_path)
    client, hashes = filecoin
    with served(client) as url:
        found = report(url, f"nv29,{draft}")
    assert (found["messages"], found["skipped"]) == (len(hashes), [])
    assert [row["name"] for row in found["changed"]["charges"]] == ["OnBlockOpenBase"]
    assert set(gas_by_hash(found)) == set(hashes)
    for change in found["changes"]:
        assert change["first"]["words"][0].startswith("OnBlockOpenBase ")
        reason = {"name": "block_open_flat", "values": ["187,440", "187,447"], "sources": ["nv30"]}
        assert change["explanation"]["reasons"] == [reason]
    version = read_draft(draft)
    with Network(clock=Clock(), network=version.number, overlay=version.overlay) as network:
        drafted = node_of(network)
        fill(drafted, 50_000_000, 5_000_000)
        for message, (_, gas) in gas_by_hash(found).items():
            assert int(drafted("eth_getTransactionReceipt", message)["gasUsed"], 16) == gas


def without(*methods: str) -> Edit:
    """Return an edit that makes a node unable to answer some methods."""
    error = {"code": -32601, "message": "the method does not exist"}
    return lambda method, _, response: {"jsonrpc": "2.0", "id": 1, "error": error} if method in methods else response


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["osaka", "filecoin"])
def test_calls_inside_other_contracts_are_found_by_traces_only(kind: str, request: pytest.FixtureRequest) -> None:
    client, hashes = request.getfixturevalue(kind)
    rules = {"osaka": "osaka,prague", "filecoin": "nv29,nv28"}[kind]
    geth, bare = without("trace_block"), without("trace_block", "debug_traceBlockByNumber")
    with served(client) as every, served(client, geth) as without_parity, served(client, bare) as without_traces:
        assert report(every, rules, status=0)["messages"] == len(hashes)
        assert report(without_parity, rules, status=0)["messages"] == len(hashes)
        found = report(without_traces, rules, status=0)
    assert found["messages"] == len(hashes) - 2
    assert [each["case"] for each in found["skipped"]] == ["calls inside other contracts"]
    assert "neither trace_block nor debug_traceBlockByNumber" in found["skipped"][0]["reason"]


@pytest.mark.slow
def test_failure_for_the_gas_limit_is_told_from_one_for_fixed_gas() -> None:
    with Network(rules="ethereum", clock=Clock()) as network:
        client = node_of(network)
        deploy(client, STORE, 400_000)
        deploy(client, STRICT, 400_000)
        poor = client("eth_accounts")[9]
        rest = int(client("eth_getBalance", poor, "latest"), 16) - 10**15
        send(client, ELSEWHERE, "", 21_000, **{"from": poor, "value": hex(rest)})
        new = send(client, f"0x{STORE_AT.hex()}", f"{7:064x}", 60_000, **{"from": poor})
        changed = send(client, f"0x{CALL_AT.hex()}", "", 400_000)
        with served(client) as url:
            report_of = report(url, "osaka,amsterdam")
    found = {change["message"]: change for change in report_of["changes"]}
    assert found[new]["ends"] == ["exit 0 OK, success", "exit 7 SYS_OUT_OF_GAS, out of gas"]
    assert found[new]["enough_gas"] == {"succeeded": True, "end": "exit 0 OK, success", "gas": GETH[1][1]}
    assert found[changed]["ends"][0] == "exit 0 OK, success"
    assert found[changed]["enough_gas"]["succeeded"] is False
    assert found[changed]["enough_gas"]["end"].startswith("exit 33 EVM_CONTRACT_REVERTED")


@pytest.mark.slow
def test_receipts_are_read_one_by_one_from_a_node_like_hardhats(osaka: tuple[Client, list[str]]) -> None:
    client, hashes = osaka
    with served(client, without("eth_getBlockReceipts")) as url:
        found = report(url, "osaka,amsterdam")
    assert found["skipped"] == []
    assert gas_by_hash(found) == dict(zip(hashes, GETH, strict=True))


@pytest.mark.slow
def test_transaction_with_the_contract_in_its_access_list_reaches_it() -> None:
    with Network(rules="ethereum", clock=Clock()) as network:
        client, store = node_of(network), f"0x{STORE_AT.hex()}"
        deploy(client, STORE, 400_000)
        listed = send(client, ELSEWHERE, "", 60_000, accessList=[{"address": store, "storageKeys": []}])
        send(client, ELSEWHERE, "", 60_000)
        with served(client, without("trace_block", "debug_traceBlockByNumber")) as url:
            found = report(url, "osaka,amsterdam")
    assert found["messages"] == 2
    assert listed in gas_by_hash(found)


@pytest.mark.slow
def test_blocks_without_state_are_reported_and_the_others_compared(osaka: tuple[Client, list[str]]) -> None:
    client, hashes = osaka

    def pruned(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getStorageAt" and int(params[2], 16) < 4:
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "missing trie node 12"}}
        return response

    with served(client, pruned) as url:
        found = report(url, "osaka,amsterdam")
    assert [each["case"] for each in found["skipped"]] == ["block 4"]
    assert "does not have the state of block 3" in found["skipped"][0]["reason"]
    assert set(gas_by_hash(found)) == {hashes[0], *hashes[2:]}


@pytest.mark.slow
def test_null_rounds_are_no_errors() -> None:
    with Network(clock=Clock()) as network:
        client = node_of(network)
        deploy(client, STORE, 50_000_000)
        network.mine(null_rounds=2)
        send(client, f"0x{STORE_AT.hex()}", f"{7:064x}", 50_000_000)
        lotus = {"jsonrpc": "2.0", "id": 1, "error": {"code": 12, "message": "requested epoch was a null round (2)"}}

        def answer(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
            return lotus if method == "eth_getBlockByNumber" and params[0] == "0x2" else response

        with served(client, answer) as url:
            found = report(url, "nv29,nv28", status=0)
    assert (found["messages"], found["skipped"]) == (2, [])


@pytest.mark.slow
def test_tipsets_without_state_are_reported_and_the_others_compared(
    filecoin: tuple[Client, list[str]], tmp_path: Path
) -> None:
    client, hashes = filecoin
    lost = client("Filecoin.ChainGetTipSetByHeight", 4, None)["Blocks"][0]["ParentStateRoot"]

    def pruned(method: str, params: list[Any], response: dict[str, Any]) -> dict[str, Any]:
        if method == "Filecoin.ChainReadObj" and params == [lost]:
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "ipld: could not find it"}}
        return response

    with served(client, pruned) as url:
        found = report(url, f"nv29,{dear_blocks(tmp_path)}")
    assert [each["case"] for each in found["skipped"]] == ["block 4"]
    assert lost["/"] in found["skipped"][0]["reason"]
    assert set(gas_by_hash(found)) == {hashes[0], *hashes[2:]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["osaka", "filecoin"])
def test_second_run_is_offline(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, _ = request.getfixturevalue(kind)
    rules = {"osaka": "osaka,amsterdam", "filecoin": f"nv29,{dear_blocks(tmp_path)}"}[kind]
    monkeypatch.setattr(forking, "is_local", lambda _url: False)  # responses of nodes on this machine are not cached
    with served(client) as url:
        online = report(url, rules)
    assert report(url, rules, "--offline") == online  # the node is gone


@pytest.mark.slow
def test_offline_run_without_cache_names_what_is_missing() -> None:
    found = run(
        "compare", "--fork-url", "http://127.0.0.1:1", "--contract", ELSEWHERE, "--rules", "osaka,prague", "--offline"
    )  # fmt: skip
    assert found.exit_code == 2
    assert "eth_chainId" in found.stderr
    assert "--offline prevents a request" in found.stderr


def replaced(method: str, change: Callable[[Any], Any]) -> Edit:
    """Return an edit that changes a method's results."""
    return lambda asked, _, response: (
        {**response, "result": change(response["result"])} if asked == method else response
    )


def with_each(key: str, value: object) -> Callable[[Any], Any]:
    """Return a change of a field of each object in a list."""
    return lambda found: [{**each, key: value} for each in found]


def in_transactions(key: str, value: object) -> Callable[[Any], Any]:
    """Return a change of a field of each whole transaction of a block."""

    def changed(each: Any) -> Any:
        return {**each, key: value} if isinstance(each, dict) else each  # a hash in a block without whole transactions

    return lambda block: {**block, "transactions": [changed(each) for each in block["transactions"]]}


WRONG = [
    ("eth_getBlockReceipts", with_each("gasUsed", "0x5209"), "the node's receipt: success, gas 21,001"),
    ("eth_getBlockReceipts", with_each("status", "0x0"), "the node's receipt: failure, gas"),
    ("eth_getBlockReceipts", with_each("gasUsed", "many"), "expected a hex quantity, found 'many'"),
    ("eth_getBlockReceipts", lambda _: [], "the node's receipt: None"),
    ("eth_getBlockReceipts", lambda _: {"a": 1}, "malformed result of eth_getBlockReceipts"),
    ("eth_getBlockReceipts", with_each("logs", 5), "malformed block"),
    ("eth_getBlockByNumber", lambda block: block if block["number"] > "0x1" else None, "has no block"),
    ("eth_getBlockByNumber", lambda block: {**block, "transactions": [1]}, "transactions are not a list of objects"),
    ("eth_getBlockByNumber", lambda block: {**block, "parentHash": "0x1"}, "expected"),
    ("eth_getBlockByNumber", in_transactions("gas", hex(MAX_GAS + 1)), f"at most {MAX_GAS:,}"),
    ("eth_getBlockByNumber", in_transactions("type", "0x7e"), "has the type 0x7e"),
    ("eth_getBlockByNumber", in_transactions("from", ELSEWHERE), "is not reproduced"),
    ("eth_getBlockByNumber", in_transactions("hash", "0x12"), "expected 32 bytes"),
    ("eth_getStorageAt", lambda _: "0x" + "11" * 32, "is not reproduced"),
    ("eth_getBalance", lambda _: "0x0", "is not reproduced"),
    ("trace_block", with_each("action", {"to": f"0x{STORE_AT.hex()}"}), ""),
    ("trace_block", with_each("transactionHash", 1), "malformed block"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "change", "words"), WRONG)
def test_wrong_responses_are_reported_by_block(
    osaka: tuple[Client, list[str]], method: str, change: Callable[[Any], Any], words: str
) -> None:
    with served(osaka[0], replaced(method, change)) as url:
        found = run(
            "compare", "--fork-url", url, "--contract", f"0x{STORE_AT.hex()}", "--rules", "osaka,prague", "--json",
            "--workers", 1,
        )  # fmt: skip
    decoded = json.loads(found.stdout)
    assert found.exit_code == (0 if decoded["cases"] else 2), found.stderr
    skipped = decoded["skipped"]
    assert [each for each in skipped if words not in each["reason"]] == []
    assert bool(skipped) is bool(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--contract", ELSEWHERE), "need --fork-url URL, --contract ADDRESS and --rules A,B"),
        (("--rules", "osaka,amsterdam"), "need --fork-url URL, --contract ADDRESS and --rules A,B"),
        (("--fork-url", "http://127.0.0.1:1", "--contract", ELSEWHERE), "need --fork-url URL"),
        (("--rules", "osaka"), "names one set of rules: expected two, such as osaka,amsterdam"),
        (("--rules", "osaka,Osaka"), "both runs have the rules of Osaka"),
        (("--rules", "osaka,nv29"), "mixes networks"),
        (("--rules", "osaka,oska"), "fork 'oska' is not known: choose one of"),
        (("--contract", "f0100", "--rules", "osaka,prague"), "expected the contract's Ethereum address"),
        (("--contract", "0x12", "--rules", "osaka,prague"), "an Ethereum address has 20 bytes"),
        (("--blocks", MAX_BLOCKS + 1, "--rules", "osaka,prague"), f"expected 1 to {MAX_BLOCKS:,}"),
        (("--rules", "osaka,prague", "--price", "syscall=1"), "the rules are those of --rules"),
        (("--rules", "osaka,prague"), "no node responds at http://127.0.0.1:1"),
    ],
)
def test_wrong_options_are_refused(arguments: tuple[object, ...], words: str) -> None:
    common: tuple[object, ...] = ("--fork-url", "http://127.0.0.1:1")
    if "--contract" not in arguments:
        common = (*common, "--contract", ELSEWHERE)
    found = run("compare", *(() if "need" in words else common), *arguments)
    assert found.exit_code == 2
    assert words in " ".join(found.stderr.split())
