"""JSON-RPC requests to a network in this process, without a socket and on the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from localnet.network import Network
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher


class Requests:
    """Execute JSON-RPC requests on an in-process network. Responses equal those of the node over HTTP."""

    def __init__(self, network: Network, limits: NodeLimits | None = None) -> None:
        self._dispatcher = Dispatcher(Node(network, limits or NodeLimits()), _at_once)

    def call(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        """Return the response of one request as an object with `result` or `error`."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response: dict[str, Any] = orjson.loads(self.respond(orjson.dumps(request)))
        return response

    def respond(self, request: bytes) -> bytes:
        """Return the response to a request."""
        step = self._dispatcher.dispatch(request)
        try:
            step.send(None)
        except StopIteration as done:
            answer: bytes = done.value
            return answer
        raise RuntimeError("a request to an in-process network was suspended: methods that wait are not supported here")


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()
