"""The table of all JSON-RPC methods by name, with modules that are loaded on the first request for a method.

The methods that wallets and tools call first are loaded at startup. The others are loaded when one of them is first
called, because loading them takes a third of the node's startup time.

Each method of Ethereum that Lotus and Forest serve has a second name with the prefix `Filecoin.`. In Forest, Filecoin's
variants of these methods have a second name with the prefix `eth_`. Sources: lotus api/eth_aliases.go, Forest's OpenRPC
snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

from localnet.rpc import socket_methods
from localnet.rpc.eth import blocks, logs, node_info, state, transactions
from localnet.rpc.methods import Method

_ETHEREUM: Final = """
    accounts baseFee blockNumber call chainId estimateGas feeHistory gasPrice getBalance getBlockByHash
    getBlockByNumber getBlockReceipts getBlockTransactionCountByHash getBlockTransactionCountByNumber getCode
    getFilterChanges getFilterLogs getLogs getStorageAt getTransactionByBlockHashAndIndex
    getTransactionByBlockNumberAndIndex getTransactionByHash getTransactionCount getTransactionReceipt
    maxPriorityFeePerGas newBlockFilter newFilter newPendingTransactionFilter protocolVersion sendRawTransaction
    subscribe syncing uninstallFilter unsubscribe
"""
_TRACES: Final = "block filter replayBlockTransactions transaction"

_FILECOINS: Final = """
    getBlockReceiptsLimited getMessageCidByTransactionHash getTransactionByHashLimited getTransactionHashByCid
    getTransactionReceiptLimited
"""


def _with_prefix(name: str) -> str:
    return f"Filecoin.Eth{name[0].upper()}{name[1:]}"


LOTUS_NAMES: Final = {
    **{f"eth_{name}": (_with_prefix(name),) for name in _ETHEREUM.split()},
    **{_with_prefix(name): (f"eth_{name}",) for name in _FILECOINS.split()},
    **{f"trace_{name}": (f"Filecoin.EthTrace{name[0].upper()}{name[1:]}",) for name in _TRACES.split()},
    "eth_sendRawTransaction": (
        "Filecoin.EthSendRawTransaction",
        "Filecoin.EthSendRawTransactionUntrusted",
        "eth_sendRawTransactionUntrusted",
    ),
    "trace_call": ("Forest.EthTraceCall",),
    "debug_traceTransaction": ("Forest.EthDebugTraceTransaction",),
    "net_version": ("Filecoin.NetVersion",),
    "net_listening": ("Filecoin.NetListening",),
    "web3_clientVersion": ("Filecoin.Web3ClientVersion",),
}
"""The further names of a method."""


def with_lotus_names(rows: Iterable[Method]) -> list[Method]:
    """Return the rows with Lotus' names among their aliases."""
    return [replace(row, aliases=(*row.aliases, *LOTUS_NAMES.get(row.name, ()))) for row in rows]


_FURTHER: Final = (
    "debug.traces",
    "debug.parity",
    "debug.otterscan",
    "debug.geth",
    "eth.simulate",
    "dev.control",
    "dev.actors",
    "dev.state",
    "debug.side_states",
    "filecoin.methods",
    "refused",
)


def further_modules() -> Iterator[ModuleType]:
    """Load the modules one by one, so that a node can shut down between them."""
    for name in _FURTHER:
        yield import_module(f"localnet.rpc.{name}")


_FIRST: Final[tuple[ModuleType, ...]] = (node_info, state, blocks, transactions, logs, socket_methods)


class MethodTable(dict[str, Method | None]):
    """The methods by name; None for unknown names. Thread-safe."""

    def __init__(self, first: Iterable[ModuleType] = _FIRST) -> None:
        """Load the methods of the `first` modules."""
        super().__init__(_by_name(first))
        self._is_complete = False

    def __missing__(self, name: str) -> Method | None:
        if self._is_complete:
            return None
        self.load_all()
        return self.get(name)

    def put(self, method: Method) -> None:
        """Register a method under its names, replacing earlier ones."""
        self.update(dict.fromkeys((method.name, *method.aliases), method))

    def load_all(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Load the remaining methods. Returns early if `is_stopped` returns True, which it does when the node stops."""
        for module in modules():
            if is_stopped():
                return
            for name, method in _methods_of(module).items():
                self.setdefault(name, method)
        self._is_complete = True


def modules() -> Iterator[ModuleType]:
    """Yield the modules of methods, in the order of loading. Each defines a table `METHODS`."""
    yield from _FIRST
    yield from further_modules()


def method_table() -> dict[str, Method]:
    """Return all methods by name and alias."""
    return _by_name(modules())


def _by_name(found: Iterable[ModuleType]) -> dict[str, Method]:
    return {name: row for module in found for name, row in _methods_of(module).items()}


@cache
def _methods_of(module: ModuleType) -> dict[str, Method]:
    """Return a module's methods by name and alias: once for all tables, as rows inspect their handlers."""
    return {name: row for row in with_lotus_names(module.METHODS) for name in (row.name, *row.aliases)}
