"""One JSON-RPC request to a node, for commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from json.decoder import JSONArray, JSONObject  # type: ignore[attr-defined]  # no types are published
from json.scanner import py_make_scanner  # type: ignore[attr-defined]  # likewise
from typing import Any, Final, TypeVar

from localnet.fork.node_client import DIRECT, NodeClient

T = TypeVar("T")

RESPONSE_TIMEOUT: Final = ContextVar("RESPONSE_TIMEOUT", default=DIRECT.timeout)
"""Seconds to wait for each response of a node: the command's `--timeout`."""

_DEEP: Final = 10_000
"""Recursion limit while a response is parsed.

A call tree has two levels of JSON for each of at most 1,024 calls, and the pure-Python parser uses up to three frames
per level.
"""


def rpc_request(url: str, method: str, *params: Any) -> Any:
    """Return the node's response. Raises NodeError, and InvalidInput for an invalid URL."""
    with node_client(url) as client:
        return client.request(method, *params)


def request_parsed(url: str, parse: Callable[[Any], T], method: str, *params: Any) -> T:
    """Return the node's response, parsed. Raises NodeError, also for another shape, and InvalidInput."""
    with node_client(url) as client:
        return client.read(parse, method, *params)


def node_client(url: str) -> NodeClient:
    """Return a client for several requests. Raises InvalidInput for an invalid URL."""
    return NodeClient(url, _parse, replace(DIRECT, timeout=RESPONSE_TIMEOUT.get()))


def _parse(data: bytes) -> Any:
    sys.setrecursionlimit(max(_DEEP, sys.getrecursionlimit()))  # safe here, since a command owns its process
    try:
        return json.loads(data)
    except RecursionError:  # the native parser of CPython 3.12 stops at 1,500 levels regardless of the recursion limit
        return _PythonDecoder().decode(data.decode())


class _PythonDecoder(json.JSONDecoder):
    """The pure-Python parts of the standard library's decoder: slower, but limited only by the recursion limit."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_object, self.parse_array = JSONObject, JSONArray
        self.scan_once = py_make_scanner(self)
