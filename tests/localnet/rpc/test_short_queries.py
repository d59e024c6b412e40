"""Short queries run on the event loop's thread, unless they may take long."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from _pytest.monkeypatch import MonkeyPatch

from bridge.block_access_list import BlockAccessList
from localnet import Network
from localnet.rpc.executors import Executors
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
from localnet.rpc.node_view import NotInline
from tests.localnet.rpc.asking import ALICE, NOBODY


@pytest.fixture(params=["filecoin", "ethereum"])
def executors(request: pytest.FixtureRequest) -> Iterator[Executors]:
    with Network(rules=request.param) as network:
        executors = Executors(Node(network))
        yield executors
        executors.stop()


def ask(executors: Executors, method: str, *params: Any) -> Any:
    """Return the response to a request, whose thread this is."""
    return json.loads(asyncio.run(executors.dispatcher.answer(body(method, *params))))


def body(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


SHORT: Any = [
    ("eth_gasPrice", []),
    ("eth_getBlockByHash", ["0x" + 64 * "0"]),
    ("eth_getBlockByNumber", ["latest", True]),
    ("eth_maxPriorityFeePerGas", []),
    ("eth_getAccountInfo", [ALICE]),
    ("eth_getBalance", [ALICE, "0x0"]),
    ("eth_getCode", [NOBODY, "latest"]),
    ("eth_getStorageAt", [NOBODY, "0x0", "latest"]),
    ("eth_getTransactionCount", [ALICE, "pending"]),
]


def test_short_queries_are_answered_while_no_thread_is_free(executors: Executors, monkeypatch: MonkeyPatch) -> None:
    """They run on the event loop's thread: no other thread has to be waited for."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a query was passed to another thread")

    monkeypatch.setattr(executors.queries, "run", refuse)
    monkeypatch.setattr(executors.chain, "start", refuse)
    for method, params in SHORT:
        alone = executors.dispatcher.respond(body(method, *params))
        assert isinstance(alone, bytes)
        assert "result" in json.loads(alone), method
        assert asyncio.run(executors.dispatcher.answer(body(method, *params))) == alone
    assert {method.name for method in method_table().values() if method.short} == {name for name, _ in SHORT}


def test_query_of_a_large_block_runs_on_a_query_thread(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.rpc.node_view.MAX_INLINE", 1)
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        try:
            for count, is_inline in ((1, True), (2, False)):
                ask(executors, "evm_setAutomine", False)
                for _ in range(count):
                    ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**6)})
                ask(executors, "evm_mine")
                for method, params in (("eth_getBlockByNumber", ["latest"]), ("eth_gasPrice", [])):
                    answer = executors.dispatcher.respond(body(method, *params))
                    assert isinstance(answer, bytes) == is_inline, method
                    found = answer if isinstance(answer, bytes) else asyncio.run(answer)
                    assert "result" in json.loads(found)
        finally:
            executors.stop()


def test_whole_transactions_are_printed_on_a_query_thread() -> None:
    """The size of a printed transaction is that of its calldata."""
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        try:
            ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**6)})
            block_hash = ask(executors, "eth_getBlockByNumber", "latest")["result"]["hash"]
            for method, block in (("eth_getBlockByNumber", "latest"), ("eth_getBlockByHash", block_hash)):
                assert isinstance(executors.dispatcher.respond(body(method, block, False)), bytes)
                answer = executors.dispatcher.respond(body(method, block, True))
                assert inspect.iscoroutine(answer)
                assert json.loads(asyncio.run(answer))["result"]["transactions"][0]["to"] == NOBODY
        finally:
            executors.stop()


async def _thread_of(executors: Executors) -> int:
    """Return the number of the chain's thread."""
    thread: int = await executors.chain.run(threading.get_ident)
    return thread


def test_access_list_is_read_on_a_query_thread(monkeypatch: MonkeyPatch) -> None:
    """A list is as long as the gas limit permits, and the pending block is executed for it."""
    with Network(rules="ethereum", hardfork="Osaka+7928") as network:
        executors = Executors(Node(network))
        try:
            ask(executors, "evm_setAutomine", False)
            ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": "0x5", "gas": hex(10**6)})
            chain_thread = asyncio.run(_thread_of(executors))
            threads = set()
            decode = BlockAccessList.decode

            def noted(data: bytes) -> BlockAccessList:
                threads.add(threading.get_ident())
                return decode(data)

            monkeypatch.setattr("localnet.rpc.access_lists.BlockAccessList.decode", noted)
            listed = ask(executors, "eth_getBlockAccessList", "pending")["result"]
            ask(executors, "evm_mine")
            assert ask(executors, "eth_getBlockAccessList", "latest")["result"] == listed
            assert threads
            assert not threads & {chain_thread, threading.get_ident()}
        finally:
            executors.stop()


def test_short_query_of_a_fork_runs_on_a_query_thread(executors: Executors) -> None:
    """The other node may have to be asked, which may take long."""
    node = executors._node
    assert executors.query_inline(lambda reader: reader.network.block_number) == 0
    node.published = replace(node.point, origin=cast(Any, object()))
    with pytest.raises(NotInline):
        executors.query_inline(lambda reader: reader.network.block_number)


def test_short_query_on_the_pending_block_runs_on_a_query_thread() -> None:
    """The pending block is executed, which may take long."""
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        try:
            ask(executors, "evm_setAutomine", False)
            ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": "0x5", "gas": hex(10**6)})
            answer = executors.dispatcher.respond(body("eth_getBalance", NOBODY, "pending"))
            assert inspect.iscoroutine(answer)
            assert json.loads(asyncio.run(answer))["result"] == "0x5"
            assert ask(executors, "eth_getBalance", NOBODY, "latest")["result"] == "0x0"
        finally:
            executors.stop()
