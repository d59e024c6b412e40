"""Queries that must be short run on the event loop's thread."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from _pytest.monkeypatch import MonkeyPatch

from bridge.ethereum.block import BlockAccessList
from hypervisor import threads
from hypervisor.threads import SECONDS
from localnet import Network
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeLimits, NotInline
from localnet.rpc.server.dispatch import Change
from localnet.rpc.server.executors import Executors
from localnet.rpc.socket_methods import SocketSession
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.executing import ask, body, request_object

Limited = Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["filecoin", "ethereum"])
def executors(request: pytest.FixtureRequest) -> Iterator[Executors]:
    with Network(rules=request.param) as network:
        executors = Executors(Node(network))
        yield executors
        executors.stop()


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
        assert asyncio.run(executors.dispatcher.dispatch(body(method, *params))) == alone
    assert {method.name for method in method_table().values() if method.short} == {name for name, _ in SHORT}


def test_query_of_a_large_block_runs_on_a_query_thread(ethereum: Executors, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.rpc.server.executors.MAX_INLINE", 1)
    for count, is_inline in ((1, True), (2, False)):
        ask(ethereum, "evm_setAutomine", False)
        for _ in range(count):
            ask(ethereum, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**6)})
        ask(ethereum, "evm_mine")
        for method, params in (("eth_getBlockByNumber", ["latest"]), ("eth_gasPrice", [])):
            response = ethereum.dispatcher.respond(body(method, *params))
            assert isinstance(response, bytes) == is_inline, method
            assert "result" in json.loads(whole(response))


def test_whole_transactions_are_printed_on_a_query_thread(ethereum: Executors) -> None:
    """Calldata has no small limit, so printed transactions may be large."""
    ask(ethereum, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**6)})
    block_hash = ask(ethereum, "eth_getBlockByNumber", "latest")["result"]["hash"]
    for method, block in (("eth_getBlockByNumber", "latest"), ("eth_getBlockByHash", block_hash)):
        assert isinstance(ethereum.dispatcher.respond(body(method, block, False)), bytes)
        response = ethereum.dispatcher.respond(body(method, block, True))
        assert inspect.iscoroutine(response)
        assert json.loads(asyncio.run(response))["result"]["transactions"][0]["to"] == NOBODY


def test_query_is_tried_inline_once(ethereum: Executors, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.rpc.server.executors.MAX_INLINE", -1)
    tried = 0
    query_inline = ethereum.dispatcher._inline
    assert query_inline is not None

    def count(*arguments: Any) -> Any:
        nonlocal tried
        tried += 1
        return query_inline(*arguments)

    monkeypatch.setattr(ethereum.dispatcher, "_inline", count)
    response = ethereum.dispatcher.respond(body("eth_getBlockByNumber", "latest"))
    assert inspect.iscoroutine(response)
    assert json.loads(asyncio.run(response))["result"]["number"] == "0x0"
    assert tried == 1


@pytest.mark.parametrize("on_socket", [False, True], ids=["HTTP", "a WebSocket"])
@pytest.mark.parametrize(("seconds", "has_paused"), [(0.0, True), (float("inf"), False)])
def test_batch_of_short_queries_pauses_after_a_time(
    ethereum: Executors, monkeypatch: MonkeyPatch, seconds: float, has_paused: bool, on_socket: bool
) -> None:
    monkeypatch.setattr("localnet.rpc.server.dispatch._BATCH_SLICE", seconds)
    monkeypatch.setattr(ethereum.dispatcher, "_run_query", None)  # no query may wait for another thread
    monkeypatch.setattr(ethereum.dispatcher, "on_chain", None)
    requests = [request_object("eth_getBalance", ALICE, "latest")] * 50

    async def turns_of_others() -> int:
        session = SocketSession(ethereum.dispatcher._node, cast(Any, None)) if on_socket else None
        batch = asyncio.create_task(ethereum.dispatcher.dispatch(json.dumps(requests).encode(), session))
        turns = 0
        while not batch.done():
            await asyncio.sleep(0)
            turns += 1
        assert ["result" in response for response in json.loads(batch.result())] == [True] * len(requests)
        return turns

    turns = asyncio.run(turns_of_others())
    assert turns >= len(requests) if has_paused else turns <= 2


async def _chain_thread(executors: Executors) -> int:
    """Return the identifier of the chain's thread."""
    thread: int = await executors.chain.run(threading.get_ident)
    return thread


