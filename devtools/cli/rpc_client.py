"""One JSON-RPC request to a node, for commands."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from localnet.node_client import NodeClient

_DEEP: Final = 10_000
"""Levels of JSON that are read: a call tree has two for each of at most 1,024 calls."""


def ask(url: str, method: str, *params: Any) -> Any:
    """What a node answers. Raises NodeError, and InvalidInput for what is no URL."""
    with NodeClient(url, _parsed) as client:
        return client.ask(method, *params)


def _parsed(data: bytes) -> Any:
    sys.setrecursionlimit(max(_DEEP, sys.getrecursionlimit()))  # a command's process is its own
    return json.loads(data)
