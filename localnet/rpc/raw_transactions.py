"""Signed transactions as raw bytes. Messages that are not Ethereum transactions have none (null)."""

from __future__ import annotations

from bridge.filecoin.messages import from_signed_message
from hypervisor.messages.message import SignatureType, SignedMessage
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, block, find, number_or_tag, resolve
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import as_data, hash32, quantity


def raw_transaction(node: Node, transaction_hash: bytes) -> str | None:
    """Return the bytes of a signed transaction, in a block or pending; null if there is none."""
    receipt = node.network.chain.index.receipt(transaction_hash)
    if receipt is not None:
        return _raw_of(receipt)
    pending = node.network.mempool.get(transaction_hash)
    return None if pending is None else _raw(pending.message, node.network.chain_id)


def raw_by_block_hash(node: Node, block_hash: bytes, index: int) -> str | None:
    """Return the bytes of the transaction at an index of the block with a hash."""
    return _raw_at(node, find(node.network, BlockRef(hash=block_hash)), index)


def raw_by_block_number(node: Node, number: BlockRef, index: int) -> str | None:
    """Return the bytes of the transaction at an index of the block at a height."""
    return _raw_at(node, find(node.network, number), index)


def raw_transactions(node: Node, at: BlockRef) -> list[str | None]:
    """Return the bytes of all transactions of a block."""
    receipts = node.network.chain.index.receipts(resolve(node.network, at))
    return [_raw_of(receipt) for receipt in receipts]


def _raw_at(node: Node, found: Tipset | None, index: int) -> str | None:
    if found is None or index >= len(found.transactions):
        return None
    return _raw_of(node.network.chain.index.receipt_at(found, index))


def _raw_of(receipt: TransactionReceipt) -> str | None:
    return _raw(receipt.execution.message, receipt.chain_id)


def _raw(message: SignedMessage, chain_id: int) -> str | None:
    if message.signature.type is not SignatureType.DELEGATED or not message.signature.data:
        return None
    return as_data(from_signed_message(message, chain_id).raw())


METHODS = (
    Method("eth_getRawTransactionByHash", (hash32,), raw_transaction, aliases=("debug_getRawTransaction",)),
    Method("eth_getRawTransactionByBlockHashAndIndex", (hash32, quantity), raw_by_block_hash),
    Method("eth_getRawTransactionByBlockNumberAndIndex", (number_or_tag, quantity), raw_by_block_number),
    Method("debug_getRawTransactions", (block,), raw_transactions),
)
