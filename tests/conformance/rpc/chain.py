"""A chain with the height and age of the request files' chain, and a mapping from its hashes to ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from localnet import Network
from localnet.rpc.node import Node
from tests.conformance.rpc_spec import Exchange
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, calldata, deploy, greet
from tests.localnet.rpc.conftest import Client

HEAD: Final = 0x36
"""The height of the reference chain's head."""

BLOCK_TIME: Final = 10
"""Seconds between its blocks; the first block has time 0."""

_TRANSACTIONS: Final = ("eth_getTransactionByHash", "eth_getTransactionReceipt", "debug_traceTransaction")
_ABSENT: Final = ("notfound", "not-found", "unknown", "nonexistent", "empty-tx")


@dataclass
class ChainContents:
    """The chain and its contents: transaction hashes by type, a block with a transaction, a contract."""

    rpc: Client
    by_type: dict[str, str]
    block: str
    contract: str

    def own(self, exchange: Exchange) -> dict[str, Any]:
        """Replace the reference chain's hashes in a request by this chain's."""
        request = exchange.request
        method, params = request["method"], list(request.get("params", []))
        result = exchange.response.get("result")
        if any(word in exchange.name for word in _ABSENT) or result is None or not params:
            return request
        if method in _TRANSACTIONS or method == "debug_getRawTransaction":
            kind = result.get("type", "0x2") if isinstance(result, dict) else "0x2"
            params[0] = self.by_type.get(kind, params[0])
        else:
            params = [self._block(param) for param in params]
        return {**request, "params": params}

    def _block(self, param: Any) -> Any:
        if isinstance(param, str) and len(param) == 66:
            return self.block
        if isinstance(param, dict) and "blockHash" in param:
            return {**param, "blockHash": self.block}
        return param


@contextmanager
def make_chain() -> Iterator[ChainContents]:
    """Make a chain with transactions of each kind, logs and a failure, up to the reference chain's height."""
    height = 0
    with Network(clock=lambda: float(BLOCK_TIME * height)) as network:
        rpc = Client(Node(network))

        def next_time() -> None:
            nonlocal height
            height = network.block_number + 1

        next_time()
        contract = deploy(rpc, INBOX)
        by_type = {}
        for kind, fields in {"0x0": {"gasPrice": "0x30000"}, "0x1": {"gasPrice": "0x30000", "type": "0x1"}}.items():
            next_time()
            by_type[kind] = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", **fields})
        next_time()
        failing = {"from": ALICE, "to": contract, "data": calldata(INBOX, "refuse", "no"), "gas": "0x1000000"}
        rpc("eth_sendTransaction", failing)
        next_time()
        by_type["0x2"] = greet(rpc, contract)
        block = rpc("eth_getTransactionByHash", by_type["0x2"])["blockHash"]
        while network.block_number < HEAD:
            next_time()
            network.mine()
        yield ChainContents(rpc, by_type, block, contract)