def test_access_list_is_read_on_a_query_thread(monkeypatch: MonkeyPatch) -> None:
    """A list is as long as the gas limit permits."""
    with Network(rules="ethereum", hardfork="Osaka+7928") as network:
        executors = Executors(Node(network))
        try:
            ask(executors, "evm_setAutomine", False)
            ask(executors, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": "0x5", "gas": hex(10**6)})
            chain_thread = asyncio.run(_chain_thread(executors))
            threads = set()
            decode = BlockAccessList.decode

            def noted(data: bytes) -> BlockAccessList:
                threads.add(threading.get_ident())
                return decode(data)

            monkeypatch.setattr("localnet.rpc.eth.blocks.BlockAccessList.decode", noted)
            ask(executors, "evm_mine")
            assert len(ask(executors, "eth_getBlockAccessList", "latest")["result"]) > 1
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


def test_short_query_on_the_pending_block_runs_on_a_query_thread(ethereum: Executors) -> None:
    """The pending block is executed, which may take long."""
    ask(ethereum, "evm_setAutomine", False)
    ask(ethereum, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", "gas": hex(10**6)})
    balance = int(ask(ethereum, "eth_getBalance", BOB, "latest")["result"], 16)
    response = ethereum.dispatcher.respond(body("eth_getBalance", BOB, "pending"))
    assert inspect.iscoroutine(response)
    assert int(json.loads(asyncio.run(response))["result"], 16) == balance + 5


READS = "0x5f545f5260205ff3"
"""Code that returns slot 0."""
ENDLESS = "0x5b6201000060002050600056"
"""KECCAK256 of 64 KiB in an endless loop."""
NATIVE = "0xff00000000000000000000000000000000000001"
"""The masked ID of the init actor."""
IDENTITY = "0x0000000000000000000000000000000000000004"
"""The identity precompile."""
ECRECOVER = "0x0000000000000000000000000000000000000001"


def started(network: Network) -> Executors:
    """Return the executors of a node after the first call, which loads the engine."""
    executors = Executors(Node(network))
    ask(executors, "anvil_setCode", NOBODY, READS)
    ask(executors, "anvil_setStorageAt", NOBODY, "0x0", f"0x{7:064x}")
    assert not is_alone(executors, "eth_call", {"to": NOBODY})
    return executors


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: MonkeyPatch) -> None:
    """Let each execution take any time: garbage collection alone may exceed the limit."""
    monkeypatch.setattr(threads, "SECONDS", float("inf"))


@pytest.fixture
def limited(monkeypatch: MonkeyPatch) -> Limited:
    """Return a context with the limit of a node."""

    @contextmanager
    def context() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(threads, "SECONDS", SECONDS)
            yield

    return context


def node_of(rules: str) -> Iterator[Executors]:
    """Yield the executors of a node after the first call, and stop them."""
    with Network(rules=rules) as network:
        executors = started(network)
        yield executors
        executors.stop()


@pytest.fixture(params=["filecoin", "ethereum"])
def node(request: pytest.FixtureRequest) -> Iterator[Executors]:
    yield from node_of(request.param)


@pytest.fixture
def ethereum() -> Iterator[Executors]:
    yield from node_of("ethereum")


@pytest.fixture
def filecoin() -> Iterator[Executors]:
    yield from node_of("filecoin")


def whole(response: bytes | Change | Coroutine[Any, Any, bytes]) -> bytes:
    """Return the response of a query, which is no change."""
    if isinstance(response, bytes):
        return response
    assert not isinstance(response, Change)
    return asyncio.run(response)


def is_alone(executors: Executors, method: str, *params: Any) -> bool:
    """Return True if the query runs on the event loop's thread; a query thread must return the same response."""
    response = executors.dispatcher.respond(body(method, *params))
    expected = asyncio.run(executors.dispatcher.dispatch(body(method, *params)))  # not alone in this form
    assert whole(response) == expected, method
    return isinstance(response, bytes)


def end_pause(executors: Executors) -> None:
    """Let the next call run as if the pause after a long one had passed."""
    view = executors._view
    assert view is not None
    view._short._resume = 0.0


def test_short_calls_and_few_logs_run_on_the_thread_of_the_event_loop(node: Executors) -> None:
    assert is_alone(node, "eth_call", {"to": NOBODY})
    assert is_alone(node, "eth_call", {"to": NOBODY, "data": "0x1234"}, "latest")
    assert is_alone(node, "eth_estimateGas", {"from": ALICE, "to": NOBODY})
    assert is_alone(node, "eth_getLogs", {"fromBlock": "earliest"})
    assert ask(node, "eth_call", {"to": NOBODY})["result"] == f"0x{7:064x}"


def test_call_on_the_thread_of_the_event_loop_sees_earlier_changes(node: Executors) -> None:
    for value in (8, 9):
        ask(node, "anvil_setStorageAt", NOBODY, "0x0", f"0x{value:064x}")
        response = node.dispatcher.respond(body("eth_call", {"to": NOBODY}))
        assert isinstance(response, bytes)
        assert json.loads(response)["result"] == f"0x{value:064x}"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_call", [{"to": NATIVE}]),
        ("eth_call", [{"to": NOBODY}, "0x0"]),
        ("eth_call", [{"to": NOBODY}, "latest", {NOBODY: {"code": READS}}]),
        ("eth_call", [{"to": NOBODY}, "latest", {}, {"number": "0x5"}]),
    ],
    ids=["native actor", "older block", "account", "block field"],
)
def test_calls_that_may_take_long_run_on_a_query_thread(node: Executors, method: str, params: list[Any]) -> None:
    ask(node, "evm_mine")
    assert not is_alone(node, method, *params)
    end_pause(node)
    assert is_alone(node, "eth_call", {"to": NOBODY})


