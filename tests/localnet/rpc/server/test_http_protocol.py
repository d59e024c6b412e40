"""Inline and queued responses look the same to a client over real sockets."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from hypervisor.messages.message import Message
from hypervisor.types import Gas, TokenAmount
from localnet import Network
from localnet.rpc.node import NodeLimits
from localnet.rpc.server.server import serving
from store.cid import show
from tests.patience import slowness

pytestmark = pytest.mark.slow

AT_ONCE, BY_THE_NETWORK = "eth_chainId", "evm_snapshot"
SNAPSHOTS = ("0x1", "0x2", "0x3", "0x4", "0x5", "0x6", "0x7", "0x8")
CHAIN_ID = "0x1df5e76"


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with (
        Network() as network,
        serving(network, limits=NodeLimits(body=1000)) as url,
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30) as connection,
    ):
        yield connection


def post(method: str, number: int = 1, *headers: str, path: str = "/", version: str = "1.1", more: str = "") -> bytes:
    """Return the bytes of a request; `more` follows its body."""
    body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method}) + more
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


def answers(connection: socket.socket, count: int) -> list[tuple[int, dict[str, object]]]:
    """Return status and body of the next responses."""
    found: list[tuple[int, dict[str, object]]] = []
    data = b""
    while len(found) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if separator else 0
        if separator and len(rest) >= length:
            found.append((int(head.split()[1]), json.loads(rest[:length])))
            data = rest[length:]
            continue
        part = connection.recv(1 << 16)
        assert part, "the server has closed the connection"
        data += part
    assert not data, "more than was asked for"
    return found


def test_pipelined_requests_are_answered_in_order(connection: socket.socket) -> None:
    methods = (AT_ONCE, BY_THE_NETWORK, AT_ONCE, AT_ONCE, BY_THE_NETWORK, BY_THE_NETWORK, AT_ONCE)
    connection.sendall(b"".join(post(method, number) for number, method in enumerate(methods)))
    snapshots = iter(SNAPSHOTS)
    expected = [CHAIN_ID if method == AT_ONCE else next(snapshots) for method in methods]
    got = answers(connection, len(methods))
    assert [(status, body["id"], body["result"]) for status, body in got] == [
        (200, number, result) for number, result in enumerate(expected)
    ]


@pytest.mark.parametrize("method", [AT_ONCE, BY_THE_NETWORK])
def test_a_request_may_come_in_pieces(connection: socket.socket, method: str) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = post(method)
    for start, end in pairwise((*range(0, len(data), 7), len(data))):
        connection.sendall(data[start:end])
    ((status, body),) = answers(connection, 1)
    assert (status, body["result"]) == (200, CHAIN_ID if method == AT_ONCE else "0x1")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Connection: keep-alive", 200),
        ("Origin: http://localhost:3000", 200),
        ("Origin: https://elsewhere.example", 403),
        ("Content-Type: text/plain", 200),
    ],
)
def test_origin_is_checked_on_every_request(connection: socket.socket, header: str, status: int) -> None:
    for _ in range(2):
        connection.sendall(post(AT_ONCE, 1, header))
        assert [status for status, _ in answers(connection, 1)] == [status]


def test_a_request_to_another_host_is_refused(connection: socket.socket) -> None:
    connection.sendall(post(AT_ONCE).replace(b"Host: localhost", b"Host: elsewhere.example"))
    assert [status for status, _ in answers(connection, 1)] == [403]


@pytest.mark.parametrize("hosts", [("localhost", "evil.example"), ("evil.example", "localhost")], ids=" ".join)
def test_a_request_to_two_hosts_is_refused_where_one_is_foreign(
    connection: socket.socket, hosts: tuple[str, str]
) -> None:
    request_ = post(AT_ONCE).replace(b"Host: localhost", "\r\n".join(f"Host: {host}" for host in hosts).encode())
    connection.sendall(request_)
    assert [status for status, _ in answers(connection, 1)] == [403]


@pytest.mark.parametrize("request_", [post(AT_ONCE, 1, "Connection: close"), post(AT_ONCE, version="1.0")])
def test_connection_is_closed_on_request(connection: socket.socket, request_: bytes) -> None:
    connection.sendall(request_)
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert CHAIN_ID.encode() in data


def test_pending_response_at_shutdown_is_last_of_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("localnet.rpc.server.server._GRACE", 60.0)  # a slow machine may take seconds for the blocks
    with Network() as network:
        with serving(network) as url:
            connection = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30)
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "anvil_mine", "params": ["0x100"]})
            connection.sendall(
                f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            while network.block_number < 2:
                time.sleep(0.001)
            begun = time.monotonic()
        taken = time.monotonic() - begun
        with connection:
            data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, result = data.partition(b"\r\n\r\n")
    assert b"connection: close" in head.split(b"\r\n")
    assert json.loads(result) == {"jsonrpc": "2.0", "id": 1, "result": None}
    assert network.block_number == 0x100
    assert taken < 8 * slowness(), "it waited for the connection, not for the answer"


@pytest.mark.parametrize(("body", "code"), [("", -32601), ("x", -32700)], ids=["a method that there is not", "no JSON"])
def test_unanswerable_request_returns_error_code(connection: socket.socket, body: str, code: int) -> None:
    connection.sendall(post("eth_nothing", more=body))
    ((status, result),) = answers(connection, 1)
    error = result["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (200, code)


def test_the_limit_of_bodies_holds_for_small_ones_too(connection: socket.socket) -> None:
    connection.sendall(post(AT_ONCE, more=" " * 1000))
    assert [status for status, _ in answers(connection, 1)] == [413]


def test_notifications_have_no_answer(connection: socket.socket) -> None:
    connection.sendall(post(AT_ONCE).replace(b'"id": 1, ', b'"ie": 1, '))
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    assert b"content-length: 0" in data
    assert data.endswith(b"\r\n\r\n")


FEW = NodeLimits(silence=0.4, clients=12)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as opened:
        opened.automine = False
        yield opened


@pytest.fixture(scope="module")
def waiting(network: Network) -> dict[str, str]:
    """Return the CID of a message that has no block."""
    sender = network.accounts[0]
    message = Message(to=sender.native, from_=sender.native, gas_limit=Gas(10**8), gas_fee_cap=TokenAmount(10**6))
    signed = sender.sign_native(message)
    network.submit_native(signed)
    return {"/": show(signed.cid())}


@pytest.fixture(scope="module")
def port(network: Network, waiting: dict[str, str]) -> Iterator[int]:
    with serving(network, limits=FEW) as url:
        yield urlsplit(url).port or 0


class TestSlowClients:
    """Slow requests, and clients above the limit."""

    REQUEST = post(AT_ONCE)
    UNFINISHED = (
        b"",
        b"POST / HT",
        REQUEST.replace(b"Host: localhost\r\n", b"Host: localhost\r\nX-Long")[:50],
        REQUEST[:-5],
        post(AT_ONCE, 1, "Origin: http://localhost:3000")[:-5],
        b"GET /healthz HTTP/1.1\r\nHost: local",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    )

    @pytest.mark.parametrize("before", [b"", post(AT_ONCE), post(BY_THE_NETWORK)], ids=["first", "second", "later"])
    def test_stalled_request_gets_408(self, port: int, before: bytes) -> None:
        with ExitStack() as opened:
            # A connection between two requests may be idle: there, nothing at all is no request that stops.
            starts = [start for start in self.UNFINISHED if start or not before]
            clients = [opened.enter_context(connected(port)) for _ in starts]
            begun = time.monotonic()
            for client, start in zip(clients, starts, strict=True):
                if before:
                    client.sendall(before)
                    answers(client, 1)
                client.sendall(start)
            assert [received(client).split()[1] for client in clients] == [b"408"] * len(starts)
            assert FEW.silence <= time.monotonic() - begun < 10 * slowness()

    @pytest.mark.parametrize("padding", ["", " " * 5000], ids=["small", "for the application"])
    def test_request_completed_after_408_is_not_executed(
        self, port: int, padding: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A client that retries after 408 would otherwise have its transaction executed twice."""
        request = post("evm_mine", more=padding)
        with connected(port) as first:
            first.sendall(post("eth_blockNumber"))
            before = answers(first, 1)
        with connected(port) as late:
            late.sendall(request[:-3])
            assert received(late).split()[1] == b"408"
            late.sendall(request[-3:])
            with connected(port) as client:
                for method in ("evm_snapshot", "eth_blockNumber"):  # the first one after whatever was begun
                    client.sendall(post(method))
                    after = answers(client, 1)
        assert after == before
        assert not caplog.records

    def test_status_408_is_sent_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is sent once even if other connections are refused meanwhile because of the limit."""
        limits = NodeLimits(silence=1.5, clients=4)
        with Network() as network, serving(network, limits=limits) as url, ExitStack() as opened:
            clients = [opened.enter_context(connected(urlsplit(url).port or 0)) for _ in range(limits.clients + 1)]
            for client in clients[:-1]:
                client.sendall(self.REQUEST[:20])
            assert received(clients.pop()).startswith(b"HTTP/1.1 503 ")
            assert [received(client).count(b"HTTP/1.1 408 ") for client in clients] == [1] * limits.clients
            time.sleep(1.0)
        assert not caplog.records

    def test_the_deadline_is_that_of_the_next_bytes(self) -> None:
        limits = NodeLimits(silence=2.0)
        with Network() as network, serving(network, limits=limits) as url, connected(urlsplit(url).port or 0) as client:
            data, begun = self.REQUEST, time.monotonic()
            for start, end in pairwise((*range(0, len(data), 20), len(data))):
                time.sleep(0.5)
                client.sendall(data[start:end])
            assert [status for status, _ in answers(client, 1)] == [200]
            assert time.monotonic() - begun > limits.silence

    @pytest.mark.parametrize("method", [AT_ONCE, BY_THE_NETWORK])
    def test_a_connection_between_two_requests_may_be_idle(self, port: int, method: str) -> None:
        with connected(port) as client:
            for _ in range(2):
                client.sendall(post(method))
                assert [status for status, _ in answers(client, 1)] == [200]
                time.sleep(2 * FEW.silence)

    def test_waiting_for_response_does_not_time_out_next_request(self, port: int, waiting: dict[str, str]) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Filecoin.StateWaitMsg", "params": [waiting, 0]})
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with connected(port) as client:
            client.sendall((head + body).encode() + self.REQUEST[:20])
            client.settimeout(2 * FEW.silence)
            with pytest.raises(TimeoutError):
                client.recv(1)

    def test_connections_have_a_limit_and_make_room_for_others(self, port: int) -> None:
        with ExitStack() as opened:
            clients = [opened.enter_context(connected(port)) for _ in range(FEW.clients)]
            for client in clients:
                client.sendall(self.REQUEST)
                assert [status for status, _ in answers(client, 1)] == [200]
            with connected(port) as refused:
                refused.sendall(self.REQUEST)
                assert received(refused).startswith(b"HTTP/1.1 503 ")
            clients[0].sendall(self.REQUEST)
            assert [status for status, _ in answers(clients[0], 1)] == [200]
        deadline = time.monotonic() + 5
        while True:
            with connected(port) as client:
                client.sendall(post(AT_ONCE, 1, "Connection: close"))
                if received(client).startswith(b"HTTP/1.1 200 "):
                    break
            assert time.monotonic() < deadline, "closed connections still count"


def connected(port: int) -> socket.socket:
    """Connect to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def received(client: socket.socket) -> bytes:
    """Return all data until the server closes the connection."""
    data = b""
    while part := client.recv(1 << 16):
        data += part
    return data
