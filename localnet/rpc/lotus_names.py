"""Further names of methods in Lotus and Forest.

Each method of Ethereum that they serve has a second name with the prefix `Filecoin.`. In Forest, Filecoin's variants of
these methods have a second name with the prefix `eth_`. Sources: lotus api/eth_aliases.go, Forest's OpenRPC snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

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
