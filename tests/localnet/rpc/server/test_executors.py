"""Queries beside the chain's thread: none delays a block, and each gets the result of an idle node."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from _pytest.monkeypatch import MonkeyPatch

from bridge.ethereum.addresses import EthAddress
from hypervisor.context import ExternError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import ChainEpoch
from hypervisor.versions.network_versions import network_version
from localnet import Network
from localnet.calls import simulate
from localnet.calls.overrides import Overrides
from localnet.chain.block_production import PendingPlan
from localnet.chain.mempool import Mempool
from localnet.chain.watching import Background, InlineBackground
from localnet.fork.node_client import NodeClient, NodeError
from localnet.ledger.index import ChainIndex, LogCache
from localnet.ledger.records import FoundLog, Tipset
from localnet.rpc.blocks_and_null_rounds import BlockRef
from localnet.rpc.errors import RpcError, from_exception
from localnet.rpc.eth import state
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.server.executors import Executors
from localnet.rpc.server.queries import MAX_QUERIES
from localnet.rpc.server.server import serving
from localnet.rpc.values import as_json
from localnet.rules.facts import CallRequest
from store.blocks.memory import RemoteStore
from store.blockstore import StoreError
from store.cid import Cid, show
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.dev.test_actors import SILENT
from tests.localnet.rpc.executing import HASHING, SOON, ask, body

KEEPS = "0x5f5480155f526001015f5560205ff3"
"""Code that adds one to slot 0 and returns True if it was 0."""
READS = "0x5f545f5260205ff3"
"""Code that returns slot 0."""


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as network:
        yield network


@pytest.fixture
def executors(network: Network) -> Iterator[Executors]:
    executors = Executors(Node(network))
    yield executors
    executors.stop()


def ask_together(executors: Executors, requests: list[tuple[str, list[Any]]]) -> list[Any]:
    """Return the responses to concurrent requests."""

    async def answers() -> list[bytes]:
        return await asyncio.gather(
            *(executors.dispatcher.dispatch(body(method, *params)) for method, params in requests)
        )

    return [json.loads(result) for result in asyncio.run(answers())]


def test_a_transaction_is_answered_while_a_question_has_no_end(executors: Executors) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def endless(_: object) -> bool:
        begun.set()
        return go_on.wait(SOON)

    async def both() -> Any:
        asked = asyncio.create_task(executors.query(endless))
        await asyncio.to_thread(begun.wait, SOON)
        transfer = body("eth_sendTransaction", {"from": ALICE, "to": ALICE})
        response = json.loads(await executors.dispatcher.dispatch(transfer))
        assert not asked.done()
        go_on.set()
        await asked
        return response

    assert "result" in asyncio.run(both())


def test_repeated_push_returns_the_first_message_without_an_estimate(executors: Executors, network: Network) -> None:
    sender, receiver = (f"t{str(account.native)[1:]}" for account in network.accounts[:2])
    message = {"To": receiver, "From": sender, "Value": "1"}
    spec = {"MsgUuid": "11111111-2222-3333-4444-aaaaaaaaaaaa"}
    push = "Filecoin.MpoolPushMessage"
    responses = ask_together(executors, [(push, [message, spec])] * 2 + [(push, [message | {"Value": "9" * 30}, spec])])
    assert responses[0]["result"]["Message"]["Nonce"] == 0
    assert [each["result"]["CID"] for each in responses] == [responses[0]["result"]["CID"]] * 3


@pytest.mark.parametrize("method", ["eth_sendRawTransactionSync", "eth_sendTransactionSync"])
def test_receipt_is_awaited_for_the_timeout(executors: Executors, method: str) -> None:
    sent: Any = {"from": ALICE, "to": BOB}
    if "Raw" in method:
        sent = ask(executors, "eth_signTransaction", sent)["result"]
    ask(executors, "evm_setAutomine", False)
    assert ask(executors, method, sent, 1)["error"]["code"] == 4


def test_transaction_is_executed_while_a_module_is_compiled(executors: Executors, monkeypatch: MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    prepare = Hypervisor.prepare_module

    def slow(machine: Hypervisor, module: bytes) -> Cid:
        begun.set()
        assert go_on.wait(SOON)
        return prepare(machine, module)

    monkeypatch.setattr(Hypervisor, "prepare_module", slow)

    async def both() -> list[Any]:
        install = asyncio.create_task(
            executors.dispatcher.dispatch(body("hypervisor_installActor", f"0x{SILENT.hex()}"))
        )
        await asyncio.to_thread(begun.wait, SOON)
        transfer = await executors.dispatcher.dispatch(body("eth_sendTransaction", {"from": ALICE, "to": ALICE}))
        assert not install.done()
        go_on.set()
        return [json.loads(transfer), json.loads(await install)]

    assert ["result" in response for response in asyncio.run(both())] == [True, True]


def test_a_question_is_answered_while_others_have_no_end(executors: Executors) -> None:
    """A wallet requests the nonce and an estimate before it sends."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def endless(_: object) -> bool:
        begun.release()
        return go_on.wait(SOON)

    async def beside() -> list[Any]:
        asked = [asyncio.create_task(executors.query(endless)) for _ in range(MAX_QUERIES - 1)]
        for _ in asked:
            assert await asyncio.to_thread(begun.acquire, timeout=SOON)
        responses = [
            json.loads(await executors.dispatcher.dispatch(body(method, *params)))
            for method, params in (
                ("eth_getTransactionCount", [ALICE, "latest"]),
                ("eth_estimateGas", [{"from": ALICE, "to": ALICE}]),
                ("eth_call", [{"to": ALICE}, "latest"]),
            )
        ]
        assert not any(task.done() for task in asked)
        go_on.set()
        await asyncio.gather(*asked)
        return responses

    assert all("result" in result for result in asyncio.run(beside()))


