"""The thread of a network: requests have priority over background work."""

import asyncio
import gc
import importlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest.monkeypatch import MonkeyPatch

from bridge.ethereum.addresses import EthAddress
from hypervisor.threads import ExecutionThread, SharedMemory, Stacks
from localnet import Network, explanations
from localnet.calls.pace import Turns
from localnet.chain.watching import Preempted
from localnet.console import Console
from localnet.explorer.application import explorer
from localnet.fork.node_client import NodeClient
from localnet.ledger.address_index import FILE, AddressIndex, message_key
from localnet.rpc.errors import RpcError
from localnet.rpc.node import Node
from localnet.rpc.server.executors import Executors
from localnet.rpc.server.queries import QueryThread
from localnet.rpc.server.server import Server, serving
from localnet.rpc.server.worker import MAX_LATER, RequestThread, SerialThread
from localnet.traces.trace import trace
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.executing import HASHING, SOON, running
from tests.localnet.rpc.server.test_http import ask
from tests.patience import ENDLESS, slowness


def test_response_is_sent_before_deferred_work() -> None:
    worker, replied, order = RequestThread(), threading.Event(), list[str]()

    def rest() -> None:
        order.append("rest" if replied.wait(SOON) else "no answer")

    async def ask() -> None:
        def work() -> str:
            worker.later(rest)
            return "answer"

        order.append(await worker.run(work))
        replied.set()
        order.append(await worker.run(lambda: "another"))

    asyncio.run(ask())
    worker.stop()
    assert order[0] == "answer"
    assert sorted(order[1:]) == ["another", "rest"]


def test_requests_that_wait_come_before_the_background() -> None:
    worker, order = RequestThread(), list[str]()

    async def ask() -> None:
        begun, go_on = threading.Event(), threading.Event()

        def first() -> None:
            begun.set()
            go_on.wait(SOON)
            worker.later(lambda: order.append("later"))

        requests = [asyncio.create_task(worker.run(first))]
        requests += [asyncio.create_task(worker.run(partial(order.append, str(n)))) for n in range(3)]
        await asyncio.to_thread(begun.wait, SOON)
        requests[3].cancel()  # a client that is gone is not waited for
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*requests, return_exceptions=True)

    asyncio.run(ask())
    worker.stop()
    assert order == ["0", "1", "later"]


def test_excess_background_work_drops_oldest() -> None:
    worker, done = RequestThread(), list[int]()

    def work() -> None:
        for number in range(MAX_LATER + 5):
            worker.later(partial(done.append, number))

    asyncio.run(worker.run(work))
    worker.stop()
    assert done == list(range(5, MAX_LATER + 5))


def test_preempted_work_is_restarted_after_request() -> None:
    worker, begun, order = RequestThread(), threading.Event(), list[str]()

    def work() -> None:
        order.append("begun")
        begun.set()
        while not answered.is_set():
            if worker.should_yield():
                raise Preempted("a request waits")
            time.sleep(0.001)
        order.append("done")

    async def ask() -> None:
        await worker.run(lambda: worker.later(work))
        await asyncio.to_thread(begun.wait, SOON)
        await worker.run(lambda: order.append("answered"))
        answered.set()

    answered = threading.Event()
    asyncio.run(ask())
    worker.stop()
    assert order == ["begun", "answered", "begun", "done"]


@pytest.mark.slow
@pytest.mark.parametrize("gives_way", [False, True])
def test_the_end_waits_for_a_moment_and_no_longer(gives_way: bool) -> None:
    """Stopping ends the current work, discards the rest, and runs nothing on the caller's thread."""
    worker, begun, threads = RequestThread(), threading.Event(), set[str]()

    def work() -> None:
        begun.set()
        threads.add(threading.current_thread().name.partition("_")[0])
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            if gives_way and worker.should_yield():
                raise Preempted("the node ends")
            time.sleep(0.001)

    def leave() -> None:
        for _ in range(5):
            worker.later(work)

    asyncio.run(worker.run(leave))
    assert begun.wait(SOON)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 5 * slowness()
    assert threads == {"network"}


