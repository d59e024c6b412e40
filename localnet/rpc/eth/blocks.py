"""Methods about blocks and their headers, block-level access lists, and uncles, which Filecoin does not have.

`eth_getBlockAccessList` (EIP-7928) is available under Ethereum's rules. Specification: Ethereum's execution APIs,
`src/eth/block.yaml`.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.block import BlockAccessList
from bridge.ethereum.rlp import RlpError
from localnet.chain.block_production import has_pending
from localnet.ledger.records import Tipset
from localnet.rpc.blocks_and_null_rounds import PENDING, BlockRef, block, find, hash_ref, number_or_tag
from localnet.rpc.errors import NOT_FOUND, NOT_SUPPORTED, RpcError
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.refused import ACCESS_LISTS, REASONS
from localnet.rpc.shapes import block_fields, block_json, receipt_json, transaction_json
from localnet.rpc.values import as_data, as_quantity, boolean, quantity
from store.blockstore import StoreCorrupt


def block_number(node: Node) -> str:
    """Return the height of the newest block."""
    return as_quantity(node.network.executed_head.height)


def get_block(node: NodeReader, at: BlockRef, full: bool = False) -> dict[str, Any] | None:
    """Return the block with a hash, or at a height or tag; null if the chain has none, error 12 for a null round."""
    if is_pending(node, at):
        return _pending(node, full)
    found = find(node.network, at)
    if found is None:
        return None
    node.require_small_read(len(found.transactions), whole=full)
    return block_json(node.network.chain.index, found, node.network.rules, full)


def transaction_count(node: Node, at: BlockRef) -> str | None:
    """Return the number of transactions in a block."""
    found = node.pending_block().tipset if is_pending(node, at) else find(node.network, at)
    return None if found is None else as_quantity(len(found.transactions))


def get_block_receipts(node: Node, at: BlockRef) -> list[dict[str, Any]] | None:
    """Return the receipts of a block's transactions, in order; error 12 for a null round."""
    rules = node.network.rules
    if is_pending(node, at):
        return [{**receipt_json(receipt, rules), "blockHash": None} for receipt in node.pending_block().receipts()]
    found = find(node.network, at)
    return None if found is None else [receipt_json(each, rules) for each in node.network.chain.index.receipts(found)]


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


_OF_A_BODY = ("transactions", "uncles", "size", "totalDifficulty", "withdrawals")


def header(node: Node, at: BlockRef) -> dict[str, Any] | None:
    """Return a block without its transactions; null if the chain has none yet."""
    return without_body(get_block(node, at))


def uncle_count(node: Node, at: BlockRef) -> str | None:
    """Return 0, or null if the chain has no such block."""
    return None if find(node.network, at) is None else as_quantity(0)


def uncle(node: Node, at: BlockRef, index: int) -> None:
    """Return null: a tipset has no uncles."""


def without_body(block: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of a block that its header has."""
    return None if block is None else {name: value for name, value in block.items() if name not in _OF_A_BODY}


_REMEDY: Final = "start the node with --hardfork amsterdam or osaka+7928"


def get_block_access_list(node: NodeReader, at: BlockRef) -> list[dict[str, Any]] | None:
    """Return the accounts and slots that a block touches, with their values after each change (EIP-7928).

    Null for an unknown or pending block; error -32001 in a fork of Ethereum without access lists.
    """
    found = _with_access_list(node, at)
    if found is None:
        return None
    try:
        return BlockAccessList.decode(found.access_list).json() if found.access_list else []
    except RlpError as error:
        raise StoreCorrupt(f"the stored access list of block {found.height} is damaged: {error}") from None


def raw_block_access_list(node: NodeReader, at: BlockRef) -> str:
    """Return a block's access list as RLP; error -32001 if there is none."""
    found = _with_access_list(node, at)
    if found is None:
        raise RpcError(NOT_FOUND, "the chain has no such block")
    return as_data(found.access_list or _EMPTY_LIST)


def _with_access_list(node: NodeReader, at: BlockRef) -> Tipset | None:
    """Return a block, None for an unknown or pending one. Raises RpcError if the rules have no access lists."""
    rules = node.network.rules
    if not rules.hardfork:
        raise RpcError(NOT_SUPPORTED, REASONS[ACCESS_LISTS[0]])
    if rules.access_list is None:
        raise RpcError(NOT_FOUND, f"blocks of {rules.hardfork} have no access list; {_REMEDY}")
    return None if is_pending(node, at) else find(node.network, at)


_EMPTY_LIST: Final = b"\xc0"


METHODS = (
    Method("eth_blockNumber", (), block_number, inline=True),
    Method("eth_getBlockByNumber", (number_or_tag, optional(boolean)), get_block, reads=True, short=True),
    Method("eth_getBlockByHash", (hash_ref, optional(boolean)), get_block, reads=True, short=True),
    Method("eth_getBlockTransactionCountByNumber", (number_or_tag,), transaction_count),
    Method("eth_getBlockTransactionCountByHash", (hash_ref,), transaction_count),
    Method("eth_getBlockReceipts", (block,), get_block_receipts),
    Method("eth_getHeaderByHash", (hash_ref,), header),
    Method("eth_getHeaderByNumber", (number_or_tag,), header, aliases=("erigon_getHeaderByNumber",)),
    Method("eth_getUncleCountByBlockHash", (hash_ref,), uncle_count),
    Method("eth_getUncleCountByBlockNumber", (number_or_tag,), uncle_count),
    Method("eth_getUncleByBlockHashAndIndex", (hash_ref, quantity), uncle),
    Method("eth_getUncleByBlockNumberAndIndex", (number_or_tag, quantity), uncle),
    Method(ACCESS_LISTS[0], (block,), get_block_access_list, reads=True, aliases=ACCESS_LISTS[1:3]),
    Method(ACCESS_LISTS[3], (block,), raw_block_access_list, reads=True, aliases=ACCESS_LISTS[4:]),
)
