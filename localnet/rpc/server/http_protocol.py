"""The HTTP protocol of the server: small requests are handled without an ASGI application.

The body of a small request is read once (`Dispatcher.respond`). A request that needs no executor is answered
directly, at half the cost of an asyncio task. A change of the network (`Change`) is started directly, and its response
is sent by a callback. Any other request that needs an executor becomes a task. Everything else is processed by uvicorn
as usual: large, refused and pipelined requests, and connections about to close.

Reason: eth_chainId takes 38 us of processor time here, and 101 us through uvicorn's cycle and the application (Python
3.11, keep-alive). The `http` setting of uvicorn accepts any protocol class. This one is a subclass of uvicorn's, so
there is one HTTP parser. It uses the inherited `cycle`, `flow`, `tasks` and `connections`, so that the requests of a
connection are answered in order and the server shuts down cleanly.

Limits, after which the connection is closed:

- 408: a request that stalls, or is incomplete after twice that time.
- 431: a request with too large headers.
- 503: too many connections. The time limits of requests and idle connections are shorter while connections are
  refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from localnet.rpc.node import NodeLimits
from localnet.rpc.server.access import Client, Clients
from localnet.rpc.server.clients import REQUESTING_CLIENT, Access, RequestingClient, UnreadResponses
from localnet.rpc.server.dispatch import Change
from localnet.rpc.server.http import MAKE_ROOM, PATHS

Respond = Callable[[bytes, Client], bytes | Change | Awaitable[bytes]]
"""Function from a request body and its client to the response, or to a change or an awaitable that returns it."""

_PATHS: Final = frozenset(path.encode() for path in PATHS)
_SMALL: Final = 4096
"""Maximum size in bytes of a body that is handled without the ASGI application."""
_FOR_THE_APPLICATION: Final = frozenset((b"origin", b"expect", b"transfer-encoding", b"upgrade"))
"""Request headers that only the ASGI application handles."""
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_LAST_HEAD: Final = _HEAD.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)

_REFUSAL: Final = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
_TIMED_OUT: Final = (
    b"408 Request Timeout",
    b'{"error":"the request did not arrive as a whole: its bytes stopped coming"}',
)
_TOO_MANY: Final = (b"503 Service Unavailable", b'{"error":"too many connections: close some, or try again later"}')
_TOO_LARGE: Final = (
    b"431 Request Header Fields Too Large",
    b'{"error":"the request line and headers are too long: use fewer or shorter headers"}',
)
_CLOSE_DELAY: Final = 2.0
"""Seconds in which a client may read why its connection is closed."""
_MAX_CLOSING: Final = 64
"""Maximum number of refused connections that wait for this (at most a quarter of the clients); the oldest is closed."""
_IDLE_LIMIT_WHEN_FULL: Final = 2.0
"""Maximum silence of a request in seconds while connections are refused.

With `_CLOSE_DELAY`, a slot is free after 4 s.
"""
_REQUEST_LIMIT_WHEN_FULL: Final = 4.0
"""Maximum total time of a request in seconds while connections are refused."""
_MAX_FRAMING: Final = 8
"""Maximum framing bytes per byte of a body; a body in chunks of one byte has five."""


def http_protocol(
    respond: Respond, access: Access, clients: Clients, limits: NodeLimits, unread: UnreadResponses
) -> Callable[..., HttpProtocol]:
    """Return the factory of each connection's protocol, for uvicorn."""
    return partial(HttpProtocol, respond, access, clients, limits, unread, _ConnectionLimits())


