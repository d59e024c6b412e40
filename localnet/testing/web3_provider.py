"""A provider for web3.py that uses a network in this process, without a socket.

    w3 = Web3(NetworkProvider(network))

Its responses are those of the node over HTTP; subscriptions are not available. Requires web3.py, which is not
installed with this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from localnet.network import Network
from localnet.rpc.dispatch import Dispatcher
from localnet.rpc.node import Node, NodeLimits


class NetworkProvider(JSONBaseProvider):
    """A web3.py provider that executes requests on the calling thread."""

    def __init__(self, network: Network, limits: NodeLimits | None = None) -> None:
        super().__init__()
        self._dispatcher = Dispatcher(Node(network, limits or NodeLimits()), _at_once)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Execute one request."""
        return self.decode_rpc_response(self._answer(self.encode_rpc_request(method, params)))

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return True."""
        return True

    def _answer(self, request: bytes) -> bytes:
        """Return the response to a request, synchronously."""
        step = self._dispatcher.answer(request)
        try:
            step.send(None)
        except StopIteration as done:
            answer: bytes = done.value
            return answer
        raise RuntimeError("a request of a network in this process waited for something")


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()
