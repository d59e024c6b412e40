"""The HTTP server over a real socket."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, sleep
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.retention import FolderCollector
from localnet.rpc.method_table import MethodTable
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.clients import Access, is_own_host, is_own_origin
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.server.http import application
from localnet.rpc.server.server import Server, ready_file, serving
from store.blockstore import StoreFull
from tests.localnet.conftest import ARTIFACTS
from tests.patience import ENDLESS, slowness

CHAIN_ID = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
LIMIT = 100_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Network() as network, serving(network, limits=NodeLimits(body=LIMIT)) as found:
        yield found


def request(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a response. Underscores in header names become hyphens."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask(url: str, method: str, *params: Any) -> Any:
    """Return the result of a method."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return json.loads(request(url, "POST", "/", body)[2])["result"]


@pytest.mark.parametrize("path", ["/", "/rpc/v0", "/rpc/v1"])
def test_requests_are_answered_at_common_node_paths(url: str, path: str) -> None:
    status, headers, body = request(url, "POST", path, CHAIN_ID)
    assert (status, json.loads(body)["result"]) == (200, "0x1df5e76")
    assert headers["content-type"] == "application/json"


def test_errors_of_json_rpc_come_with_status_200(url: str) -> None:
    status, _, body = request(url, "POST", "/", b"{")
    assert (status, json.loads(body)["error"]["code"]) == (200, -32700)


def test_other_methods_and_paths_are_refused(url: str) -> None:
    assert request(url, "GET", "/")[0] == 405
    assert request(url, "POST", "/elsewhere", CHAIN_ID)[0] == 404
    status, _, body = request(url, "GET", "/healthz")
    assert (status, json.loads(body)) == (200, {"status": "ok", "block": 0})


def test_node_is_ready_again_when_the_store_takes_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreFull("no space left for the store in chain")

    with Network() as network, serving(network) as url:
        assert request(url, "GET", "/readyz")[0] == 200
        with monkeypatch.context() as full:
            full.setattr(network.machine.base, "commit", refuse)
            assert b"no space left" in request(url, "POST", "/", CHAIN_ID.replace(b"eth_chainId", b"evm_mine"))[2]
            for path, status in (("/readyz", 503), ("/healthz", 200)):
                assert request(url, "GET", path)[0] == status
            assert json.loads(request(url, "GET", "/readyz")[2])["reason"] == "no space left for the store in chain"
        assert request(url, "GET", "/readyz")[0] == 200


@pytest.mark.slow
def test_oversized_body_is_refused_and_next_request_answered(url: str) -> None:
    for headers, body in (({}, b" " * (10 << 20)), ({"transfer_encoding": "chunked"}, _chunked(3 * LIMIT))):
        status, _, response = request(url, "POST", "/", body, **headers)
        assert status == 413
        assert json.loads(response)["error"]["code"] == -32600
        assert ask(url, "eth_chainId") == "0x1df5e76"


def _chunked(size: int) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (size, b" " * size)


def test_request_is_not_executed_if_client_disconnects_midway() -> None:
    mine = b'{"jsonrpc":"2.0","id":1,"method":"evm_mine"}'
    sent: list[Any] = []

    async def on_chain(work: Any) -> Any:
        return work()

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask(*received: dict[str, Any]) -> None:
        messages = iter(received)

        async def receive() -> Any:
            return next(messages)

        headers = [(b"host", b"localhost")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
        }
        await application(node, Dispatcher(node, on_chain))(scope, receive, send)

    with Network() as network:
        node = Node(network)
        asyncio.run(ask({"type": "http.request", "body": mine, "more_body": True}, {"type": "http.disconnect"}))
        assert network.block_number == 0
        asyncio.run(
            ask({"type": "http.request", "body": mine, "more_body": True}, {"type": "http.request", "body": b" "})
        )
        assert network.block_number == 1
    assert json.loads(sent[-1]["body"])["result"] == "0x0"


def test_a_body_at_the_limit_is_taken(url: str) -> None:
    body = CHAIN_ID + b" " * (LIMIT - len(CHAIN_ID))
    assert request(url, "POST", "/", body)[0] == 200
    assert request(url, "POST", "/", body + b" ")[0] == 413