@pytest.mark.slow
def test_a_call_that_runs_long_does_not_delay_a_transaction(network: Network) -> None:
    """The call uses up the gas of a block; a transaction and its receipt are available long before."""
    with serving(network) as url, NodeClient(url) as client, NodeClient(url) as other, ThreadPoolExecutor(1) as pool:
        client.request("anvil_setCode", NOBODY, HASHING)
        client.request("eth_sendTransaction", {"from": ALICE, "to": ALICE})
        long = pool.submit(other.request, "eth_call", {"to": NOBODY}, "latest")
        time.sleep(0.05)
        sent = client.request("eth_sendTransaction", {"from": ALICE, "to": ALICE})
        assert client.request("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert not long.done()
        assert isinstance(long.exception(SOON), NodeError)


def test_client_reads_its_own_writes(executors: Executors) -> None:
    """The view is updated before a changing request is answered: blocks, manual changes, reverts."""
    for code, value in ((READS, 7), (READS, 8)):
        ask(executors, "anvil_setCode", NOBODY, code)
        ask(executors, "anvil_setStorageAt", NOBODY, hex(0), f"0x{value:064x}")
        assert int(ask(executors, "eth_call", {"to": NOBODY}, "latest")["result"], 16) == value
    nonce = int(ask(executors, "eth_getTransactionCount", ALICE)["result"], 16)
    before = ask(executors, "evm_snapshot")["result"]
    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY})
    assert int(ask(executors, "eth_getTransactionCount", ALICE)["result"], 16) == nonce + 1
    ask(executors, "evm_revert", before)
    assert int(ask(executors, "eth_getTransactionCount", ALICE)["result"], 16) == nonce


def test_pending_state_is_queried_on_chain_thread(network: Network, executors: Executors) -> None:
    ask(executors, "evm_setAutomine", False)
    nonce = int(ask(executors, "eth_getTransactionCount", ALICE, "latest")["result"], 16)
    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**7)})
    assert int(ask(executors, "eth_getTransactionCount", ALICE, "pending")["result"], 16) == nonce + 1
    assert int(ask(executors, "eth_getTransactionCount", ALICE, "latest")["result"], 16) == nonce


