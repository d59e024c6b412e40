"""Changes: on the chain's thread, or, for transactions that wait for a block, on the event loop's."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE, Transaction
from localnet import Network
from localnet.rpc.node import Node, NotInline
from localnet.rpc.server.dispatch import Change
from localnet.rpc.server.executors import Executors
from localnet.rpc.server.server import Server
from localnet.rpc.server.worker import RequestThread
from store.keccak import keccak
from tests.localnet.rpc.asking import ALICE, NOBODY
from tests.localnet.rpc.executing import SOON, body
from tests.localnet.rpc.server.test_queries import until


@pytest.fixture
def executors() -> Iterator[Executors]:
    with Network(rules="ethereum") as network:
        executors = Executors(Node(network))
        yield executors
        executors.stop()


def transfer(network: Network, nonce: int) -> bytes:
    receiver = EthAddress(bytes.fromhex(NOBODY[2:]))
    sent = Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver, 1, b"", 100_000, 2 * 10**9, 10**5)
    return network.accounts[0].sign(sent).raw()


def changed(executors: Executors, request: bytes) -> Any:
    """Return the response to a request that must be a change."""
    found = executors.dispatcher.respond(request)
    assert isinstance(found, Change)

    async def started() -> bytes:
        response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        found.start(response.set_result)
        return await response

    return json.loads(asyncio.run(started()))


def dispatched(executors: Executors, request: bytes) -> Any:
    """Return the response of the general path."""
    return json.loads(asyncio.run(executors.dispatcher.dispatch(request)))


def test_sent_transaction_is_executed_and_visible(executors: Executors) -> None:
    raw = transfer(executors._node.network, 0)
    response = changed(executors, body("eth_sendRawTransaction", f"0x{raw.hex()}"))
    assert response["result"] == f"0x{keccak(raw).hex()}"
    assert changed(executors, body("evm_mine"))["result"] == "0x0"
    receipt = dispatched(executors, body("eth_getTransactionReceipt", response["result"]))["result"]
    assert (receipt["status"], receipt["blockNumber"]) == ("0x1", "0x1")


@pytest.mark.parametrize("nonce", [7000, None], ids=["nonce too high", "malformed"])
def test_refused_transaction_has_the_error_of_the_general_path(executors: Executors, nonce: int | None) -> None:
    raw = b"\x02\xc0" if nonce is None else transfer(executors._node.network, nonce)
    request = body("eth_sendRawTransaction", f"0x{raw.hex()}")
    assert changed(executors, request) == dispatched(executors, request)
    assert "error" in changed(executors, request)


def test_requests_that_need_more_than_one_step_are_no_changes(executors: Executors) -> None:
    others: list[tuple[str, list[Any]]] = [
        ("eth_sendRawTransaction", [f"0x{BLOB:02x}c0"]),  # its blobs are verified first
        ("eth_sendTransaction", [{"from": ALICE, "to": NOBODY}]),  # its gas is estimated first
        ("Filecoin.StateWaitMsg", [{"/": "bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay"}, 0]),
        ("debug_traceTransaction", [f"0x{bytes(32).hex()}"]),  # a query
        ("eth_sendRawTransaction", []),  # a parameter is missing
        ("eth_subscribe", ["newHeads"]),
        ("no_method", []),
    ]
    for method, params in others:
        found = executors.dispatcher.respond(body(method, *params))
        assert asyncio.iscoroutine(found), method
        found.close()


def test_change_after_the_end_of_the_thread_gets_an_error(executors: Executors) -> None:
    executors.stop()
    request = body("evm_mine")
    assert changed(executors, request) == dispatched(executors, request)
    assert "error" in changed(executors, request)


def post(request: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(request), request)


@pytest.mark.slow
def test_stopped_server_completes_the_change_of_a_client_that_has_left() -> None:
    with Network(rules="ethereum") as network:
        begun, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            assert go_on.wait(60)

        server = Server(network, 0)
        ready = threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,))
        thread.start()
        assert ready.wait(60)
        chain = server._executors.chain
        chain._thread.put(wait)  # the change waits behind other work
        assert begun.wait(60)
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as client:
            client.sendall(post(body("anvil_setBalance", NOBODY, "0x7")))
            assert until(lambda: chain.is_busy)
        server.stop()
        threading.Timer(0.3, go_on.set).start()
        thread.join(60)
        assert not thread.is_alive()
        assert network.balance(NOBODY) == 7


@pytest.mark.slow
def test_stopped_server_interrupts_the_change_of_a_client_that_has_left() -> None:
    with Network(rules="ethereum") as network:
        server = Server(network, 0)
        ready = threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,))
        thread.start()
        assert ready.wait(60)
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as client:
            client.sendall(post(body("anvil_mine", "0x4e20")))
            assert until(lambda: network.head.height > 10)
        server.stop()
        thread.join(60)
        assert not thread.is_alive()
        assert 10 < network.head.height < 20_000


def test_interrupted_change_gets_an_error(executors: Executors) -> None:
    executors.chain._ending = True
    assert changed(executors, body("evm_mine"))["error"] == {"code": -32000, "message": "the node is stopping"}
    executors.chain._ending = False


# --- admission on the event loop's thread -----------------------------------------------------------------------------


def sent(network: Network, nonce: int) -> bytes:
    return body("eth_sendRawTransaction", f"0x{transfer(network, nonce).hex()}")


@pytest.fixture
def pending(executors: Executors) -> Executors:
    """Return the executors of a node without automine, with one pending transaction."""
    network = executors._node.network
    network.automine = False
    network.submit(transfer(network, 0))
    return executors


def test_transaction_is_added_to_others_on_the_thread_of_the_event_loop(pending: Executors) -> None:
    network = pending._node.network
    response = pending.dispatcher.respond(sent(network, 1))
    assert isinstance(response, bytes)
    assert json.loads(response)["result"] == f"0x{keccak(transfer(network, 1)).hex()}"
    assert len(network.mempool) == 2
    changed(pending, body("evm_mine"))
    assert [receipt.succeeded for receipt in network.chain.index.receipts(network.head)] == [True, True]


@pytest.mark.parametrize("nonce", [7000, None, 0], ids=["nonce too high", "malformed", "known"])
def test_refused_transaction_has_the_same_error_on_both_threads(pending: Executors, nonce: int | None) -> None:
    raw = b"\x02\xc0" if nonce is None else transfer(pending._node.network, nonce)
    request = body("eth_sendRawTransaction", f"0x{raw.hex()}")
    response = pending.dispatcher.respond(request)
    assert isinstance(response, bytes)
    assert json.loads(response) == dispatched(pending, request)
    assert "error" in json.loads(response)


def test_transaction_that_makes_a_block_or_is_the_first_goes_to_the_thread_of_the_chain(pending: Executors) -> None:
    network = pending._node.network
    network.automine = True
    assert isinstance(pending.dispatcher.respond(sent(network, 1)), Change)
    network.mine()
    network.automine = False
    assert isinstance(pending.dispatcher.respond(sent(network, 1)), Change)


def test_transaction_waits_for_the_changes_before_it(pending: Executors) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        before = pending.chain.start(lambda: go_on.wait(SOON))
        assert isinstance(pending.dispatcher.respond(sent(pending._node.network, 1)), Change)
        go_on.set()
        await before

    asyncio.run(ask())


def test_background_work_waits_for_work_on_the_calling_thread() -> None:
    worker, order, done = RequestThread(), list[str](), threading.Event()

    def background() -> None:
        order.append("background")
        done.set()

    def work() -> str:
        worker.later(background)
        assert not done.wait(0.05)
        order.append("work")
        with pytest.raises(NotInline):
            worker.run_here(lambda: "nested")
        return "result"

    assert worker.run_here(work) == "result"
    assert done.wait(SOON)
    assert order == ["work", "background"]
    worker.stop()
    with pytest.raises(NotInline):
        worker.run_here(work)