@pytest.mark.parametrize("host", ["localhost", "localhost:8545", "127.0.0.1:1", "[::1]:8545"])
def test_local_host_names_are_allowed(url: str, host: str) -> None:
    assert is_own_host(host)
    assert request(url, "POST", "/", CHAIN_ID, Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "localhost.example.com", "", "[::1", "10.0.0.1"]
)
def test_another_host_is_refused(url: str, host: str) -> None:
    # A page elsewhere could let its own name lead to this machine (DNS rebinding).
    assert not is_own_host(host)
    status, _, body = request(url, "POST", "/", CHAIN_ID, Host=host)
    assert status == 403
    assert b"is not this machine" in body
    assert b"--allow-host" in body


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1", "chrome-extension://abc", "https://[::1]:1", "Titanoboa"],
)
def test_local_origins_and_extensions_are_allowed(url: str, origin: str) -> None:
    assert is_own_origin(origin)
    status, headers, _ = request(url, "OPTIONS", "/", Origin=origin)
    assert (status, headers["access-control-allow-origin"]) == (204, origin)
    assert headers["access-control-allow-headers"] == "content-type, authorization"  # Filecoin's wallets send a token
    status, headers, body = request(url, "POST", "/", CHAIN_ID, Origin=origin)
    assert (status, headers["access-control-allow-origin"]) == (200, origin)
    assert json.loads(body)["result"] == "0x1df5e76"


@pytest.mark.parametrize(
    "origin", ["https://example.com", "null", "http://localhost.example.com", "http://[", "extension://a"]
)
def test_foreign_origins_are_refused(url: str, origin: str) -> None:
    assert not is_own_origin(origin)
    for method in ("OPTIONS", "POST"):
        status, headers, body = request(url, method, "/", CHAIN_ID, Origin=origin)
        assert status == 403
        assert "access-control-allow-origin" not in headers
        assert b"not a page of this machine" in body
        assert b"--allow-origin" in body


@pytest.mark.slow
def test_only_configured_hosts_and_origins_are_allowed() -> None:
    access = Access(hosts=("node.example",), origins=("https://app.example",))
    with Network() as network, serving(network, access=access) as url:
        for host in ("node.example", "node.example:8545"):
            assert request(url, "POST", "/", CHAIN_ID, Host=host)[0] == 200
        assert request(url, "POST", "/", CHAIN_ID, Host="other.example")[0] == 403
        _, headers, _ = request(url, "OPTIONS", "/", Origin="https://app.example")
        assert headers["access-control-allow-origin"] == "https://app.example"
        for origin in ("http://app.example", "https://app.example:8443", "https://app.example.evil"):
            assert request(url, "POST", "/", CHAIN_ID, Origin=origin)[0] == 403


def test_star_allows_every_host_and_origin() -> None:
    access = Access(hosts=("*",), origins=("*",))
    assert access.refusal("anything", "https://anywhere.example") is None


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(url: str) -> None:
    # Nagle's algorithm would hold the body back until the client has acknowledged the head: 40 ms.
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    taken = []
    for _ in range(40):
        start = perf_counter()
        connection.request("POST", "/", CHAIN_ID)
        connection.getresponse().read()
        taken.append(perf_counter() - start)
    connection.close()
    # The first answers of a connection are acknowledged at once; and another program may slow some of the rest.
    assert sorted(taken[20:])[5] < 0.03


@pytest.mark.slow
def test_concurrent_clients_lose_no_transactions(url: str) -> None:
    accounts = ask(url, "eth_accounts")
    hashes: list[str] = []

    def send(sender: str) -> None:
        for _ in range(5):
            sent = ask(url, "eth_sendTransaction", {"from": sender, "to": accounts[0], "value": "0x1"})
            assert ask(url, "eth_getTransactionReceipt", sent)["status"] == "0x1"
            hashes.append(sent)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in accounts[1:9]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(hashes)) == 40
    assert [ask(url, "eth_getTransactionCount", sender) for sender in accounts[1:9]] == ["0x5"] * 8