@pytest.mark.slow
@pytest.mark.parametrize("in_folder", [False, True], ids=["in memory", "in RocksDB"])
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_queries_beside_mining_match_idle_node_answers(rules: str, in_folder: bool, tmp_path: Path) -> None:
    """Calls, estimates, traces, proofs and simulations at a fixed block, while blocks are made on the other thread."""
    with Network(tmp_path if in_folder else ":memory:", rules=rules) as network:
        executors = Executors(Node(network))
        try:
            _compared(executors)
        finally:
            executors.stop()


def _compared(executors: Executors) -> None:
    ask(executors, "anvil_setCode", NOBODY, KEEPS)
    sent = [ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY})["result"] for _ in range(3)]
    block = ask(executors, "eth_blockNumber")["result"]
    questions: list[tuple[str, list[Any]]] = [
        ("eth_call", [{"to": NOBODY}, block]),
        ("eth_estimateGas", [{"from": ALICE, "to": NOBODY}, block]),
        ("eth_getStorageAt", [NOBODY, "0x0", block]),
        ("eth_getBalance", [ALICE, block]),
        ("eth_getTransactionCount", [ALICE, block]),
        ("eth_getCode", [NOBODY, block]),
        ("eth_getProof", [NOBODY, ["0x0"], block]),
        ("eth_createAccessList", [{"from": ALICE, "to": NOBODY}, block]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [{"from": ALICE, "to": NOBODY}]}]}, block]),
        ("debug_traceTransaction", [sent[1], {"tracer": "callTracer"}]),
        ("debug_traceTransaction", [sent[2]]),
        ("trace_transaction", [sent[0]]),
    ]
    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY})  # the head is above the block from now on
    idle = [ask(executors, method, *params) for method, params in questions]
    assert not any("error" in response for response in idle), idle
    mined, ended = 0, threading.Event()

    def mine() -> None:
        nonlocal mined
        while not ended.is_set():
            response = ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY})
            assert "result" in response, response
            mined += 1

    with ThreadPoolExecutor(1) as pool:
        mining = pool.submit(mine)
        try:
            for _ in range(10):
                for (method, params), expected in zip(questions, idle, strict=True):
                    assert ask(executors, method, *params) == expected, method
                assert ask_together(executors, questions) == idle
        finally:
            ended.set()
        mining.result(SOON)
    assert mined > 5, "nothing was mined beside the questions"


def test_query_is_repeated_after_concurrent_reorg(network: Network, executors: Executors) -> None:
    """Check that a query is repeated after a reorg, since it may have read blocks of another chain."""
    begun, go_on, seen = threading.Event(), threading.Event(), list[int]()
    snapshot = network.snapshot()
    network.mine()

    def question(reader: Any) -> int:
        seen.append(reader.network.head.height)
        begun.set()
        assert go_on.wait(SOON)
        return seen[-1]

    async def both() -> int:
        asked = asyncio.create_task(executors.query(question))
        await asyncio.to_thread(begun.wait, SOON)
        await executors.chain.run(lambda: network.revert(snapshot))
        go_on.set()
        return int(await asked)

    height = network.head.height
    assert asyncio.run(both()) == height - 1
    assert seen == [height, height - 1]


