"""Clients of the server: access by host and origin, disconnection, and limits on unread responses.

Access is granted to this machine, its programs, browser extensions, and configured ones. A request with another `Host`
or `Origin` header is refused. Otherwise a web page could reach a node with unlocked keys, also through a DNS name of
its own that resolves to this machine (DNS rebinding).

A transport sets `REQUESTING_CLIENT` when it starts to process a request, and marks the client as gone when the
connection closes. Only its queries are cancelled; a submitted change of the chain is completed.

A response is written in one piece, and the part that its client has not read stays in this process. Its age and the
total size over all connections are limited, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class RequestingClient:
    """The client of one request or batch. Used on the event loop's thread."""

    def __init__(self) -> None:
        self.gone = False
        self.give_up: Callable[[], None] | None = None
        """Callback that cancels the client's running query, if any. A client has at most one."""

    def leave(self) -> None:
        """Handle the client's disconnection."""
        self.gone = True
        if self.give_up is not None:
            self.give_up()


REQUESTING_CLIENT: Final[ContextVar[RequestingClient | None]] = ContextVar("requesting_client", default=None)


async def cancel_on_disconnect(receive: Receive, response: Awaitable[T]) -> T:
    """Return the response to a request whose body was read; cancel its query if the client disconnects."""
    client = RequestingClient()

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        client.leave()

    REQUESTING_CLIENT.set(client)  # visible to the task of this request
    leaving = asyncio.ensure_future(leave())
    try:
        return await response
    finally:
        leaving.cancel()


_CHECK_INTERVAL = 1.0
"""Seconds between two checks of unread responses."""
_SLOW = 10.0
"""Seconds after which a slow client may be disconnected if the limit is reached."""
_DUE = itemgetter(0)


@dataclass(slots=True)
class _Waiting:
    """Unread bytes of one connection at the last check, since when, and the time of the last read."""

    size: int
    began: float
    read: float
    more: Callable[[], int]


class UnreadResponses:
    """The connections with unread data."""

    def __init__(self, limit: int, timeout: float) -> None:
        """Create the limits: `limit` unread bytes in total, and `timeout` seconds without a read per connection."""
        self._limit, self._timeout = limit, timeout
        self._waiting: dict[asyncio.Transport, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport, more: Callable[[], int] = lambda: 0) -> None:
        """Register a connection with unread data; `more` bytes are queued outside the transport."""
        now = asyncio.get_running_loop().time()
        self._waiting[transport] = _Waiting(_size(transport, more), now, now, more)
        self._check(now)

    def remove(self, transport: asyncio.Transport) -> None:
        """Unregister a connection whose client has read everything or disconnected."""
        self._waiting.pop(transport, None)

    def _check(self, now: float) -> None:
        """Abort connections of clients that do not read, above the limits of time or total size."""
        total = 0
        for transport, waiting in list(self._waiting.items()):
            size = _size(transport, waiting.more)
            if size < waiting.size:
                waiting.read = now
            waiting.size = size
            if now > waiting.read + self._timeout:
                self.drop(transport)
            else:
                total += size
        silent = [
            (waiting.read + _CHECK_INTERVAL, waiting.size, transport) for transport, waiting in self._waiting.items()
        ]
        slow = [(waiting.began + _SLOW, waiting.size, transport) for transport, waiting in self._waiting.items()]
        for due, size, transport in (*sorted(silent, key=_DUE), *sorted(slow, key=_DUE)):
            if total > self._limit and due <= now and transport in self._waiting:
                total -= size
                self.drop(transport)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._check_again)

    def _check_again(self) -> None:
        self._timer = None
        self._check(asyncio.get_running_loop().time())

    def drop(self, transport: asyncio.Transport) -> None:
        """Abort a connection and drop its unread data."""
        del self._waiting[transport]
        transport.abort()


def _size(transport: asyncio.Transport, more: Callable[[], int]) -> int:
    return transport.get_write_buffer_size() + more()


ANY: Final = "*"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """Host names and origins (`https://app.example`) allowed in addition to this machine; `*` allows all."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def refusal(self, host: str, origin: str | None) -> str | None:
        """Return why a request is refused and which option allows it; None if it is accepted."""
        if not is_own_host(host) and not self._names(host):
            name = _hostname(f"//{host}") or host
            return f"host {host!r} is not this machine: use localhost or 127.0.0.1, or start with --allow-host {name}"
        if origin is not None and not is_own_origin(origin) and not {ANY, origin} & set(self.origins):
            return f"origin {origin!r} is not a page of this machine: start with --allow-origin {origin} to allow it"
        return None

    def _names(self, host: str) -> bool:
        return ANY in self.hosts or host in self.hosts or _hostname(f"//{host}") in self.hosts


@lru_cache(64)
def is_own_host(host: str) -> bool:
    """Return True if a Host header names this machine."""
    return _hostname(f"//{host}") in _LOOPBACK


def is_own_origin(origin: str) -> bool:
    """Return True if an Origin header is a page of this machine (any port), a browser extension or a program.

    Browsers send `null` or `scheme://host` (RFC 6454, section 6.1). Any other value is from a program, such as
    titanoboa's `Titanoboa`, which could as well omit the header.
    """
    scheme, separator, _ = origin.partition("://")
    if not separator:
        return origin != "null"
    return scheme.endswith("-extension") or _hostname(origin) in _LOOPBACK


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
