"""One JSON-RPC request to a node, for commands."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from hypervisor.errors import HypervisorError, InvalidInput

_TIMEOUT = 120
_DEEP = 10_000
"""Levels of JSON that are read: a call tree has two for each of at most 1,024 calls."""


class NodeError(HypervisorError):
    """A node that does not answer, or answers with an error; `data` is what came with it, of a revert its bytes."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.data = data


def ask(url: str, method: str, *params: Any) -> Any:
    """What a node answers. Raises NodeError, and InvalidInput for what is no URL."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InvalidInput(f"'{url}' is no URL of a node: expected http://127.0.0.1:8545, for example")
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    sys.setrecursionlimit(max(_DEEP, sys.getrecursionlimit()))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        with closing(connect(address.hostname, address.port, timeout=_TIMEOUT)) as connection:
            connection.request("POST", address.path or "/", body, {"content-type": "application/json"})
            answer = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError) as error:
        raise NodeError(f"no node answers at {url} ({error}): start one with `hypervisor node`") from None
    match answer:
        case {"error": {"message": str(words)} as error}:
            raise NodeError(f"{url} answers: {words}", error.get("data"))
        case {"result": result}:
            return result
    raise NodeError(f"{url} answers what is no JSON-RPC: is it a node's?")
