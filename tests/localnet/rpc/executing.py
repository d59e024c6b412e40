"""Requests to the executors of a node in this process, and a node that serves on a thread."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localnet.rpc.server.executors import Executors
from localnet.rpc.server.server import Server

SOON = 20.0
"""Timeout in seconds of waits in tests."""
HASHING = "0x5b6201000060002050600056"
"""KECCAK256 of 64 KiB in an endless loop."""


def request_object(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def body(method: str, *params: Any) -> bytes:
    """Return a request as JSON."""
    return json.dumps(request_object(method, *params)).encode()


def ask(executors: Executors, method: str, *params: Any) -> Any:
    """Return the response to a request, executed on the calling thread."""
    return json.loads(asyncio.run(executors.dispatcher.dispatch(body(method, *params))))


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve on a thread until the block ends."""
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(SOON)
    try:
        yield server
    finally:
        server.stop()
        thread.join(SOON)
