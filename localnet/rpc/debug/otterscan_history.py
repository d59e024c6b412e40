"""Otterscan's methods on a fork of an Ethereum network, for blocks before the fork, from the forked node.

A node without these methods, such as geth, refuses them, and its error is returned. Searches of an address then find
only the transactions after the fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localnet.fork.node_client import NodeError
from localnet.rpc.debug import otterscan
from localnet.rpc.node import NodeReader
from localnet.rpc.values import as_data

_QUANTITY = 16


def nonce_before(node: NodeReader, owner: bytes) -> int:
    """Return the nonce of an account after the block at which the fork begins. Raises NodeError."""
    return int(_forward(node, "eth_getTransactionCount", as_data(owner), _first(node)), _QUANTITY)


def had_code(node: NodeReader, owner: bytes) -> bool:
    """Return True if an address had code after the block at which the fork begins. Raises NodeError."""
    return bool(_forward(node, "eth_getCode", as_data(owner), _first(node)) != "0x")


def search_before(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
    """Return an address's transactions below a height, of this chain and before the fork. Raises NodeError."""
    owner, height, size = values["owner"], values["height"], values["size"]
    first = node.network.chain.index.first
    if 0 < height <= first:
        return _forward(node, "ots_searchTransactionsBefore", *params)
    own = otterscan.search_before(node, owner, height, size)
    if not own["lastPage"]:
        return own
    left = size - len(own["txs"])
    try:
        older = _forward(node, "ots_searchTransactionsBefore", as_data(owner), first + 1, max(1, left))
    except NodeError as error:
        if not error.is_unknown_method:
            raise
        return own
    if left <= 0:
        return {**own, "lastPage": not older["txs"]}
    return {**_joined(own, older), "firstPage": own["firstPage"], "lastPage": older["lastPage"]}


def search_after(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
    """Return an address's transactions above a height, before the fork and of this chain. Raises NodeError."""
    owner, height, size = values["owner"], values["height"], values["size"]
    first = node.network.chain.index.first
    if height >= first:
        return otterscan.search_after(node, owner, height, size)
    try:
        older = _forward(node, "ots_searchTransactionsAfter", *params)
    except NodeError as error:
        if not error.is_unknown_method:
            raise
        return otterscan.search_after(node, owner, height, size)
    selected = [index for index, each in enumerate(older["txs"]) if int(each["blockNumber"], _QUANTITY) <= first]
    older = {**older, **{name: [older[name][index] for index in selected] for name in ("txs", "receipts")}}
    left = size - len(older["txs"])
    if left <= 0:
        return {**older, "firstPage": False}
    own = otterscan.search_after(node, owner, first, left)
    return {**_joined(own, older), "firstPage": own["firstPage"], "lastPage": older["lastPage"]}


def _joined(newer: Mapping[str, Any], older: Mapping[str, Any]) -> dict[str, Any]:
    return {name: [*newer[name], *older[name]] for name in ("txs", "receipts")}


def _first(node: NodeReader) -> str:
    return hex(node.network.chain.index.first)


def _forward(node: NodeReader, method: str, *params: Any) -> Any:
    history = node.network.chain.history
    assert history is not None, "handlers are called only if there is a history"
    return history.forward(method, *params)