@pytest.mark.parametrize(
    ("method", "params", "is_short"),
    [
        ("eth_call", [{"to": IDENTITY, "data": "0x1234"}], True),
        ("eth_call", [{"to": ECRECOVER, "data": "0x1234"}], False),
        ("eth_call", [{"data": "0x00"}], True),
        ("eth_estimateGas", [{"from": ALICE, "data": "0x00"}], True),
    ],
    ids=["precompile", "precompile of the host", "creation", "estimate"],
)
def test_calls_that_a_session_runs_by_itself_are_short(
    ethereum: Executors, filecoin: Executors, method: str, params: list[Any], is_short: bool
) -> None:
    """Under Filecoin's rules none of them is: they have the machine's prices."""
    for node, expected in ((ethereum, is_short), (filecoin, False)):
        ask(node, "evm_mine")
        assert is_alone(node, method, *params) == expected
        end_pause(node)


@pytest.mark.slow
def test_long_call_is_stopped_and_pauses_the_calls_on_this_thread(node: Executors, limited: Limited) -> None:
    """The call ends with its gas on a query thread; a client that repeats it does not make each call run twice."""
    node.dispatcher._node.limits = NodeLimits(query=600)  # its gas must end first, also on a busy machine
    ask(node, "anvil_setCode", BOB, ENDLESS)
    with limited():
        response = node.dispatcher.respond(body("eth_call", {"to": BOB}))
    assert inspect.iscoroutine(response)
    assert "out of gas" in json.loads(asyncio.run(response))["error"]["message"]
    view = node._view
    assert view is not None
    view._short._resume = time.monotonic() + 60
    assert not is_alone(node, "eth_call", {"to": NOBODY})
    end_pause(node)
    assert is_alone(node, "eth_call", {"to": NOBODY})


def test_each_value_that_a_call_tree_misses_checks_the_limit(ethereum: Executors, monkeypatch: MonkeyPatch) -> None:
    """A missing slot uses little gas, but needs a lookup on the event loop's thread."""
    ask(ethereum, "anvil_setCode", BOB, "0x5f5450600154505f5ff3")  # loads two slots
    ask(ethereum, "anvil_setStorageAt", BOB, "0x1", f"0x{0x51A7:064x}")
    assert is_alone(ethereum, "eth_call", {"to": BOB})
    ask(ethereum, "anvil_setStorageAt", BOB, "0x1", f"0x{0x51A8:064x}")  # a storage that no other test has cached
    monkeypatch.setattr(threads, "SECONDS", -1.0)
    assert not is_alone(ethereum, "eth_call", {"to": BOB})


def test_transfer_is_a_short_call_under_ethereum_rules(ethereum: Executors) -> None:
    """Under Filecoin's rules the receiver's code, a native actor, runs."""
    assert is_alone(ethereum, "eth_call", {"to": ALICE, "value": "0x1"}, "latest")
    assert is_alone(ethereum, "eth_estimateGas", {"from": ALICE, "to": ALICE, "value": "0x1"})


def test_call_on_the_pending_block_runs_on_a_query_thread(ethereum: Executors) -> None:
    assert not is_alone(ethereum, "eth_call", {"to": NOBODY}, "pending")


