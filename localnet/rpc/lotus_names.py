"""Lotus' aliases of Ethereum methods: each method that it serves has a second name with the prefix `Filecoin.`.

Source: lotus api/eth_aliases.go.
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

LOTUS_NAMES: Final = {
    **{f"eth_{name}": (f"Filecoin.Eth{name[0].upper()}{name[1:]}",) for name in _ETHEREUM.split()},
    **{f"trace_{name}": (f"Filecoin.EthTrace{name[0].upper()}{name[1:]}",) for name in _TRACES.split()},
    "eth_sendRawTransaction": ("Filecoin.EthSendRawTransaction", "Filecoin.EthSendRawTransactionUntrusted"),
    "net_version": ("Filecoin.NetVersion",),
    "net_listening": ("Filecoin.NetListening",),
    "web3_clientVersion": ("Filecoin.Web3ClientVersion",),
}
"""The further names of a method."""


def with_lotus_names(rows: Iterable[Method]) -> list[Method]:
    """Return the rows with Lotus' names among their aliases."""
    return [replace(row, aliases=(*row.aliases, *LOTUS_NAMES.get(row.name, ()))) for row in rows]