@pytest.mark.slow
def test_execution_and_block_range_queries_run_beside_the_chain(network: Network, executors: Executors) -> None:
    """The results equal those on the chain's thread."""
    sent = ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**7)})["result"]
    network.mine()
    receipt = network.find_receipt(bytes.fromhex(sent[2:]))
    assert receipt is not None
    height, owner = receipt.block_number, network.accounts[0]
    tipset = {"/": show(receipt.tipset.block)}
    message = {"From": str(owner.native), "To": str(owner.delegated), "Value": "1"}
    questions: list[tuple[str, list[Any]]] = [
        ("hypervisor_trace", [sent]),
        ("hypervisor_traceEpoch", [height]),
        ("hypervisor_tracePlaces", [sent]),
        ("eth_getLogs", [{"fromBlock": "earliest", "toBlock": "latest"}]),
        ("eth_feeHistory", [4, "latest", [50]]),
        ("eth_getTransactionBySenderAndNonce", [ALICE, "0x0"]),
        ("Filecoin.StateCall", [message]),
        ("Filecoin.StateReplay", [[tipset], {"/": show(receipt.candidate.message.cid())}]),
        ("Filecoin.StateCompute", [height, None, [tipset]]),
        ("Filecoin.StateListMessages", [{"From": str(owner.delegated)}, None, 0]),
        ("Filecoin.StateListActors", []),
        ("Filecoin.GasEstimateGasLimit", [message, None]),
        ("Filecoin.GasEstimateMessageGas", [message, None, None]),
        ("Filecoin.GetActorEventsRaw", [{"fromHeight": 0}]),
    ]
    table, node, beside = method_table(), executors.dispatcher._node, 0
    for method, params in questions:
        response = ask(executors, method, *params)
        try:
            expected = {"result": table[method].call(node, params)}
        except Exception as error:  # noqa: BLE001  # Ethereum's rules have not all of them
            expected = {"error": from_exception(error).as_json()}
        beside += "result" in response
        assert response == {"jsonrpc": "2.0", "id": 1, **json.loads(as_json(expected))}, method
        assert table[method].reads, method
    assert beside >= (len(questions) if network.rules.features.has_filecoin_blocks else 7)


class Reports:
    """A console that records its requests."""

    enabled = True

    def __init__(self) -> None:
        self.background: Background = InlineBackground()
        self.heads = list[tuple[str, int | None]]()

    def estimate_failed(self, head: Tipset, request: CallRequest, run: float) -> None:
        self.heads.append(("failed", head.height))

    def call_completed(
        self,
        machine: Hypervisor,
        head: Tipset | None,
        request: CallRequest,
        overrides: Overrides,
        run: float,
    ) -> None:
        self.heads.append(("called", None if head is None else head.height))


def on_the_chains_thread(executors: Executors, work: Callable[[], Any]) -> Any:
    """Run an action on the chain's thread for a waiting query."""
    return asyncio.run(executors.chain.run(work))


@pytest.mark.parametrize(("method", "report"), [("eth_call", "called"), ("eth_estimateGas", "failed")])
def test_repeated_query_is_reported_once_with_its_own_head(
    network: Network, executors: Executors, monkeypatch: MonkeyPatch, method: str, report: str
) -> None:
    """The chain is reverted during the query, and continues during its repetition."""
    reports = executors.dispatcher._node.console = Reports()
    if report == "failed":
        ask(executors, "anvil_setCode", NOBODY, "0x5f5ffd")
    snapshot = network.snapshot()
    network.mine()
    height = network.head.height
    name = "call" if method == "eth_call" else "estimate"
    result, changes = getattr(simulate, name), list[Callable[[], Any]]()
    changes += [lambda: network.revert(snapshot), network.mine]

    def late(*given: Any, **options: Any) -> Any:
        if changes:
            on_the_chains_thread(executors, changes.pop(0))
        return result(*given, **options)

    monkeypatch.setattr(simulate, name, late)
    ask(executors, method, {"from": ALICE, "to": NOBODY})
    assert not changes
    assert reports.heads == [(report, height - 1)]


def test_query_during_constant_reorgs_is_refused(network: Network, executors: Executors) -> None:
    """Results from two chains are inconsistent, and on the chain's thread the query would delay a block."""
    seen = list[str]()

    def question(reader: Any) -> str:
        seen.append(threading.current_thread().name.partition("_")[0])
        on_the_chains_thread(executors, lambda: network.set_balance(network.accounts[0], len(seen)))
        return str(reader.network.machine.balance(network.accounts[0].delegated))

    with pytest.raises(
        RpcError, match="reorganized, or the requested state was pruned, during this request: send it again"
    ):
        asyncio.run(executors.query(question))
    assert seen == ["queries"] * 3