class HttpProtocol(HttpToolsProtocol):
    """The HTTP protocol of one connection."""

    def __init__(
        self,
        respond: Respond,
        access: Access,
        clients: Clients,
        limits: NodeLimits,
        unread: UnreadResponses,
        connection_limits: _ConnectionLimits,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._respond = respond
        self._access, self._clients = access, clients
        self._client: Client
        """Client of a plain request."""
        self._limits = limits
        self._unread = unread
        self._connection_limits = connection_limits
        self._small = min(limits.body, _SMALL)
        self._plain = self._in_head = False
        self._body = b""
        self._expects_request = True
        """True if a request, or the rest of one, is expected; False between requests."""
        self._last_received = self._began = 0.0
        self._overhead = 0
        """Bytes of a request besides its body, minus the allowed framing of the body."""
        self._refused = False
        """True if the client received an error for a request that is not read to its end."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept the connection unless the limit is reached."""
        if len(self.connections) >= self._limits.clients:
            self._connection_limits.refuse(transport, self.loop, min(_MAX_CLOSING, self._limits.clients // 4))
            self._connection_limits.make_room(self.connections, self.loop)
            return
        super().connection_made(transport)
        self._began = self.loop.time()
        self._expect_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the client as disconnected."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._unread.remove(self.transport)
        super().connection_lost(exc)
        if isinstance(self.cycle, _PendingRequest):
            self.cycle.client.leave()

    def pause_writing(self) -> None:
        """Pause until the client reads."""
        super().pause_writing()
        self._unread.add(self.transport)

    def resume_writing(self) -> None:
        """Resume after the client has read."""
        self._unread.remove(self.transport)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Process received bytes, with a deadline for the rest of an incomplete request."""
        if self._refused:
            return
        self._overhead += len(data)
        super().data_received(data)
        if not self._expects_request:
            self._overhead = 0
        elif self._overhead > self._limits.head:
            self._refuse(_TOO_LARGE)
        else:
            self._expect_more()

    def _refuse(self, refusal: tuple[bytes, bytes]) -> None:
        self._refused = True
        _refuse(self.transport, self.loop, refusal)

    def _expect_more(self) -> None:
        self._last_received = self.loop.time()
        if self._deadline is None:
            self._deadline = self.loop.call_at(self._last_received + self._limits.silence, self._check_deadline)

    def _check_deadline(self) -> None:
        """Close a connection without a complete request, or check again later if data arrived since."""
        self._deadline = None
        if not self._expects_request or self._refused or self.transport.is_closing():
            return
        silence = self._limits.silence
        if self.flow.read_paused or self._is_answering():  # it is the client that waits
            self._last_received = self._began = self.loop.time()
        end = min(self._last_received + silence, self._began + 2 * silence)
        if end > self.loop.time():
            self._deadline = self.loop.call_at(end, self._check_deadline)
        elif self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # a partial response cannot be followed by another one
        else:
            self._refuse(_TIMED_OUT)

    def make_room(self, now: float) -> None:
        """Close the connection: with a response if a request is incomplete, silently if none arrived."""
        if self._refused or self.transport.is_closing() or self.flow.read_paused or self._is_answering():
            return
        if not self._expects_request:
            if now > self._last_received + _IDLE_LIMIT_WHEN_FULL and not self.flow.write_paused:
                self.transport.close()
        elif self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started:
            return
        elif now > min(self._last_received + _IDLE_LIMIT_WHEN_FULL, self._began + _REQUEST_LIMIT_WHEN_FULL):
            self._refuse(_TIMED_OUT)

    def _is_answering(self) -> bool:
        """Return True if an earlier request is still being processed."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def on_message_begin(self) -> None:
        """Start a request; the application's objects are created after the headers."""
        self.url, self.headers, self._body = b"", [], b""
        self._expects_request = self._in_head = True
        self._began = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header with its name in lower case; trailers are ignored."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide whether the dispatcher or the application handles the request."""
        self._in_head = False
        self._plain = self._is_plain()
        if not self._plain:
            self._begin()

    def on_body(self, body: bytes) -> None:
        """Append a part of a small body."""
        self._overhead = max(0, self._overhead - (1 + _MAX_FRAMING) * len(body))
        if self._plain:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle the request, or pass it to the application."""
        self._expects_request = False
        self._last_received = self.loop.time()
        if not self._plain:
            super().on_message_complete()
            return
        response = self._respond(self._body, self._client)
        if isinstance(response, bytes):
            self.transport.write(_HEAD % (len(response), response))
            self.on_response_complete()
            return
        request = _PendingRequest()
        self.cycle = request  # type: ignore[assignment]  # so that uvicorn knows that a request is pending
        if isinstance(response, Change):
            response.start(partial(self._finish, request))
        else:
            self.tasks.add(self.loop.create_task(self._run(request, response)))

    async def _run(self, request: _PendingRequest, awaited: Awaitable[bytes]) -> None:
        """Process a request that needs a task."""
        REQUESTING_CLIENT.set(request.client)  # of this task
        try:
            response = await awaited
        finally:  # a callback of the task would cost another round of the loop
            self.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._finish(request, response)

    def _finish(self, request: _PendingRequest, response: bytes) -> None:
        """Send the response of a request that needs an executor; later requests of the connection wait."""
        request.response_complete = True
        if request.disconnected or self.transport.is_closing():
            return
        if request.keep_alive:
            self.transport.write(_HEAD % (len(response), response))
        else:
            self.transport.write(_LAST_HEAD % (len(response), response))
            self.transport.close()
        self.on_response_complete()

    def _is_plain(self) -> bool:
        """Return True if the request is small and ordinary, and no earlier one is still being processed."""
        if self.parser.get_method() != b"POST" or self.url not in _PATHS or self.parser.get_http_version() != "1.1":
            return False
        if self.flow.write_paused or (self.cycle is not None and not self.cycle.response_complete):
            return False
        host, length = "", b""
        for name, value in self.headers:
            if name in _FOR_THE_APPLICATION or (name == b"connection" and value.lower() != b"keep-alive"):
                return False
            if name == b"host":
                if host:
                    return False
                host = value.decode("latin-1")
            elif name == b"content-length":
                length = value
        if not length.isdigit() or int(length) > self._small or self._access.refusal(host, None) is not None:
            return False
        client = self._clients.find(self.client[0] if self.client else "", self.headers)
        if client is not None:
            self._client = client
        return client is not None

    def _begin(self) -> None:
        """Create the objects that uvicorn creates at the start of a request."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        room = partial(self._connection_limits.make_room, self.connections, self.loop)
        cast("dict[str, Any]", self.scope)["extensions"] = {MAKE_ROOM: {"make": room}}
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()


class _PendingRequest:
    """A request in progress without the application: the part of uvicorn's cycle that the connection uses.

    uvicorn clears `keep_alive` when the server shuts down, sets `disconnected` when the client disconnects, and holds
    pipelined requests until `response_complete`.
    """

    def __init__(self) -> None:
        self.response_started = self.response_complete = self.more_body = self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()
        self.client = RequestingClient()


class _ConnectionLimits:
    """Limits on connections of a server: refused ones, and idle ones when the maximum is reached.

    For the event loop's thread.
    """

    def __init__(self) -> None:
        self._closing: dict[_RefusingProtocol, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def refuse(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        """Send the reason of a close. At most `limit` connections linger to deliver it; then the oldest is closed."""
        refusing = _RefusingProtocol(self._closing, transport)
        transport.set_protocol(refusing)
        if limit == 0:
            transport.abort()
            return
        while len(self._closing) >= limit:
            first = next(iter(self._closing))
            del self._closing[first]
            first.transport.abort()
        self._closing[refusing] = None
        _refuse(transport, loop, _TOO_MANY)

    def make_room(self, clients: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Shorten the time limits of connections without requests, since others are being refused."""
        if self._timer is None:
            self._timer = loop.call_later(_IDLE_LIMIT_WHEN_FULL, self._close_idle, clients, loop)

    def _close_idle(self, clients: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for client in list(clients):
            if isinstance(client, HttpProtocol):
                client.make_room(loop.time())


class _RefusingProtocol(asyncio.Protocol):
    """A connection above the limit: input is discarded until it closes."""

    def __init__(self, others: dict[_RefusingProtocol, None], transport: asyncio.Transport) -> None:
        self._others, self.transport = others, transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Close an idle connection, so that another one can be accepted."""
        self._others.pop(self, None)


def _refuse(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, refusal: tuple[bytes, bytes]) -> None:
    """Send an error response, and close the connection a moment later, so that a sending client still gets it."""
    status, body = refusal
    transport.write(_REFUSAL % (status, len(body), body))
    if transport.can_write_eof():
        transport.write_eof()
    loop.call_later(_CLOSE_DELAY, transport.abort)
