"""JSON-RPC over WebSockets: requests, subscriptions and the protocol.

Requests of a connection start in order, and each response is sent when it is ready. Unread responses are buffered up
to a limit; then the client is disconnected with code 1008 (RFC 6455).

The protocol closes a connection with a code and a reason at once. If the client does not acknowledge the close within a
few seconds, the connection is dropped. A server that shuts down sends code 1001. Codes: RFC 6455. An ASGI application
can only request a close and then waits for the client: with uvicorn's own protocol, a client that does not read delays
the close, and the server's shutdown, until its connection breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from localnet.rpc.node import Node
from localnet.rpc.server.access import ANYBODY, CLIENT, Client
from localnet.rpc.server.clients import UnreadResponses
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.socket_methods import RequestOrder, SocketSession
from localnet.rpc.subscriptions import Subscription

POLICY: Final = 1008
"""The close code of a client that does not read its notifications."""

CLOSE_NOW: Final = "hypervisor.close"
"""The extension of the scope by which a connection is closed though its client does not read: `now(code, reason)`.

It reports the number of bytes queued in the application by `unsent(size)`.
"""


_SHORT: Final = 4096


class Connection:
    """Outgoing messages of a client.

    `notify` and `give_up` are thread-safe; all other methods must be called on the event loop's thread.
    """

    def __init__(self, limit: int, client: Client = ANYBODY) -> None:
        """Create the queue of a client; at most `limit` bytes wait to be sent."""
        self._limit, self.client = limit, client
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._unsent: deque[bytes] = deque()
        self._size = 0
        self._has_output = asyncio.Event()
        self._notified = False
        self._numbers = count(1)
        self.given_up = ""
        self.aborted = asyncio.Event()
        self.closed = False

    @property
    def size(self) -> int:
        """Number of bytes waiting to be sent."""
        return self._size

    def next_channel(self) -> int:
        """Return the number of a new channel."""
        return next(self._numbers)

    def notify(self, subscription: Subscription, text: bytes) -> None:
        """Send a notification, after the response that named its subscription."""
        with self._lock:
            if self._grows(len(text)):
                (self._unsent if subscription.held is None else subscription.held).append(_compact(text))
        self._wake()

    def give_up(self, reason: str) -> None:
        """Close the connection and drop queued data."""
        with self._lock:
            self._give_up(reason)

    def respond(self, text: bytes, opened: list[Subscription]) -> None:
        """Send a response, and then the held notifications of the subscriptions in it."""
        with self._lock:
            if text and self._grows(len(text)):
                self._unsent.append(_compact(text))
            for subscription in opened:
                self._unsent.extend(subscription.held or ())
                subscription.held = None
        self._wake()

    async def next(self) -> bytes | None:
        """Return the next outgoing message; None when the connection is abandoned."""
        while True:
            with self._lock:
                if self.given_up:
                    return None
                if self._unsent:
                    text = self._unsent.popleft()
                    self._size -= len(text)
                    return text
                self._notified = False
                self._has_output.clear()
            await self._has_output.wait()

    def _grows(self, size: int) -> bool:
        """Account for a message; return False and abandon the connection if too much is pending.

        A single message may exceed the limit: responses have one of their own.
        """
        if self._size > self._limit:
            self._give_up(f"{self._size} bytes wait to be read: read faster, or subscribe to less")
        if self.given_up:
            return False
        self._size += size
        return True

    def _give_up(self, reason: str) -> None:
        self.given_up = self.given_up or reason
        self._unsent.clear()
        self._size = 0
        self._soon(self.aborted)

    def _wake(self) -> None:
        with self._lock:
            if not self._notified:
                self._notified = True
                self._soon(self._has_output)

    def _soon(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the connection with it
            self._loop.call_soon_threadsafe(event.set)


def _compact(text: bytes) -> bytes:
    """Copy a text to shrink its memory: orjson allocates at least 4 KB."""
    return bytes(memoryview(text)) if len(text) < _SHORT else text


class Sockets:
    """The endpoint: each call serves one connection. Counts the connections."""

    def __init__(self, node: Node, dispatcher: Dispatcher) -> None:
        self._node, self._dispatcher = node, dispatcher
        self._open = 0

    @property
    def full(self) -> bool:
        """True if the maximum number of connections is open."""
        return self._open >= self._node.limits.connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection until it closes."""
        self._open += 1
        connection = Connection(self._node.limits.unsent, scope.get(CLIENT, ANYBODY))
        closing = scope.get("extensions", {}).get(CLOSE_NOW)
        if closing is not None:
            closing["unsent"](lambda: connection.size)
        try:
            await receive()  # websocket.connect
            await send({"type": "websocket.accept"})
            await self._serve(connection, scope, receive, send)
        finally:
            self._open -= 1
            connection.closed = True
            self._node.subscriptions.forget(connection)

    async def _serve(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and write until the client disconnects or is abandoned, when its writer may be blocked."""
        both: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._read(connection, receive)),
            asyncio.ensure_future(_write(connection, send)),
            asyncio.ensure_future(connection.aborted.wait()),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        if connection.given_up:
            now = scope.get("extensions", {}).get(CLOSE_NOW, {}).get("now")
            if now is not None:
                now(POLICY, connection.given_up)

    async def _read(self, connection: Connection, receive: Receive) -> None:
        limits = self._node.limits
        answering: dict[asyncio.Task[None], int] = {}
        order = RequestOrder()
        try:
            while (message := await receive())["type"] == "websocket.receive":
                while len(answering) >= limits.requests_per_client or sum(answering.values()) > limits.body:
                    await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
                body = message.get("bytes") or (message.get("text") or "").encode("utf-8", "surrogatepass")
                task = asyncio.ensure_future(self._respond(connection, order, body))
                answering[task] = len(body)
                task.add_done_callback(answering.pop)
        finally:
            for task in answering:
                task.cancel()

    async def _respond(self, connection: Connection, order: RequestOrder, body: bytes) -> None:
        session = SocketSession(self._node, connection, order)
        response = await self._dispatcher.dispatch(body, session, connection.client)
        connection.respond(response, session.opened)


async def _write(connection: Connection, send: Send) -> None:
    while (text := await connection.next()) is not None:
        message: dict[str, Any] = {"type": "websocket.send", "text": text.decode()}
        await send(message)


GOING_AWAY: Final = 1001
_CLOSE_DELAY: Final = 2.0
"""Seconds that a client has to read pending data before it is disconnected."""

_PART: Final = 16 << 10
"""Maximum number of bytes that are processed at once. The 256 KiB that loops read may be thousands of empty frames."""
_MAX_REASON_LENGTH: Final = 120
"""Maximum length in characters of a close frame's reason, whose size is limited by the protocol."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """The WebSocket protocol of one connection, from the handshake on."""

    def __init__(self, unread: UnreadResponses, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = unread
        self._unsent: Callable[[], int] = lambda: 0
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Process data in parts, between which other connections are served."""
        is_waiting = bool(self._received)
        self._received += data
        if not is_waiting:
            self._process_part()

    def _process_part(self) -> None:
        part = bytes(self._received[:_PART])
        del self._received[:_PART]
        super().data_received(part)
        if self.transport.is_closing():
            self._received.clear()
        elif self._received:
            self.transport.pause_reading()
            self.loop.call_soon(self._process_part)
        elif not self.read_paused:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up all waiting writers."""
        self._unread.remove(self.transport)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Pause until the client reads."""
        super().pause_writing()
        self._unread.add(self.transport, lambda: self._unsent())

    def resume_writing(self) -> None:
        """Resume after the client has read."""
        self._unread.remove(self.transport)
        super().resume_writing()

    def count_unsent(self, unsent: Callable[[], int]) -> None:
        """Count data queued in the application as unread too."""
        self._unsent = unsent

    def handle_connect(self, event: Request) -> None:
        """Provide a function that closes the connection immediately."""
        super().handle_connect(event)
        if not self.close_sent:  # the handshake is in order
            extensions = self.scope["extensions"]
            assert extensions is not None, "the protocol names its own extensions"
            extensions[CLOSE_NOW] = {"now": self.close_now, "unsent": self.count_unsent}

    def close_now(self, code: int, reason: str) -> None:
        """Close with a code and a reason, whether the client reads or not."""
        self.stop_keepalive()
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.conn.send_close(code, reason[:_MAX_REASON_LENGTH])
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.transport.close()
        self.loop.call_later(_CLOSE_DELAY, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Drop a client that does not respond to a ping, with its pending data."""
        super().keepalive_timeout()
        self.loop.call_later(_CLOSE_DELAY, self.transport.abort)

    def shutdown(self) -> None:
        """Close the connection when the server stops."""
        if self.handshake_complete:
            self.close_now(GOING_AWAY, "the node is stopping")
        else:
            super().shutdown()