LOOP = f"0x{ENDLESS.hex()}"
"""Init code that loops until its gas is used up: JUMPDEST, PUSH1 0, JUMP."""


def _loop(url: str, gas: int) -> dict[str, Any]:
    """Return the error of an estimate of the loop with this gas limit."""
    call = {"from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "data": LOOP, "gas": hex(gas)}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_estimateGas", "params": [call]})
    error: dict[str, Any] = json.loads(request(url, "POST", "/", body)[2])["error"]
    return error


def _wait_until_it_executes() -> None:
    """Wait until py-evm executes on some thread: a block's gas takes it a second or more."""
    end = perf_counter() + 60 * slowness()
    while not any(_is_in_py_evm(frame) for frame in sys._current_frames().values()):
        assert perf_counter() < end, "nothing was executed"
        sleep(0.001)


def _is_in_py_evm(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "eth.vm.computation":
            return True
        frame = frame.f_back
    return False


@pytest.mark.slow
def test_simple_requests_are_answered_during_execution() -> None:
    errors: list[dict[str, Any]] = []
    with Network(evm="py-evm") as network:
        with serving(network) as url:
            thread = threading.Thread(target=lambda: errors.append(_loop(url, 10_000_000_000)))
            thread.start()
            _wait_until_it_executes()
            for _ in range(4):
                assert ask(url, "eth_chainId") == "0x1df5e76"
            assert not errors
        thread.join()


def test_out_of_gas_is_an_error_and_node_keeps_serving(url: str) -> None:
    error = _loop(url, 100_000_000)
    assert (error["code"], error["message"]) == (-32003, "out of gas: gas required exceeds: 100000000")
    assert ask(url, "eth_chainId") == "0x1df5e76"


@pytest.mark.slow
def test_stopping_node_does_not_wait_for_running_loop() -> None:
    errors: list[dict[str, Any]] = []
    with Network(evm="py-evm") as network:
        with serving(network) as url:
            threads = [threading.Thread(target=lambda: errors.append(_loop(url, 10_000_000_000))) for _ in range(2)]
            for thread in threads:
                thread.start()
            _wait_until_it_executes()
            start = perf_counter()
        assert perf_counter() - start < 10 * slowness()
        for thread in threads:
            thread.join()
        assert [(error["code"], error["message"]) for error in errors] == [(-32000, "the node is stopping")] * 2
        assert network.send(network.accounts[1], 5).succeeded


@pytest.mark.slow
def test_stopped_node_aborts_block_in_progress_without_trace() -> None:
    results: list[bytes] = []
    with Network(evm="py-evm") as network:
        contract = f"0x{'77' * 20}"
        with serving(network) as url:
            ask(url, "anvil_setCode", contract, LOOP)
            transaction = {"from": ask(url, "eth_accounts")[0], "to": contract, "gas": hex(10_000_000_000)}
            content = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendTransaction", "params": [transaction]}
            head, root = network.head, network.machine.root
            body = json.dumps(content)
            thread = threading.Thread(target=lambda: results.append(request(url, "POST", "/", body)[2]))
            thread.start()
            _wait_until_it_executes()
            start = perf_counter()
        assert perf_counter() - start < 10 * slowness()
        thread.join()
        assert [json.loads(result)["error"]["message"] for result in results] == ["the node is stopping"]
        assert (network.head, network.machine.root) == (head, root)
        assert network.send(network.accounts[1], 5).block_number == head.height + 1


def test_a_port_that_is_taken_is_named(url: str) -> None:
    port = urlsplit(url).port or 0
    with Network() as network, pytest.raises(InvalidInput, match=f"port {port} of 127.0.0.1 cannot be used"):
        Server(network, port)


def test_host_of_another_machine_is_refused() -> None:
    """The addresses of TEST-NET-1 (RFC 5737) belong to no machine."""
    words = "--host 192.0.2.1 cannot be used: .*; pass an address of this machine$"
    with Network() as network, pytest.raises(InvalidInput, match=words):
        Server(network, 0, host="192.0.2.1")


@pytest.mark.slow
def test_a_network_can_be_used_again_when_it_is_no_longer_served() -> None:
    with Network() as network:
        with serving(network) as url:
            ask(url, "evm_mine")
        assert network.block_number == 1
        assert network.deploy(ARTIFACTS / "Counter.json").call("number") == 0


def test_the_ready_file_appears_whole_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.write_text("left by another node")
    with ready_file(path, "http://127.0.0.1:1") as write:
        assert not path.exists()
        write()
        assert path.read_text() == "http://127.0.0.1:1\n"
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []


def test_ready_file_of_next_node_survives_end_of_previous(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    with ready_file(path, "http://127.0.0.1:1") as write:
        write()
        path.write_text("http://127.0.0.1:2\n")
    assert path.read_text() == "http://127.0.0.1:2\n"


def test_unwritable_ready_file_is_reported_before_node_start(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("absent/ready", "folder"):
        with (
            pytest.raises(InvalidInput, match=f"the file {tmp_path / name} cannot be written"),
            ready_file(tmp_path / name, "http://127.0.0.1:1"),
        ):
            pytest.fail("the node began")


@pytest.mark.slow
def test_repeated_housekeeping_failure_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter(["the disk is full"] * 3 + ["the disk is gone"] * 3)
    seen = threading.Event()

    def turn(_: FolderCollector, seconds: float) -> None:
        if seconds:
            words = next(failures, None)
            if words is None:
                seen.set()
                return
            raise OSError(words)

    monkeypatch.setattr(FolderCollector, "turn", turn)
    monkeypatch.setattr("localnet.rpc.server.server._COLLECTION_INTERVAL", 0.01)
    with Network(tmp_path / "chain") as network:
        server = Server(network, 0, keep_states=5)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert seen.wait(20)
        finally:
            server.stop()
            thread.join()
    told = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert told == ["the disk is full", "the disk is gone"]


def test_a_server_ends_at_once_with_connections_open() -> None:
    """uvicorn polls for its end every 100 ms, and waits another 100 ms for connections to close."""

    def seconds_to_end() -> float:
        with Network() as network:
            server, ready = Server(network, 0), threading.Event()
            thread = threading.Thread(target=server.run, args=(ready.set,))
            thread.start()
            assert ready.wait(20)
            place = urlsplit(server.url).netloc
            idle, begun = [HTTPConnection(place, timeout=30) for _ in range(10)], HTTPConnection(place, timeout=30)
            with ExitStack() as closing_all:
                for connection in (*idle, begun):
                    closing_all.callback(connection.close)
                for connection in idle:
                    connection.request("POST", "/", CHAIN_ID)
                    connection.getresponse().read()
                begun.putrequest("POST", "/")
                begun.putheader("Content-Length", "100")
                begun.endheaders(b"the first part of a body")
                socket = closing_all.enter_context(connect(f"ws://{place}/"))
                started = perf_counter()
                server.stop()
                thread.join(20)
                with pytest.raises(ConnectionClosed) as closed:
                    socket.recv(10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the node is stopping")
            return perf_counter() - started

    assert min(seconds_to_end() for _ in range(3)) < 0.08


_SIGNALLED = """
import signal, threading, time
from localnet import Network
from localnet.rpc.server.server import Server

def send() -> None:
    time.sleep(0.5)  # until nothing else wakes the main thread
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

with Network(rules="ethereum") as network:
    Server(network, 0).run(threading.Thread(target=send).start)
print("stopped")
"""


@pytest.mark.slow
def test_signal_that_another_thread_receives_stops_an_idle_server() -> None:
    """The main thread waits for events then, and the signal does not interrupt its wait."""
    ended = subprocess.run([sys.executable, "-c", _SIGNALLED], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")


def test_loading_methods_is_given_up_when_the_node_ends() -> None:
    looks = iter([False] * 3 + [True])
    table = MethodTable()
    table.load_all(lambda: next(looks))
    assert next(looks, None) is None, "it went on behind the end"
    assert "anvil_mine" not in dict.keys(table)
    assert table["anvil_mine"] is not None, "who asks for one loads them all"
