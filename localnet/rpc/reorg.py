"""A reorganisation on demand: the newest blocks are replaced by others, and subscribers are notified.

Names and parameters are anvil's.
"""

from __future__ import annotations

from typing import Any

from localnet.rpc.dev.control import rollback
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.eth.transactions import send_raw_transaction, send_transaction
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.values import data, list_of, number

MAX_TRANSACTIONS = 1_000

Sent = tuple[TransactionRequest | bytes, int]


def pair(value: Any) -> Sent:
    """Read a transaction (an object, or signed bytes), and the number of its block among the new ones."""
    if not isinstance(value, list) or len(value) != 2:
        raise invalid_params("expected pairs of a transaction and the number of its block among the new ones")
    request, index = value
    return data(request) if isinstance(request, str) else transaction(request), number(index)


def reorganise(node: Node, depth: int, transactions: list[Sent] | None = None) -> None:
    """Replace the newest blocks by others with the given transactions, one second later.

    A transaction is an object as for eth_sendTransaction, or signed bytes, with the number of its block, starting at 0.
    Pending transactions are dropped, as by anvil_rollback. If a transaction is rejected, the blocks before its block
    remain.
    """
    wanted, height = transactions or [], node.network.head.height
    if depth > node.limits.mined:
        raise RpcError(LIMIT_EXCEEDED, f"{depth} epochs in one request, at most {node.limits.mined}")
    if any(index >= depth for _, index in wanted):
        raise invalid_params(f"transactions: the new blocks have the numbers 0 to {depth - 1}")
    node.network.increase_time(1)  # empty blocks with the same time would be identical to the old ones
    rollback(node, depth)
    automine, node.network.automine = node.network.automine, False
    try:
        for index in range(height - node.network.head.height):
            for request, block in wanted:
                if block == index:
                    send_raw_transaction(node, request) if isinstance(request, bytes) else send_transaction(
                        node, request
                    )
            node.network.mine()
    finally:
        node.network.automine = automine


METHODS = (Method("anvil_reorg", (number, optional(list_of(pair, MAX_TRANSACTIONS))), reorganise),)
