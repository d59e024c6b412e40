"""A JSON-RPC client of a node over HTTP, with one connection per thread. Used by commands and forks.

Responses are untrusted: callers validate them. The options for the requests of a fork (timeout, retries, rate limit and
headers) and their defaults are anvil's (crates/anvil/src/config.rs). Rate-limit errors are recognised by the error
codes and messages of large RPC providers.

A whole HTTP exchange has one deadline, so that a slow sender cannot exceed the timeout: like urllib3 and httpx,
`http.client` has a timeout per read only. It calls `makefile`, `sendall` and `close` of a socket, which the class with
the deadline provides.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from threading import Lock, local
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakSet, finalize

from hypervisor.errors import InvalidInput
from localnet.errors import NodeError as NodeError
from localnet.fork.response_cache import ResponseCache
from localnet.fork.urls import redacted_url, redirect_text
from store.untrusted import parse_json

if TYPE_CHECKING:
    from http.client import HTTPConnection

_WAIT_INTERVAL: Final = 3.0
"""Seconds without data after which `on_wait` is called, repeatedly."""

OnWait = Callable[[float], None]
"""Receives the seconds that a running exchange has taken so far."""


class TimedSocket:
    """A socket with a deadline per exchange, set by `begin`; later operations raise TimeoutError."""

    def __init__(self, inner: socket.socket, on_wait: OnWait | None = None) -> None:
        self._inner, self._on_wait = inner, on_wait
        self._began = self._end = 0.0
        self._readers = 0
        self._closed = False

    def begin(self, began: float, seconds: float) -> None:
        """Limit the time of the exchange that started at a monotonic time."""
        self._began, self._end = began, began + seconds

    def sendall(self, data: Any) -> None:
        """Send all data within the remaining time."""
        self._inner.settimeout(self._remaining())
        self._inner.sendall(data)

    def recv_into(self, buffer: Any) -> int:
        """Receive data within the remaining time."""
        while True:
            rest = self._remaining()
            self._inner.settimeout(rest if self._on_wait is None else min(rest, _WAIT_INTERVAL))
            try:
                return self._inner.recv_into(buffer)
            except TimeoutError:
                if self._on_wait is not None:
                    self._on_wait(time.monotonic() - self._began)

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        """Return a reader of the response. Closing it leaves the socket open."""
        assert mode == "rb", "http.client writes by sendall"
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the connection after open readers are closed, as a socket does."""
        self._closed = True
        if not self._readers:
            self._inner.close()

    def release(self) -> None:
        """Count a closed reader; close the connection after the last one if `close` was called."""
        self._readers -= 1
        if self._closed:
            self.close()

    def _remaining(self) -> float:
        rest = self._end - time.monotonic()
        if rest <= 0:
            raise TimeoutError("timed out")
        return rest


class _Reader(io.RawIOBase):
    def __init__(self, connection: TimedSocket) -> None:
        self._connection = connection

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._connection.release()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)


_COST: Final = 17
"""Average cost of a request in compute units, anvil's estimate."""
_RETRIED: Final = frozenset({429, 502, 503, 504})
_RATE_WORDS: Final = re.compile(
    r"rate.?limit|rate exceeded|request limit|too many requests|credits limited|compute units|request count exceeded",
    re.IGNORECASE,
)
_MAX_WAIT: Final = 60.0
"""Maximum number of seconds between two attempts, which also limits a node's `Retry-After`."""
_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x20-\x7e\t]*?)\s*")
_SET_BY_CLIENT: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Timeout in seconds for one attempt, number of retries, seconds before the first retry, and HTTP headers.

    After a node has rate-limited a request, requests are limited to `compute_units` per second, with 17 units for each
    request; None sets no limit. With `offline`, no request is sent: responses come from the cache.
    """

    timeout: float = 45.0
    retries: int = 5
    backoff: float = 1.0
    compute_units: int | None = 330
    headers: tuple[tuple[str, str], ...] = ()
    offline: bool = False


FORK_REQUESTS: Final = RequestOptions()
OFFLINE: Final = RequestOptions(offline=True)


def header(text: str) -> tuple[str, str]:
    """Parse an HTTP header, `Name: value`. Raises InvalidInput."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise InvalidInput(f"'{text.partition(':')[0]:.40}' is not an HTTP header: write it as 'Name: value'")
    if found[1].lower() in _SET_BY_CLIENT:
        raise InvalidInput(f"the header {found[1]} is set automatically: omit it")
    return found[1], found[2]


