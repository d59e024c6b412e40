"""A JSON-RPC client of a node over HTTP, with one connection per thread. Used by commands and forks.

Responses are untrusted: callers validate them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from threading import Lock, local
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakSet, finalize

from hypervisor.errors import InvalidInput
from localnet.errors import NodeError as NodeError
from localnet.fork.request_options import RequestOptions, Retries, is_rate_limited, is_temporary, seconds_after
from localnet.fork.response_cache import ResponseCache
from localnet.fork.timed_socket import OnWait, TimedSocket
from localnet.fork.urls import redacted_url
from store.untrusted import parse_json

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from socket import socket

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
            connection.sock = TimedSocket(cast("socket", connection.sock), self._on_wait)
        cast(TimedSocket, connection.sock).begin(began, self._options.timeout)
        own = {"content-type": "application/json", **dict(self._options.headers)}
        connection.request("POST", self._path, body, own)
        response = connection.getresponse()
        data = response.read(_MAX_RESPONSE_BYTES + 1)
        if len(data) > _MAX_RESPONSE_BYTES:
            raise ValueError(f"the response exceeds {_MAX_RESPONSE_BYTES} bytes")
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