def test_pending_nonce_matches_state_of_mempool(
    network: Network, executors: Executors, monkeypatch: MonkeyPatch
) -> None:
    """A block takes a transaction from the mempool while a query reads it with the state before the block."""
    ask(executors, "evm_setAutomine", False)
    nonce = int(ask(executors, "eth_getTransactionCount", ALICE)["result"], 16)
    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**7)})
    look = Mempool.pending_nonce

    def late(self: Mempool, sender: Address, next_nonce: int) -> int:
        monkeypatch.setattr(Mempool, "pending_nonce", look)
        on_the_chains_thread(executors, network.mine)
        return look(self, sender, next_nonce)

    monkeypatch.setattr(Mempool, "pending_nonce", late)
    owner = network.accounts[0].delegated
    assert asyncio.run(executors.query(lambda reader: reader.network.pending_nonce(owner))) == nonce + 1


def test_machine_at_older_block_stays_when_view_advances(network: Network) -> None:
    """The console executes on it in the background, on the chain's thread."""
    network.mine()
    view, old = network.chain.view(network.chain.point()), network.block(network.head.height - 1)
    machine, height = view.machine_at(old), network.head.height
    network.mine()
    view.go_to(network.chain.point())
    with pytest.raises(ExternError, match="in the future"):
        machine.externs.chain_randomness(ChainEpoch(height + 1))
    assert view.machine.externs.chain_randomness(ChainEpoch(height + 1))


def test_a_view_reads_logs_again_after_the_chain_went_back(network: Network) -> None:
    """Logs may have been read while their heights were replaced, and cached under the wrong block."""
    view = network.chain.view(network.chain.point())
    wrong = (cast(FoundLog, "another block's"),)
    view.index._logs = cast(LogCache, SimpleNamespace(get=lambda _: wrong))
    network.mine(1)
    view.go_to(network.chain.point())
    assert view.index.logs(view.head) == wrong
    network.chain.go_back(network.block(0))
    view.go_to(network.chain.point())
    assert view.index.logs(view.head) == ()


def test_a_view_that_could_not_go_to_a_point_goes_there_again(network: Network, monkeypatch: MonkeyPatch) -> None:
    view = network.chain.view(network.chain.point())
    before = network.chain.point()
    network.mine(1)
    view.go_to(network.chain.point())
    with monkeypatch.context() as patched:
        patched.setattr("localnet.chain.view.rules_of", _fail)
        with pytest.raises(StoreError):
            _ = view.machine
    view.go_to(before)
    assert (view.head, view.machine.context.epoch) == (network.block(0), 0)
    assert view.machine.root == network.block(0).state


def _fail(*_: object) -> None:
    raise StoreError("the disk has gone")


def test_ids_are_the_heads_while_a_block_is_made(network: Network, executors: Executors) -> None:
    """The event loop answers while the chain's thread has the machine in another epoch's context."""
    methods = ("eth_protocolVersion", "eth_chainId", "net_version")
    before, machine = [ask(executors, method) for method in methods], network.machine
    versions = machine.context.network
    machine.advance(network=network_version(versions.number - 1))
    try:
        assert [ask(executors, method) for method in methods] == before
    finally:
        machine.advance(network=versions)


def test_every_method_that_reads_is_a_question_to_a_reader() -> None:
    """A handler's type states its access, which mypy checks."""
    for method in method_table().values():
        first = next(iter(inspect.signature(method.handler).parameters.values()))
        assert method.reads == (first.annotation == "NodeReader"), method.name


