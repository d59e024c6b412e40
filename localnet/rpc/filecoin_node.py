"""Filecoin's methods about the node, and Lotus's variants of Ethereum's methods."""

from __future__ import annotations

from typing import Any, Final

from localnet.rpc.blocks import get_block_receipts
from localnet.rpc.blocks_at import BlockRef, block, find
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin_messages import is_older
from localnet.rpc.lotus_values import epoch
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.transactions import get_transaction_by_hash, get_transaction_receipt
from localnet.rpc.values import hash32

API_VERSION: Final = 0x020300
"""API version 2.3.0, which Lotus clients of the v1 API expect."""

BLOCK_DELAY: Final = 30
"""Seconds between epochs on the network."""


def version(node: Node) -> dict[str, Any]:
    """Return this program's version, the version of the API (2.3.0), and the seconds between epochs on the network."""
    return {"Version": node.client_version, "APIVersion": API_VERSION, "BlockDelay": BLOCK_DELAY}


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
            f"tipset {found.height} is older than the allowed lookback limit: it is "
            f"{node.network.block_number - found.height} epochs old, the limit is {limit}; pass -1 for no limit",
        )
    return get_block_receipts(node, at)


def _is_beyond(node: Node, transaction_hash: bytes, limit: int) -> bool:
    receipt = node.network.find_executed(transaction_hash)
    return receipt is not None and is_older(node, receipt.tipset, limit)


METHODS = (
    Method("Filecoin.Version", (), version, inline=True),
    Method("Filecoin.EthGetTransactionByHashLimited", (hash32, epoch), transaction_limited),
    Method("Filecoin.EthGetTransactionReceiptLimited", (hash32, epoch), receipt_limited),
    Method("Filecoin.EthGetBlockReceiptsLimited", (block, epoch), receipts_limited),
)
