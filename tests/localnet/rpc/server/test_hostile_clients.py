"""Hostile clients that send endlessly, never finish, or never read: others are served, and memory is bounded."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from localnet import Network
from localnet.rpc.node import NodeLimits
from localnet.rpc.server.clients import REQUESTING_CLIENT, UnreadResponses, cancel_on_disconnect
from localnet.rpc.server.server import serving
from localnet.rpc.server.websocket import Connection
from localnet.rpc.values import as_json
from tests.localnet.rpc.server.test_http_protocol import answers, connected, post, received
from tests.patience import slowness

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CODE = b"0x" + b"00" * 2_400_000
OWNER = b"0x" + b"aa" * 20


@contextmanager
def port_of(limits: NodeLimits) -> Iterator[int]:
    with Network() as network, serving(network, limits=limits) as url:
        yield urlsplit(url).port or 0


def sent(client: socket.socket, part: bytes, size: int) -> None:
    """Send a part repeatedly until the server closes the connection."""
    with suppress(OSError):
        for _ in range(size // len(part)):
            client.sendall(part)


def call(method: bytes, *params: bytes, times: int = 1) -> bytes:
    """Return the bytes of a request, or of a batch of equal ones."""
    one = b'{"jsonrpc":"2.0","id":1,"method":"%b","params":["%b"]}' % (method, b'","'.join(params))
    body = one if times == 1 else b"[" + b",".join([one] * times) + b"]"
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"POST /", b"a" * 10_000),
        (HEAD + b"X: ", b"a" * 10_000),
        (HEAD, b"A: b\r\n" * 1_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 1_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 10_000),
    ],
    ids=["path", "header", "headers", "trailers", "extension"],
)
def test_request_line_headers_and_trailers_are_limited(start: bytes, part: bytes) -> None:
    with port_of(NodeLimits(silence=2.0)) as port, connected(port) as client:
        client.sendall(start)
        sent(client, part, 400_000)
        with suppress(ConnectionError):
            assert received(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.slow
def test_a_body_in_chunks_of_a_byte_is_no_large_head() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "web3_sha3", "params": ["0x" + "00" * 40_000]}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with port_of(NodeLimits()) as port, connected(port) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        ((status, response),) = answers(client, 1)
    assert status == 200
    assert "result" in response


@pytest.mark.slow
def test_a_request_that_drips_is_refused_when_it_should_be_whole() -> None:
    with port_of(NodeLimits(silence=0.5)) as port, connected(port) as client:
        client.sendall(HEAD + b"X: ")
        begun = time.monotonic()
        client.settimeout(0.1)
        data = b""
        while not data and time.monotonic() - begun < 10 * slowness():
            with suppress(TimeoutError):
                client.sendall(b"a")
                data = client.recv(1 << 16)
        assert data.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
@pytest.mark.parametrize("before", [HEAD + b"X: ", post("eth_chainId")], ids=["dripping", "idle"])
def test_new_clients_are_served_despite_slow_or_idle_connections(before: bytes) -> None:
    with port_of(NodeLimits(clients=12)) as port, ExitStack() as opened:
        clients = [opened.enter_context(connected(port)) for _ in range(12)]
        for client in clients:
            client.sendall(before)
            client.setblocking(False)
        begun, statuses = time.monotonic(), list[bytes]()
        while b"200" not in statuses and time.monotonic() - begun < 20 * slowness():
            with connected(port) as other, suppress(ConnectionError):
                other.sendall(post("eth_chainId", 1, "Connection: close"))
                statuses.append(received(other).split()[1])
            for client in clients:
                with suppress(OSError):
                    _ = before.endswith(b" ") and client.send(b"a")
            time.sleep(0.3)
    assert set(statuses) == {b"503", b"200"}
    assert time.monotonic() - begun < 7 * slowness()


@pytest.mark.slow
def test_incomplete_bodies_share_total_memory_limit() -> None:
    half = HEAD + b"Content-Length: 500000\r\n\r\n" + b"1" * 400_000
    with port_of(NodeLimits(held=1_000_000)) as port, ExitStack() as opened:
        clients = [opened.enter_context(connected(port)) for _ in range(3)]
        for client in clients:
            client.sendall(half)
        begun = time.monotonic()
        assert sorted(received(client).split()[1] for client in clients) == [b"408", b"408", b"503"]
        assert time.monotonic() - begun < 7 * slowness()
        statuses: list[int] = []
        while 200 not in statuses and time.monotonic() - begun < 10 * slowness():
            with connected(port) as client:
                client.sendall(call(b"web3_sha3", b"0x" + b"00" * 300_000))
                statuses += [status for status, _ in answers(client, 1)]
            time.sleep(0.2)
        assert statuses[-1] == 200


def unread(port: int, opened: ExitStack) -> socket.socket:
    """Open a connection that receives as little as possible."""
    client = opened.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    return client


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Wait until the server closes a connection."""
    seen, drop = threading.Event(), UnreadResponses.drop

    def noted(self: UnreadResponses, transport: asyncio.Transport) -> None:
        drop(self, transport)
        seen.set()

    monkeypatch.setattr(UnreadResponses, "drop", noted)
    return lambda: seen.wait(20 * slowness())