@pytest.mark.parametrize(
    ("rules", "threads"), [("filecoin", ["MainThread"]), ("ethereum", ["MainThread", "queries", "queries"])]
)
def test_questions_about_the_block_to_come_hold_up_no_block(rules: str, threads: list[str]) -> None:
    """Under Filecoin's rules the tag means the head; else the query is repeated with the pending transactions."""
    seen = list[str]()

    def balance(reader: NodeReader, owner: EthAddress, at: BlockRef) -> str:
        seen.append(threading.current_thread().name.partition("_")[0])
        return state.get_balance(reader, owner, at)

    with Network(rules=rules) as network:
        executors = Executors(Node(network))
        try:
            executors.dispatcher.methods.put(replace(method_table()["eth_getBalance"], handler=balance))
            network.automine = False
            before = int(ask(executors, "eth_getBalance", BOB, "latest")["result"], 16)
            ask(executors, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", "gas": hex(10**7)})
            seen.clear()
            found = int(ask(executors, "eth_getBalance", BOB, "pending")["result"], 16)
        finally:
            executors.stop()
    assert found - before == (5 if rules == "ethereum" else 0)
    assert seen == threads


def test_pending_query_keeps_its_plan_though_a_block_is_mined(
    monkeypatch: MonkeyPatch,
) -> None:
    """The block in question is the head's successor, whatever head the plan was made at."""
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        plan = Node.pending_plan

        def late(node: Node) -> PendingPlan:
            found = plan(node)
            monkeypatch.setattr(Node, "pending_plan", plan)
            node.network.mine()
            return found

        monkeypatch.setattr(Node, "pending_plan", late)
        try:
            network.set_code(bytes.fromhex(NOBODY[2:]), bytes.fromhex("435f5260205ff3"))  # returns NUMBER
            response = ask(executors, "eth_call", {"to": NOBODY}, "pending")["result"]
        finally:
            executors.stop()
    assert int(response, 16) == 1


def test_pending_query_is_answered_though_blocks_follow_its_plans(monkeypatch: MonkeyPatch) -> None:
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        plan, left = Node.pending_plan, [10]

        def late(node: Node) -> PendingPlan:
            found = plan(node)
            if left[0]:
                left[0] -= 1
                node.network.mine()
            return found

        def question(reader: NodeReader) -> int:
            reader.pending_plan()
            return reader.network.pending_nonce(network.accounts[0].delegated)

        monkeypatch.setattr(Node, "pending_plan", late)
        try:
            assert asyncio.run(executors.query(question)) == 0
        finally:
            executors.stop()
    assert left == [0]


def test_receipt_belongs_to_requested_transaction_despite_reorg(monkeypatch: MonkeyPatch) -> None:
    """Receipt look-ups run beside the chain, which may be reverted between reading the height and the execution."""
    with Network(rules="ethereum") as network:
        alice, bob = network.accounts[:2]
        before = network.snapshot()
        asked = network.send(bob, 1, sender=alice).hash
        read = ChainIndex.receipt_at

        def late(self: ChainIndex, tipset: Any, place: int) -> Any:
            monkeypatch.setattr(ChainIndex, "receipt_at", read)
            network.revert(before)
            other = network.send(bob, 2, sender=alice)
            assert (other.block_number, other.index) == (tipset.height, place)
            return read(self, tipset, place)

        monkeypatch.setattr(ChainIndex, "receipt_at", late)
        assert network.find_receipt(asked) is None


@pytest.mark.parametrize("change", ["reverts", "sets a balance"])
def test_rewrite_count_increases_before_change_is_readable(
    network: Network, monkeypatch: MonkeyPatch, change: str
) -> None:
    """Otherwise a query that reads the change in between would be answered as if nothing had changed."""
    snapshot, chain, counts = network.snapshot(), network.chain, list[int]()
    network.mine()
    store = network.machine.base
    if isinstance(store, RemoteStore):  # under Ethereum's rules
        store = store.local
    commit, before = store.commit, chain.rewritten

    def committed(*given: Any) -> None:
        counts.append(chain.rewritten)
        commit(*given)

    monkeypatch.setattr(store, "commit", committed)
    if change == "reverts":
        network.revert(snapshot)
    else:
        network.set_balance(network.accounts[0], 1)
    assert counts
    assert min(counts) > before
