"""A provider for web3.py that uses a network in this process, without a socket.

    w3 = Web3(NetworkProvider(network))

Its responses are those of the node over HTTP; subscriptions are not available. Requires web3.py, which is not
installed with this package.
"""

from __future__ import annotations

from typing import Any

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from localnet.network import Network
from localnet.rpc.node import NodeLimits
from localnet.testing.requests import Requests


class NetworkProvider(JSONBaseProvider):
    """A web3.py provider that executes requests on the calling thread."""

    def __init__(self, network: Network, limits: NodeLimits | None = None) -> None:
        super().__init__()
        self._requests = Requests(network, limits)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Execute one request."""
        return self.decode_rpc_response(self._requests.respond(self.encode_rpc_request(method, params)))

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return True."""
        return True