def test_estimate_after_pending_transactions_runs_on_a_query_thread(ethereum: Executors) -> None:
    ask(ethereum, "evm_setAutomine", False)
    ask(ethereum, "eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(10**6)})
    for sender in (ALICE, BOB):
        assert not is_alone(ethereum, "eth_estimateGas", {"from": sender, "to": NOBODY})
        assert is_alone(ethereum, "eth_estimateGas", {"from": sender, "to": NOBODY}, "latest")


def test_logs_of_many_blocks_or_much_gas_are_read_on_a_query_thread(
    ethereum: Executors, monkeypatch: MonkeyPatch
) -> None:
    ask(ethereum, "anvil_setCode", BOB, "0x5f5fa000")  # LOG0
    sent = ask(ethereum, "eth_sendTransaction", {"from": ALICE, "to": BOB})["result"]
    block_hash = ask(ethereum, "eth_getTransactionReceipt", sent)["result"]["blockHash"]
    ranges: list[Any] = [{"fromBlock": "earliest"}, {"blockHash": block_hash}]
    assert len(ask(ethereum, "eth_getLogs", ranges[0])["result"]) == 1
    assert all(is_alone(ethereum, "eth_getLogs", wanted) for wanted in ranges)
    with monkeypatch.context() as patch:
        patch.setattr(ethereum._view, "_log_gas", 20_000)  # a transaction uses 21,000
        assert not any(is_alone(ethereum, "eth_getLogs", wanted) for wanted in ranges)
    monkeypatch.setattr("localnet.rpc.server.executors.MAX_INLINE", 0)
    assert not is_alone(ethereum, "eth_getLogs", ranges[0])


CALLS_ITSELF = "0x5f5f5f5f5f305af100"
"""Code that calls itself with all gas."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [ENDLESS, "0x5b3031505f56", CALLS_ITSELF, "0x5f5f5ff000"],
    ids=["a loop", "a loop of syscalls", "recursion", "a creation"],
)
def test_frames_without_a_bound_are_stopped_under_filecoin_rules(
    filecoin: Executors, code: str, limited: Limited
) -> None:
    ask(filecoin, "anvil_setCode", BOB, code)
    with limited():
        response = filecoin.dispatcher.respond(body("eth_call", {"to": BOB}))
    assert inspect.iscoroutine(response)
    asyncio.run(response)
    end_pause(filecoin)
    assert is_alone(filecoin, "eth_call", {"to": NOBODY})


MODEXP = "0x365f5f375f5f365f5f60055af100"
"""Code that calls MODEXP with its calldata."""


def test_precompile_that_computes_for_long_runs_on_a_query_thread_under_filecoin_rules(
    filecoin: Executors, limited: Limited
) -> None:
    """Its cost depends on its input: these numbers of 512 bytes take a fifth of a second."""
    ask(filecoin, "anvil_setCode", BOB, MODEXP)
    lengths, numbers = 3 * f"{512:064x}", 3 * 512 * "ff"
    with limited():
        assert not is_alone(filecoin, "eth_call", {"to": BOB, "data": f"0x{lengths}{numbers}"})


HASHES = "0x" + "620100005f2050" * 200
"""Code that hashes 64 KiB 200 times."""
MULTIPLIES = "0x" + "60015f526002602052" + "5f19604052" + "60405f60605f60075afa50" * 400
"""Code that multiplies the generator of alt_bn128 with 2^256 - 1 400 times."""


@pytest.mark.parametrize("code", [HASHES, MULTIPLIES], ids=["hashes", "precompiles"])
def test_long_work_without_a_loop_runs_on_a_query_thread(ethereum: Executors, code: str, limited: Limited) -> None:
    ask(ethereum, "anvil_setCode", BOB, code)
    with limited():
        assert not is_alone(ethereum, "eth_call", {"to": BOB})


CALLS = f"0x60205f5f5f73{NOBODY[2:]}5afa5060205ff3"
"""Code that returns the first word that another contract returns."""
RECOVERS = "0x60205f60805f5f60015af15f5260205ff3"
"""Code that calls ECRECOVER with zeros, which gives nothing, and returns True for success."""


@pytest.mark.parametrize("code", [CALLS, RECOVERS], ids=["another contract", "a signature"])
def test_frames_with_calls_run_on_the_thread_of_the_event_loop_under_filecoin_rules(
    filecoin: Executors, code: str
) -> None:
    ask(filecoin, "anvil_setCode", BOB, code)
    assert is_alone(filecoin, "eth_call", {"to": BOB})