@pytest.mark.slow
@pytest.mark.parametrize("work", ["import", "log", "finalizer", "callback"])
def test_thread_that_cannot_be_interrupted_is_interrupted_later(
    work: str, tmp_path: Path, monkeypatch: MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The locks of an import or a log would stay acquired, and Python ignores exceptions of finalizers."""
    begun, go_on, ended = threading.Event(), threading.Event(), list[str]()

    def slow() -> None:
        begun.set()
        end = time.monotonic() + SOON
        while not go_on.is_set() and time.monotonic() < end:
            time.sleep(0.001)
        ended.append(work)

    class Slow(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            slow()

    monkeypatch.setattr(sys, "slow_import", slow, raising=False)
    (tmp_path / "imported_slowly.py").write_text("import sys\nsys.slow_import()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    logger, handler = logging.getLogger("slow"), Slow()
    logger.addHandler(handler)
    request.addfinalizer(lambda: logger.removeHandler(handler))

    class Final:
        def __del__(self) -> None:
            slow()

    def callback(phase: str, _: dict[str, int]) -> None:
        if phase == "start" and not begun.is_set():
            slow()

    def do() -> None:
        if work == "import":
            importlib.import_module("imported_slowly")
        elif work == "log":
            logger.error("slow")
        elif work == "finalizer":
            Final()
        else:
            gc.callbacks.append(callback)
            try:
                gc.collect()
            finally:
                gc.callbacks.remove(callback)
        while True:
            time.sleep(0.001)

    async def ask() -> None:
        asked = asyncio.create_task(worker.run(do))
        assert await asyncio.to_thread(begun.wait, SOON)
        worker.interrupt()
        await asyncio.sleep(0.05)
        go_on.set()
        with pytest.raises(RpcError, match="stopping"):
            await asyncio.wait_for(asked, SOON)

    worker = RequestThread()
    asyncio.run(ask())
    worker.stop()
    assert ended == [work]


def test_an_execution_begins_on_the_worker_itself() -> None:
    """An execution wakes no other thread, and a nested execution has its own stack."""
    worker, stacks = RequestThread(), Stacks()

    def work() -> tuple[int, int, int]:
        nested = stacks.run(lambda: stacks.run(threading.get_ident, lambda: None), lambda: None)
        return threading.get_ident(), stacks.run(threading.get_ident, lambda: None), nested

    here, execution, nested = asyncio.run(worker.run(work))
    worker.stop()
    assert here == execution != nested


def test_an_execution_that_is_interrupted_ends_by_itself() -> None:
    """An interrupted execution stops at a safe point, and no exception is raised inside an actor."""
    worker, begun, ended = RequestThread(), threading.Event(), threading.Event()

    def execution() -> None:
        begun.set()
        assert ended.wait(SOON)
        for _ in range(1_000):  # an interrupt of Python's own would come here
            pass
        seen.append("whole")

    async def ask() -> None:
        result = asyncio.create_task(worker.run(lambda: Stacks().run(execution, ended.set)))
        await asyncio.to_thread(begun.wait, SOON)
        worker.interrupt()
        with pytest.raises(RpcError, match="stopping"):
            await result

    seen = list[str]()
    asyncio.run(ask())
    worker.stop()
    assert seen == ["whole"]


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.05])
def test_an_interrupt_may_come_as_the_work_ends(monkeypatch: MonkeyPatch, delay: float) -> None:
    """There is nothing to interrupt at that time; the exception must not end the thread."""
    worker, begun, go_on = RequestThread(), threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go_on.wait(SOON)
        return "done"

    def looked(_: ExecutionThread) -> bool:
        go_on.set()
        time.sleep(delay)  # the work ends
        return False

    async def ask() -> str:
        result = asyncio.create_task(worker.run(work))
        await asyncio.to_thread(begun.wait, SOON)
        monkeypatch.setattr(ExecutionThread, "is_executing", property(looked))
        worker.interrupt()
        worker.interrupt()  # a second one finds nothing that works
        try:
            return str(await result)
        except RpcError as error:
            return error.message

    assert asyncio.run(ask()) in ("done", "the node is stopping")
    assert worker._thread.submit(lambda: "alive").result(SOON) == "alive"
    sys.setprofile(lambda *_: None)  # on 3.11 nothing goes on under it while a mark says that something waits
    sys.setprofile(None)
    worker.stop()


def test_the_chain_is_interrupted_though_the_questions_cannot_be(monkeypatch: MonkeyPatch) -> None:
    with Network() as network:
        executors, done = Executors(Node(network)), list[str]()

        def fails() -> None:
            raise TypeError("as a number that is none")

        memory = SharedMemory(1 << 30, "queries")
        threads = [QueryThread(executors.dispatcher._node, Turns(lambda: False), memory) for _ in range(2)]
        executors.queries.threads.update(threads)
        monkeypatch.setattr(threads[0], "interrupt", fails)
        monkeypatch.setattr(executors.chain, "interrupt", lambda: done.append("chain"))
        monkeypatch.setattr(threads[1], "interrupt", lambda: done.append("the other"))
        with pytest.raises(TypeError):
            executors.interrupt()
        executors.stop()
        assert sorted(done) == ["chain", "the other"]


@contextmanager
def served(network: Network) -> Iterator[tuple[NodeClient, Console]]:
    """Serve a node with a console; return a client."""
    server, console = Server(network, 0), Console(network, ())
    console.listen()
    server.attach(console)
    with running(server), NodeClient(server.url) as client:
        yield client, console


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_failed_transaction_is_answered_before_explanation(
    rules: str, monkeypatch: MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The response and the receipt are available before the re-execution starts."""
    answered = threading.Event()
    waited: list[bool] = []

    def explain(*given: Any, **options: Any) -> object:
        waited.append(answered.wait(SOON))
        return trace(*given, **options)

    monkeypatch.setattr(explanations, "trace", explain)
    with Network(rules=rules) as network:
        with served(network) as (client, _):
            client.request("anvil_setCode", NOBODY, f"0x{ENDLESS.hex()}")
            sent = client.request("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(5_000_000)})
            assert client.request("eth_getTransactionReceipt", sent)["status"] == "0x0"
            answered.set()
        assert waited == [True]
    assert "out of gas" in capfd.readouterr().out.lower()


COUNTING = "0x5b600054600101600055600056"
"""`n++` in storage in an endless loop."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rules", "code", "gas"), [("filecoin", HASHING, 5 * 10**9), ("ethereum", COUNTING, 16_000_000)]
)
def test_a_request_and_the_end_do_not_wait_for_an_explanation(
    rules: str, code: str, gas: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with Network(rules=rules) as network:
        with served(network) as (client, _):
            client.request("anvil_setCode", NOBODY, code)
            for _ in range(2):
                client.request("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": hex(gas)})
                time.sleep(0.2)  # the explanation has begun
                started = time.monotonic()
                client.request("eth_getBalance", ALICE, "latest")
                assert time.monotonic() - started < 0.7 * slowness()
            started = time.monotonic()
        assert time.monotonic() - started < 6 * slowness()
    capfd.readouterr()


def test_jobs_run_in_order_between_start_and_end() -> None:
    order = list[object]()
    thread = SerialThread("serial", lambda: order.append(threading.current_thread().name))
    for number in range(100):
        thread.put(partial(order.append, number))
    thread.end()
    assert order == ["serial", *range(100)]


def test_a_job_that_fails_is_logged_and_the_next_one_is_done(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise KeyboardInterrupt("late")

    thread = SerialThread("serial", lambda: None)
    with caplog.at_level(logging.ERROR):
        thread.put(fails)
        assert thread.submit(lambda: "done").result(20) == "done"
    thread.end()
    assert "a job of the thread serial failed" in caplog.text


def test_work_exception_is_raised_by_result() -> None:
    def fails() -> None:
        raise LookupError("none")

    thread = SerialThread("serial", lambda: None)
    with pytest.raises(LookupError, match="none"):
        thread.submit(fails).result(20)
    thread.end()


def test_job_after_thread_end_is_rejected() -> None:
    thread = SerialThread("serial", lambda: None)
    thread.end()
    thread.end()  # a second time it has ended
    with pytest.raises(RuntimeError, match="serial has ended"):
        thread.put(lambda: None)


def test_request_of_closed_loop_does_not_block_the_next() -> None:
    worker, begun, go_on = RequestThread(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(20)

    async def leave() -> None:
        asked = asyncio.create_task(worker.run(work))
        await asyncio.to_thread(begun.wait, 20)
        asked.cancel()

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(worker.run(lambda: "answer")) == "answer"
    assert not worker.should_yield()
    worker.stop()


@pytest.mark.slow
def test_address_index_follows_node_and_persists_in_folder(tmp_path: Path) -> None:
    folder, target = tmp_path / "chain", EthAddress(bytes.fromhex(BOB[2:]))
    with Network(folder) as network:
        addresses = AddressIndex(folder / FILE)
        with serving(network, pages=explorer([]), addresses=addresses) as url:
            snapshot = ask(url, "evm_snapshot")
            ask(url, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
            ask(url, "evm_revert", snapshot)
            ask(url, "anvil_mine", 5)
            sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x2"})
            end = time.monotonic() + 30 * slowness()
            while addresses.top_on(network.chain.index) != 6:
                assert time.monotonic() < end, "it does not follow"
                time.sleep(0.02)
            found = ask(url, "ots_searchTransactionsBefore", BOB, 0, 25)
            assert [each["hash"] for each in found["txs"]] == [sent]
        assert network.chain.watchers == []
        again = AddressIndex(folder / FILE)
        assert again.top_on(network.chain.index) == 6
        assert 6 in list(again.back((message_key(target),), 6))
        again.close()
