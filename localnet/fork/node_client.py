"""A JSON-RPC client of a node, over one HTTP connection: for commands, and for networks forked from another one.

Nothing that a node answers is believed here: callers check what they get.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection, InvalidURL, RemoteDisconnected
from threading import Lock
from typing import Any, Final, Self
from urllib.parse import urlsplit

from hypervisor.errors import HypervisorError, InvalidInput
from store.json_text import parse_json

_TIMEOUT: Final = 120
_LARGEST_ANSWER: Final = 256 * 1024 * 1024
_METHOD_NOT_FOUND: Final = -32601
"""JSON-RPC 2.0, section 5.1."""
_MOST_WORDS: Final = 400
"""Bytes of a refusal that are shown."""


def shown_url(url: str) -> str:
    """A URL for people and logs: without the user and the password that it may name."""
    return re.sub(r"//[^/?#]*@", "//***@", url)


class NodeError(HypervisorError):
    """A node that does not answer, or answers with an error.

    `data` is what came with it, of a revert its bytes; `code` is its number in JSON-RPC; `answered` says whether a node
    answered at all.
    """

    def __init__(self, message: str, data: Any = None, *, code: Any = None, answered: bool = False) -> None:
        super().__init__(message)
        self.data = data
        self.code = code
        self.answered = answered

    @property
    def is_unknown_method(self) -> bool:
        """Whether the node has no such method; else it has refused this request, or there is no answer."""
        return self.answered and self.code == _METHOD_NOT_FOUND


class NodeClient:
    """Asks one node, one question at a time, whichever threads ask."""

    def __init__(self, url: str, parse: Callable[[bytes], Any] = parse_json, seconds: float = _TIMEOUT) -> None:
        """`parse` reads the JSON of answers; a silent node is given `seconds`. InvalidInput for what is no URL."""
        try:
            address = urlsplit(url)
            host, port = address.hostname, address.port
            if address.scheme not in ("http", "https") or not host:
                raise ValueError("no scheme or no host")
            kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
            self._connection = kind(host, port, timeout=seconds)
        except (ValueError, InvalidURL):
            raise InvalidInput(
                f"'{shown_url(url)}' is not a URL of a node: expected http://127.0.0.1:8545, for example"
            ) from None
        self.url, self.name, self._parse = url, shown_url(url), parse
        self._asking = Lock()
        self._path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"

    def ask(self, method: str, *params: Any) -> Any:
        """What the node answers. Raises NodeError."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            with self._asking:
                data = self._post(body)
            answer = self._parse(data)
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            self.close()
            raise NodeError(f"no node answers at {self.name} ({error}): start one with `hypervisor node`") from None
        match answer:
            case {"error": {"message": str(words)} as error}:
                raise NodeError(
                    f"{self.name} answered: {words}", error.get("data"), code=error.get("code"), answered=True
                )
            case {"result": result}:
                return result
        raise NodeError(f"{self.name} answered what is not JSON-RPC: is it a node's?")

    def _post(self, body: str) -> bytes:
        idle = self._connection.sock is not None
        try:
            return self._exchange(body)
        except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if not idle:
                raise
            self.close()  # the node has closed a connection that was idle: http.client opens another one
            return self._exchange(body)

    def _exchange(self, body: str) -> bytes:
        self._connection.request("POST", self._path, body, {"content-type": "application/json"})
        response = self._connection.getresponse()
        data = response.read(_LARGEST_ANSWER + 1)
        if len(data) > _LARGEST_ANSWER:
            raise ValueError(f"an answer of more than {_LARGEST_ANSWER} bytes")
        if response.status != HTTPStatus.OK and b'"jsonrpc"' not in data:  # who refuses may say why, in any words
            words = data[:_MOST_WORDS].decode(errors="replace").strip()
            raise NodeError(f"{self.name} answered {response.status} {response.reason}: {words or 'and no more'}")
        return data

    def close(self) -> None:
        """Release the connection; the next question opens another one."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