@pytest.mark.slow
@pytest.mark.parametrize("limits", [NodeLimits(held=30_000_000), NodeLimits(silence=1.0)], ids=["memory", "time"])
def test_answers_that_are_never_read_are_dropped(limits: NodeLimits, dropped: Callable[[], bool]) -> None:
    with port_of(limits) as port, ExitStack() as opened:
        with connected(port) as client:
            client.sendall(call(b"anvil_setCode", OWNER, CODE))
            assert [status for status, _ in answers(client, 1)] == [200]
        question = call(b"eth_getCode", OWNER, b"latest", times=4)
        clients = [unread(port, opened) for _ in range(4)]
        for client in clients:
            client.sendall(question)
        assert dropped()
        with connected(port) as client:
            client.sendall(question)
            assert len(received_length(client)) > 4 * len(CODE)


def received_length(client: socket.socket) -> bytes:
    """Return the length of a response, which its header states."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(1 << 16)
    head, _, rest = data.partition(b"\r\n\r\n")
    length, parts = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]), bytearray(rest)
    while len(parts) < length:
        part = client.recv(1 << 20)
        assert part, "the server has closed the connection"
        parts += part
    return bytes(parts)


def upgraded(client: socket.socket) -> socket.socket:
    """Upgrade the connection to a WebSocket."""
    key = base64.b64encode(bytes(16))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
    )
    assert client.recv(1 << 12).startswith(b"HTTP/1.1 101 ")
    return client


def framed(body: bytes) -> bytes:
    """Return a text frame masked by zeros."""
    return b"\x81\xff" + len(body).to_bytes(8, "big") + bytes(4) + body


@pytest.mark.slow
def test_answers_on_websockets_that_are_never_read_are_dropped(dropped: Callable[[], bool]) -> None:
    with port_of(NodeLimits(held=30_000_000)) as port, ExitStack() as opened:
        with connected(port) as client:
            client.sendall(call(b"anvil_setCode", OWNER, CODE))
            assert [status for status, _ in answers(client, 1)] == [200]
        question = framed(call(b"eth_getCode", OWNER, b"latest", times=4).partition(b"\r\n\r\n")[2])
        clients = [upgraded(unread(port, opened)) for _ in range(4)]
        for client in clients:
            client.sendall(question)
        assert dropped()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what a process holds")
def test_short_answers_that_wait_hold_no_more_than_their_bytes() -> None:
    """30,000 responses of 70 bytes once held 120 MB, since unread data was counted 28 times too low."""

    async def wait() -> int:
        connection, before = Connection(1 << 30), resident()
        for number in range(30_000):
            connection.respond(as_json({"jsonrpc": "2.0", "id": number, "result": "0x" + "00" * 16}), [])
        return resident() - before

    assert asyncio.run(wait()) < 40_000_000


@pytest.mark.slow
def test_frames_are_processed_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame may have six bytes: 256 KiB of them once blocked the server for two seconds."""
    sizes: list[int] = []
    process = WebSocketsSansIOProtocol.data_received

    def noted(self: WebSocketsSansIOProtocol, data: bytes) -> None:
        sizes.append(len(data))
        process(self, data)

    monkeypatch.setattr(WebSocketsSansIOProtocol, "data_received", noted)
    with port_of(NodeLimits()) as port, connected(port) as client:
        upgraded(client)
        sent(client, b"\x8a\x80\0\0\0\0" * 10_000, 600_000)
        client.sendall(b"\x89\x80\0\0\0\0")
        assert client.recv(16) == b"\x8a\x00"
    assert sum(sizes) > 600_000
    assert max(sizes) <= 16 << 10


def respond(*messages: str) -> str:
    """Return the response to a request whose client sends these messages while its query runs."""

    async def run() -> str:
        pending = iter(messages)

        async def receive() -> dict[str, Any]:
            kind = next(pending, None)
            if kind is None:
                await asyncio.sleep(60)
            return {"type": kind}

        async def query() -> str:
            client = REQUESTING_CLIENT.get()
            assert client is not None
            cancelled = asyncio.Event()
            client.give_up = cancelled.set
            try:
                await asyncio.wait_for(cancelled.wait(), 0.05)
            except TimeoutError:
                return "completed"
            return "cancelled"

        return await cancel_on_disconnect(receive, query())

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("messages", "response"),
    [
        (("http.disconnect",), "cancelled"),
        (("http.request", "http.disconnect"), "cancelled"),
        (("http.request",), "completed"),
        ((), "completed"),
    ],
)
def test_query_is_cancelled_by_disconnect_only(messages: tuple[str, ...], response: str) -> None:
    assert respond(*messages) == response
