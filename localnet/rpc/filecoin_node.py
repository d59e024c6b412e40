"""Filecoin's methods about the node, and Lotus's variants of Ethereum's methods."""

from __future__ import annotations

import time
from typing import Any, Final

from localnet.rpc.blocks_and_null_rounds import FINAL_DEPTH, BlockRef, block, find
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.eth.blocks import get_block_receipts
from localnet.rpc.eth.transactions import get_transaction_by_hash, get_transaction_receipt
from localnet.rpc.filecoin.messages import is_older
from localnet.rpc.lotus_shapes import tipset_json
from localnet.rpc.lotus_values import epoch
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import boolean, hash32

API_VERSION: Final = 0x020300
"""API version 2.3.0, which Lotus clients of the v1 API expect."""

BLOCK_DELAY: Final = 30
"""Seconds between epochs on the network."""

_SYNC_COMPLETE: Final = 4
_NO_TIME: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""


def version(node: Node) -> dict[str, Any]:
    """Return this program's version, the version of the API (2.3.0), and the seconds between epochs on the network."""
    return {"Version": node.client_version, "APIVersion": API_VERSION, "BlockDelay": BLOCK_DELAY}


def node_status(node: Node, with_chain: bool) -> dict[str, Any]:
    """Return the head's height and its age in epochs, and with the chain its blocks per tipset from height 901 on.

    There are no peers.
    """
    head = node.network.head
    per_tipset = int(with_chain and head.height > FINAL_DEPTH)
    return {
        "SyncStatus": {"Epoch": head.height, "Behind": max(0, int(time.time()) - head.timestamp) // BLOCK_DELAY},
        "PeerStatus": {"PeersToPublishMsgs": 0, "PeersToPublishBlocks": 0},
        "ChainStatus": {"BlocksPerTipsetLast100": per_tipset, "BlocksPerTipsetLastFinality": per_tipset},
    }


def sync_state(node: Node) -> dict[str, Any]:
    """Return the state of a node that has synchronised its head: the chain has no other source."""
    head = tipset_json(node.network, node.network.head)
    complete = {
        "WorkerID": 0, "Base": head, "Target": head, "Stage": _SYNC_COMPLETE, "Height": head["Height"],
        "Start": _NO_TIME, "End": _NO_TIME, "Message": "",
    }  # fmt: skip
    return {"ActiveSyncs": [complete], "VMApplied": 0}


def transaction_limited(node: Node, transaction_hash: bytes, limit: int) -> dict[str, Any] | None:
    """Return the result of eth_getTransactionByHash; null if it is more than `limit` epochs ago (-1: no limit)."""
    return None if _is_beyond(node, transaction_hash, limit) else get_transaction_by_hash(node, transaction_hash)


def receipt_limited(node: Node, transaction_hash: bytes, limit: int) -> dict[str, Any] | None:
    """Return the result of eth_getTransactionReceipt; null if it is more than `limit` epochs ago (-1: no limit)."""
    return None if _is_beyond(node, transaction_hash, limit) else get_transaction_receipt(node, transaction_hash)


def receipts_limited(node: Node, at: BlockRef, limit: int) -> list[dict[str, Any]] | None:
    """Return the result of eth_getBlockReceipts; error 1 if it is more than `limit` epochs ago (-1: no limit)."""
    found = find(node.network, at)
    if found is not None and is_older(node, found, limit):
        raise RpcError(
            LOTUS_ERROR,
            f"tipset {found.height} is older than the allowed lookback limit: {limit} epochs before "
            f"{node.network.executed_head.height}; pass -1 for no limit",
        )
    return get_block_receipts(node, at)


def _is_beyond(node: Node, transaction_hash: bytes, limit: int) -> bool:
    receipt = node.network.find_executed(transaction_hash)
    return receipt is not None and is_older(node, receipt.tipset, limit)


METHODS = (
    Method("Filecoin.Version", (), version, inline=True),
    Method("Filecoin.NodeStatus", (boolean,), node_status),
    Method("Filecoin.SyncState", (), sync_state),
    Method("Filecoin.EthGetTransactionByHashLimited", (hash32, epoch), transaction_limited),
    Method("Filecoin.EthGetTransactionReceiptLimited", (hash32, epoch), receipt_limited),
    Method("Filecoin.EthGetBlockReceiptsLimited", (block, epoch), receipts_limited),
)
