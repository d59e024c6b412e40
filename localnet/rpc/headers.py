"""Methods about block headers, and about uncles, which Filecoin does not have."""

from __future__ import annotations

from typing import Any

from localnet.rpc.blocks_and_null_rounds import BlockRef, find, number_or_tag
from localnet.rpc.eth.blocks import get_block_by_hash, get_block_by_number
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import as_quantity, hash32, quantity

_OF_A_BODY = ("transactions", "uncles", "size", "totalDifficulty")


def header_by_hash(node: Node, block_hash: bytes) -> dict[str, Any] | None:
    """Return the block with a hash, without its transactions; null if the chain has none."""
    return without_body(get_block_by_hash(node, block_hash))


def header_by_number(node: Node, number: BlockRef) -> dict[str, Any] | None:
    """Return the block at a height or tag, without its transactions; null if the chain has none yet."""
    return without_body(get_block_by_number(node, number))


def uncle_count_by_hash(node: Node, block_hash: bytes) -> str | None:
    """Return 0, or null if the chain has no block with the hash."""
    return None if find(node.network, BlockRef(hash=block_hash)) is None else as_quantity(0)


def uncle_count_by_number(node: Node, number: BlockRef) -> str | None:
    """Return 0, or null if the chain has no block at the height yet."""
    return None if find(node.network, number) is None else as_quantity(0)


def uncle_by_hash(node: Node, block_hash: bytes, index: int) -> None:
    """Return null: a tipset has no uncles."""


def uncle_by_number(node: Node, number: BlockRef, index: int) -> None:
    """Return null: a tipset has no uncles."""


def without_body(block: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of a block that its header has."""
    return None if block is None else {name: value for name, value in block.items() if name not in _OF_A_BODY}


METHODS = (
    Method("eth_getHeaderByHash", (hash32,), header_by_hash),
    Method("eth_getHeaderByNumber", (number_or_tag,), header_by_number, aliases=("erigon_getHeaderByNumber",)),
    Method("eth_getUncleCountByBlockHash", (hash32,), uncle_count_by_hash),
    Method("eth_getUncleCountByBlockNumber", (number_or_tag,), uncle_count_by_number),
    Method("eth_getUncleByBlockHashAndIndex", (hash32, quantity), uncle_by_hash),
    Method("eth_getUncleByBlockNumberAndIndex", (number_or_tag, quantity), uncle_by_number),
)