def headers(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parse several HTTP headers. Raises InvalidInput."""
    return tuple(header(text) for text in texts)


def is_rate_limited(error: Mapping[str, Any]) -> bool:
    """Return True if a JSON-RPC error means that the client exceeded the node's rate limit."""
    return (
        error.get("code") == HTTPStatus.TOO_MANY_REQUESTS or _RATE_WORDS.search(str(error.get("message"))) is not None
    )


def is_temporary(status: int) -> bool:
    """Return True if an HTTP status asks the client to try again later."""
    return status in _RETRIED


class Retries:
    """Delays between the attempts of one client. Thread-safe."""

    def __init__(self, options: RequestOptions) -> None:
        self._options = options
        self._lock = Lock()
        self._next: float | None = None
        """Monotonic time of the next request; None until the node first rate-limits a request."""

    def wait_for_turn(self) -> None:
        """Sleep until the rate limit allows another request."""
        if self._next is None or self._options.compute_units is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + _COST / self._options.compute_units
        time.sleep(turn - now)

    def wait_for_retry(self, attempt: int, after: float | None, *, limited: bool) -> bool:
        """Sleep before another attempt; return False if `attempt` (0 for the first one) was the last.

        `after` is the delay in seconds that the node requests. `limited` is True if the node rate-limited the request.
        """
        if attempt >= self._options.retries:
            return False
        if limited:
            with self._lock:
                self._next = self._next or time.monotonic()
        wait = self._options.backoff * 2**attempt if after is None else after
        time.sleep(min(wait, _MAX_WAIT))
        return True


def seconds_after(value: str | None) -> float | None:
    """Parse the header `Retry-After` in seconds; None for a date or a missing header."""
    return float(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value.strip()) else None


T = TypeVar("T")

DIRECT: Final = RequestOptions(timeout=120, retries=0, compute_units=None)
"""Request options of interactive commands, which send a single request."""
_MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024
_DROPPED: Final = (ConnectionResetError, BrokenPipeError)
"""Exceptions for connections dropped by a node or a gateway; `RemoteDisconnected` is a subclass of the first."""
_TOO_MANY: Final = HTTPStatus.TOO_MANY_REQUESTS
_NOT_OFFERED: Final = frozenset({400, 403, 404, 405, 501})
"""HTTP statuses by which gateways refuse methods without a JSON-RPC error."""
_ID: Final = 1
"""The id of all requests: each is alone on its connection."""
_MAX_WORDS: Final = 400
"""Maximum number of bytes of a node's error message that are shown."""


class NotCached(NodeError):
    """Raised instead of sending a request if `RequestOptions.offline` is set."""

    def __init__(self, name: str, what: str, why: str = "is not in the cache") -> None:
        super().__init__(f"{what} of {name} {why}, and --offline prevents a request: run once without --offline")


class UnfitNode(NodeError, InvalidInput):
    """Raised if the node of a fork does not respond or cannot be forked; its URL is invalid input."""


@contextmanager
def as_unfit_node() -> Iterator[None]:
    """Convert a NodeError to UnfitNode during the first requests to a node."""
    try:
        yield
    except NodeError as error:
        raise UnfitNode(
            str(error), error.data, code=error.code, answered=error.answered, node_message=error.node_message
        ) from None


class _Busy(NodeError):
    """Raised for a retryable refusal: the node is overloaded, or its rate limit was exceeded."""

    def __init__(self, error: NodeError, *, limited: bool, after: float | None = None) -> None:
        super().__init__(
            str(error), error.data, code=error.code, answered=error.answered, node_message=error.node_message
        )
        self.limited, self.after = limited, after

    def final(self, retries: int) -> NodeError:
        """Return the error of the last attempt, with the number of retries."""
        times = f" (after {retries} retries)" if retries else ""
        return NodeError(
            f"{self}{times}", self.data, code=self.code, answered=self.answered, node_message=self.node_message
        )


class _Link:
    """A thread's connection, which is closed at the end of the thread.

    It is closed by `finalize`, not by `__del__`: in a reference cycle, the collector may finalize the socket first.
    """

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        finalize(self, connection.close).atexit = False


class NodeClient:
    """A client of one node. Threads send requests concurrently, each on its own connection."""

    def __init__(
        self,
        url: str,
        parse: Callable[[bytes], Any] = parse_json,
        options: RequestOptions = DIRECT,
        on_wait: OnWait | None = None,
    ) -> None:
        """Create a client. `parse` decodes the JSON of responses; `on_wait` is called repeatedly during a long request.

        Raises InvalidInput for a text that is not a URL.
        """
        from http.client import HTTPConnection, HTTPSConnection, InvalidURL

        self._options, self._on_wait = options, on_wait
        self.cache = ResponseCache()
        """Responses about blocks, set by the owner of a client that caches them."""
        self._retries = Retries(options)
        self._process = os.getpid()
        try:
            address = urlsplit(url)
            host, port = address.hostname, address.port
            if address.scheme not in ("http", "https") or not host:
                raise ValueError("no scheme or no host")
            kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
            self._connect = partial(kind, host, port, timeout=options.timeout)
            self._connect()  # opens no connection yet, and rejects an invalid host
        except (ValueError, InvalidURL):
            raise InvalidInput(
                f"'{redacted_url(url)}' is not a URL of a node: expected http://127.0.0.1:8545, for example"
            ) from None
        self.url, self.name, self._parse = url, redacted_url(url), parse
        self._own = local()
        self._opening = Lock()
        self._links = WeakSet[_Link]()
        """Those of all threads."""
        self._path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"

    def request(self, method: str, *params: Any) -> Any:
        """Return the node's response. Raises NodeError; also in a forked process, which shares connections."""
        if os.getpid() != self._process:
            raise NodeError(
                f"{self.name} can be queried only by the process that opened the connection, not by a fork of it"
            )
        if self._options.offline:
            raise NotCached(self.name, f"the response to {method}{json.dumps(params)[1:-1]:.100}".strip())
        body = json.dumps({"jsonrpc": "2.0", "id": _ID, "method": method, "params": params})
        attempt = 0
        while True:
            self._retries.wait_for_turn()
            try:
                return self._request_once(method, body)
            except _Busy as error:
                if not self._retries.wait_for_retry(attempt, error.after, limited=error.limited):
                    raise error.final(attempt) from None
            attempt += 1

    def _request_once(self, method: str, body: str) -> Any:
        """Send one request. Raises NodeError; _Busy where another attempt may succeed."""
        from http.client import HTTPException

        try:
            response = self._parse(self._post(self._connection, body))
        except TimeoutError:
            self._connection.close()
            raise NodeError(
                f"{self.name} did not respond to {method} within {self._options.timeout:g} s: check that the node "
                "is running and reachable, or pass another URL"
            ) from None
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            self._connection.close()
            failed = NodeError(
                f"no node responds at {self.name} ({error}): check the URL, or start a node with `hypervisor node`"
            )
            if isinstance(error, _DROPPED):
                failed = _Busy(failed, limited=False)
            raise failed from None
        if _is_of_another_request(response):
            self._connection.close()
            raise NodeError(
                f"{self.name} returned the response to another request (id {response['id']!r:.40}, not {_ID}): check "
                "the proxy at this URL, or pass another URL"
            )
        match response:
            case {"error": {"message": str(words)} as error}:
                refused = NodeError(
                    f"{self.name} returned an error: {words}",
                    error.get("data"),
                    code=error.get("code"),
                    answered=True,
                    node_message=words,
                )
                raise _Busy(refused, limited=True) if is_rate_limited(error) else refused
            case {"result": result}:
                return result
        raise NodeError(f"{self.name} returned a response that is not JSON-RPC: is it a node?")

    def read(self, parse: Callable[[Any], T], method: str, *params: Any) -> T:
        """Return the node's response, parsed. Raises NodeError, also for another shape."""
        response = self.request(method, *params)
        try:
            return parse(response)
        except (LookupError, TypeError, ValueError) as error:
            raise NodeError(
                f"{self.name} returned a malformed result of {method}: {response!r:.80} ({error}); check the URL"
            ) from None

    @property
    def _connection(self) -> HTTPConnection:
        """Return the calling thread's connection."""
        own: _Link | None = getattr(self._own, "link", None)
        if own is None:
            own = self._own.link = _Link(self._connect())
            with self._opening:
                self._links.add(own)
        return own.connection

    def _post(self, connection: HTTPConnection, body: str) -> bytes:
        from http.client import RemoteDisconnected

        idle, began = connection.sock is not None, monotonic()
        try:
            return self._exchange(connection, body, began)
        except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if not idle:
                raise
            connection.close()  # the node has closed a connection that was idle: http.client opens another one
            return self._exchange(connection, body, began)

    def _exchange(self, connection: HTTPConnection, body: str, began: float) -> bytes:
        if connection.sock is None:
            connection.connect()
            connection.sock = TimedSocket(cast("socket.socket", connection.sock), self._on_wait)
        cast(TimedSocket, connection.sock).begin(began, self._options.timeout)
        own = {"content-type": "application/json", **dict(self._options.headers)}
        connection.request("POST", self._path, body, own)
        response = connection.getresponse()
        data = response.read(_MAX_RESPONSE_BYTES + 1)
        if len(data) > _MAX_RESPONSE_BYTES:
            raise ValueError(f"the response exceeds {_MAX_RESPONSE_BYTES} bytes")
        redirect = redirect_text(self.url, response.status, response.getheader("location"))
        if redirect is not None:
            raise NodeError(redirect)
        temporary = is_temporary(response.status)
        if temporary or (response.status != HTTPStatus.OK and b'"jsonrpc"' not in data):
            words = data[:_MAX_WORDS].decode(errors="replace").strip()
            if words.startswith("<"):
                words = "markup instead of JSON; check the URL"
            refused = NodeError(
                f"{self.name} returned HTTP {response.status} {response.reason}: {words or 'without a body'}",
                answered=response.status in _NOT_OFFERED,
            )
            if not temporary:
                raise refused
            after = seconds_after(response.getheader("retry-after"))
            raise _Busy(refused, limited=response.status == _TOO_MANY, after=after)
        return data

    def close(self) -> None:
        """Close the cache and the connections of all threads. No request may be running.

        The next request opens a new connection.
        """
        with self._opening:
            links = list(self._links)
        for link in links:
            link.connection.close()
        self.cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_of_another_request(response: Any) -> bool:
    """Return True if a response has another id than the request. An error may have none."""
    if not isinstance(response, dict) or "id" not in response:
        return False
    number = response["id"]
    return "result" in response if number is None else type(number) is not int or number != _ID
