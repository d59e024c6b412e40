"""Methods about blocks."""

from __future__ import annotations

from typing import Any

from localnet.chain.pending import has_pending
from localnet.ledger.records import Tipset
from localnet.rpc.blocks_and_null_rounds import PENDING, BlockRef, block, find, number_or_tag
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.shapes import block_fields, block_json, receipt_json, transaction_json
from localnet.rpc.values import as_data, as_quantity, boolean, hash32


def block_number(node: Node) -> str:
    """Return the height of the newest block."""
    return as_quantity(node.network.executed_head.height)


def get_block_by_number(node: NodeReader, number: BlockRef, full: bool = False) -> dict[str, Any] | None:
    """Return the block at a height or tag, null if the chain has none yet; error 12 for a null round."""
    if is_pending(node, number):
        return _pending(node, full)
    return _shown(node, find(node.network, number), full)


def get_block_by_hash(node: NodeReader, block_hash: bytes, full: bool = False) -> dict[str, Any] | None:
    """Return the block with a hash, null if the chain has none."""
    return _shown(node, find(node.network, BlockRef(hash=block_hash)), full)


def transaction_count_by_number(node: Node, number: BlockRef) -> str | None:
    """Return the number of transactions in the block at a height."""
    if is_pending(node, number):
        return _count(node.pending_block().tipset)
    return _count(find(node.network, number))


def transaction_count_by_hash(node: Node, block_hash: bytes) -> str | None:
    """Return the number of transactions in the block with a hash."""
    return _count(find(node.network, BlockRef(hash=block_hash)))


def get_block_receipts(node: Node, at: BlockRef) -> list[dict[str, Any]] | None:
    """Return the receipts of a block's transactions, in order."""
    found = None if is_pending(node, at) else find(node.network, at)
    if found is None:
        return None
    rules = node.network.rules
    return [receipt_json(receipt, rules) for receipt in node.network.chain.index.receipts(found)]


def is_pending(node: NodeReader, ref: BlockRef) -> bool:
    """Return True if the reference is the pending block, and the rules have one."""
    return ref.tag == PENDING and has_pending(node.network)


def _pending(node: NodeReader, full: bool) -> dict[str, Any]:
    network, found = node.network, node.pending_block()
    transactions: list[Any] = [as_data(receipt.hash) for receipt in found.receipts()]
    if full:
        transactions = [{**transaction_json(receipt), "blockHash": None} for receipt in found.receipts()]
    fields = block_fields(found.tipset, network.head.hash, transactions, network.rules)
    return {**fields, **dict.fromkeys(("hash", "nonce", "miner"))}  # null as in geth: they are not final


def _shown(node: NodeReader, found: Tipset | None, full: bool) -> dict[str, Any] | None:
    if found is None:
        return None
    node.require_small_read(len(found.transactions), whole=full)
    return block_json(node.network.chain.index, found, node.network.rules, full)


def _count(found: Tipset | None) -> str | None:
    return None if found is None else as_quantity(len(found.transactions))


METHODS = (
    Method("eth_blockNumber", (), block_number, inline=True),
    Method("eth_getBlockByNumber", (number_or_tag, optional(boolean)), get_block_by_number, reads=True, short=True),
    Method("eth_getBlockByHash", (hash32, optional(boolean)), get_block_by_hash, reads=True, short=True),
    Method("eth_getBlockTransactionCountByNumber", (number_or_tag,), transaction_count_by_number),
    Method("eth_getBlockTransactionCountByHash", (hash32,), transaction_count_by_hash),
    Method("eth_getBlockReceipts", (block,), get_block_receipts),
)
