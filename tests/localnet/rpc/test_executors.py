"""Questions run beside the chain: none holds up a block, and each is answered as on an idle node."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.monkeypatch import MonkeyPatch

from bridge.addresses import EthAddress
from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.ledger.index import ChainIndex
from localnet.rpc import state
from localnet.rpc.blocks_at import BlockRef
from localnet.rpc.dispatch import method_table
from localnet.rpc.executors import Executors
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.server import serving
from tests.localnet.rpc.asking import ALICE, NOBODY

HASHING = "0x5b6201000060002050600056"
"""KECCAK256 of 64 KiB, without an end."""

KEEPS = "0x5f5480155f526001015f5560205ff3"
"""Adds one to slot 0; returns whether it was 0."""
READS = "0x5f545f5260205ff3"
"""Returns slot 0."""
_SOON = 20.0


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as network:
        yield network


@pytest.fixture
def executors(network: Network) -> Iterator[Executors]:
    executors = Executors(Node(network))
    yield executors
    executors.stop()


def ask(executors: Executors, method: str, *params: Any) -> Any:
    """The answer of a request, whose thread this is."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return json.loads(asyncio.run(executors.dispatcher.answer(body)))


def test_a_transaction_is_answered_while_a_question_has_no_end(executors: Executors) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def endless(_: object) -> bool:
        begun.set()
        return go_on.wait(_SOON)

    async def both() -> Any:
        asked = asyncio.create_task(executors.ask(endless))
        await asyncio.to_thread(begun.wait, _SOON)
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendTransaction", "params": [{"from": ALICE, "to": ALICE}]}
        answer = json.loads(await executors.dispatcher.answer(json.dumps(request).encode()))
        assert not asked.done()
        go_on.set()
        await asked
        return answer

    assert "result" in asyncio.run(both())


def test_a_call_that_runs_long_does_not_delay_a_transaction(network: Network) -> None:
    """The call uses up the gas of a block; a transaction and its receipt are there long before."""
    with serving(network) as url, NodeClient(url) as client, NodeClient(url) as other, ThreadPoolExecutor(1) as pool:
        client.ask("anvil_setCode", NOBODY, HASHING)
        client.ask("eth_sendTransaction", {"from": ALICE, "to": ALICE})
        long = pool.submit(other.ask, "eth_call", {"to": NOBODY}, "latest")
        time.sleep(0.05)
        sent = client.ask("eth_sendTransaction", {"from": ALICE, "to": ALICE})
        assert client.ask("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert not long.done()
        assert isinstance(long.exception(_SOON), NodeError)


def test_a_client_sees_what_it_has_done(executors: Executors) -> None:
    """The view follows the chain before the request that changed it is answered: blocks, changes by hand, reverts."""
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


def test_the_block_to_come_is_asked_for_on_the_chains_thread(network: Network, executors: Executors) -> None:
    ask(executors, "evm_setAutomine", False)
    nonce = int(ask(executors, "eth_getTransactionCount", ALICE, "latest")["result"], 16)
    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**7)})
    assert int(ask(executors, "eth_getTransactionCount", ALICE, "pending")["result"], 16) == nonce + 1
    assert int(ask(executors, "eth_getTransactionCount", ALICE, "latest")["result"], 16) == nonce


@pytest.mark.parametrize("in_folder", [False, True], ids=["in memory", "in RocksDB"])
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_beside_a_chain_that_mines_questions_have_an_idle_nodes_answers(
    rules: str, in_folder: bool, tmp_path: Path
) -> None:
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
    assert not any("error" in answer for answer in idle), idle
    mined, ended = 0, threading.Event()

    def mine() -> None:
        nonlocal mined
        while not ended.is_set():
            answer = ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY})
            assert "result" in answer, answer
            mined += 1

    with ThreadPoolExecutor(1) as pool:
        mining = pool.submit(mine)
        try:
            for _ in range(10):
                for (method, params), expected in zip(questions, idle, strict=True):
                    assert ask(executors, method, *params) == expected, method
        finally:
            ended.set()
        mining.result(_SOON)
    assert mined > 5, "nothing was mined beside the questions"


def test_a_question_is_asked_again_where_the_chain_went_back_meanwhile(network: Network, executors: Executors) -> None:
    """What it had read of blocks may have been another chain's by then."""
    begun, go_on, seen = threading.Event(), threading.Event(), list[int]()
    snapshot = network.snapshot()
    network.mine()

    def question(reader: Any) -> int:
        seen.append(reader.network.head.height)
        begun.set()
        assert go_on.wait(_SOON)
        return seen[-1]

    async def both() -> int:
        asked = asyncio.create_task(executors.ask(question))
        await asyncio.to_thread(begun.wait, _SOON)
        await executors.chain.run(lambda: network.revert(snapshot))
        go_on.set()
        return int(await asked)

    height = network.head.height
    assert asyncio.run(both()) == height - 1
    assert seen == [height, height - 1]


def test_every_method_that_reads_is_a_question_to_a_reader() -> None:
    """A handler's type says what it may touch: mypy holds it to that."""
    for method in method_table().values():
        first = next(iter(inspect.signature(method.handler).parameters.values()))
        assert method.reads == (first.annotation == "NodeReader"), method.name


@pytest.mark.parametrize(("rules", "thread"), [("filecoin", "questions"), ("ethereum", "network")])
def test_only_a_rule_with_a_block_to_come_answers_pending_on_the_chains_thread(rules: str, thread: str) -> None:
    """Under Filecoin's rules the tag means the head: an endless call there would hold up blocks."""
    seen = list[str]()

    def balance(reader: NodeReader, owner: EthAddress, at: BlockRef) -> str:
        seen.append(threading.current_thread().name.partition("_")[0])
        return state.get_balance(reader, owner, at)

    with Network(rules=rules) as network:
        executors = Executors(Node(network))
        try:
            table = executors.dispatcher._methods
            table["eth_getBalance"] = replace(table["eth_getBalance"], handler=balance)
            assert int(ask(executors, "eth_getBalance", ALICE, "pending")["result"], 16)
        finally:
            executors.stop()
    assert seen == [thread]


def test_a_receipt_is_the_asked_transactions_though_its_height_is_made_anew(monkeypatch: MonkeyPatch) -> None:
    """Look-ups of receipts run beside the chain: it may go back between the height and the execution that they read."""
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
def test_a_change_of_what_was_is_counted_before_it_can_be_read(
    network: Network, monkeypatch: MonkeyPatch, change: str
) -> None:
    """Else a question that reads the change between the two would be answered as if nothing had happened."""
    snapshot, chain, counts = network.snapshot(), network.chain, list[int]()
    network.mine()
    flush, before = type(network.machine).flush, chain.rewritten

    def flushed(self: Any, *args: Any) -> Any:
        if self is network.machine:
            counts.append(chain.rewritten)
        return flush(self, *args)

    monkeypatch.setattr(type(network.machine), "flush", flushed)
    if change == "reverts":
        network.revert(snapshot)
    else:
        network.set_balance(network.accounts[0], 1)
    assert counts
    assert min(counts) > before
