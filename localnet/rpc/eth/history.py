"""Responses of a fork of an Ethereum network for blocks up to the fork, from the forked node.

A handler in `HANDLERS` runs before the method itself, outside the chain's thread. It gets the parsed parameters and
the original ones. It returns `PASS` if the local network has to respond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from localnet.chain.logs import logs_between
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, history_number, resolve
from localnet.rpc.errors import LIMIT_EXCEEDED, NOT_SUPPORTED, RpcError
from localnet.rpc.eth.blocks import without_body
from localnet.rpc.node import NodeReader
from localnet.rpc.requests import LogRequest
from localnet.rpc.shapes import log_json
from localnet.rpc.values import as_data, as_quantity

if TYPE_CHECKING:
    from localnet.fork.remote_history import BlockName, RemoteHistory

PASS: Final = object()
"""Result of a handler if the local network has to respond."""

Handler = Callable[[NodeReader, Mapping[str, Any], list[Any]], Any]


def has_history(node: NodeReader) -> bool:
    """Return True if another node has the blocks before the first one of the chain."""
    return node.network.chain.history is not None


def _history(node: NodeReader) -> RemoteHistory:
    history = node.network.chain.history
    assert history is not None, "handlers are called only if there is a history"
    return history


def _named(node: NodeReader, ref: BlockRef) -> BlockName | None:
    """Return the block of the history that is meant; None for a block of the network's own, or none."""
    if ref.hash is None:
        return history_number(node.network, ref)
    index = node.network.chain.index
    own = index.by_hash(ref.hash)
    return ref.hash if own is None or own.height == index.first else None


def _by_block(ask: Callable[[RemoteHistory, BlockName, Mapping[str, Any]], Any]) -> Handler:
    """Return the handler of a method about a block."""

    def handler(node: NodeReader, values: Mapping[str, Any], _params: list[Any]) -> Any:
        name = _named(node, values["at"])
        if name is None:
            return PASS
        found = ask(_history(node), name, values)
        return PASS if found is None else found

    return handler


def _block(history: RemoteHistory, name: BlockName, values: Mapping[str, Any]) -> Any:
    return history.block(name, values.get("full", False))


def _header(history: RemoteHistory, name: BlockName, _values: Mapping[str, Any]) -> Any:
    return without_body(history.block(name, False))


def _count(history: RemoteHistory, name: BlockName, _values: Mapping[str, Any]) -> Any:
    found = history.block(name, False)
    return None if found is None else as_quantity(len(found["transactions"]))


def _uncles(history: RemoteHistory, name: BlockName, _values: Mapping[str, Any]) -> Any:
    found = history.block(name, False)
    return None if found is None else as_quantity(len(found.get("uncles") or ()))


def _receipts(history: RemoteHistory, name: BlockName, _values: Mapping[str, Any]) -> Any:
    return history.receipts(name)


def _transaction_at(history: RemoteHistory, name: BlockName, values: Mapping[str, Any]) -> Any:
    return history.transaction_at(name, values["index"])


def _is_own(node: NodeReader, transaction_hash: bytes) -> bool:
    return (
        node.network.chain.index.receipt(transaction_hash) is not None
        or node.network.mempool.get(transaction_hash) is not None
    )


def _transaction(node: NodeReader, values: Mapping[str, Any], _params: list[Any]) -> Any:
    wanted = values["transaction_hash"]
    return PASS if _is_own(node, wanted) else _history(node).transaction(wanted)


def _receipt(node: NodeReader, values: Mapping[str, Any], _params: list[Any]) -> Any:
    wanted = values["transaction_hash"]
    return PASS if _is_own(node, wanted) else _history(node).receipt(wanted)


def _forwarded_transaction(method: str) -> Handler:
    """Return the handler of a method about a transaction, whose request is forwarded to the forked node."""

    def handler(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
        wanted = values["transaction_hash"]
        if _is_own(node, wanted) or _history(node).transaction(wanted) is None:
            return PASS
        return _history(node).forward(method, *params)

    return handler


def _forwarded_block(method: str, key: str) -> Handler:
    """Return the handler of a method about a block, whose request is forwarded to the forked node."""

    def handler(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
        ref = values.get(key, LATEST)
        name = _named(node, BlockRef(hash=ref) if isinstance(ref, bytes) else ref)
        if name is None or _history(node).block(name, False) is None:
            return PASS
        return _history(node).forward(method, *_with_number(params, list(values).index(key), name))

    return handler


def _with_number(params: list[Any], index: int, name: BlockName) -> list[Any]:
    """Replace a block tag by a number: on the forked node the tag refers to another block."""
    return [*params[:index], hex(name), *params[index + 1 :]] if isinstance(name, int) else params


def _logs(node: NodeReader, values: Mapping[str, Any], _params: list[Any]) -> Any:
    request: LogRequest = values["request"]
    index, history = node.network.chain.index, _history(node)
    wanted = request.wanted
    if request.block is not None:
        own = index.by_hash(request.block)
        if own is not None and own.height > index.first:
            return PASS
        return history.logs_of(request.block, wanted.addresses, wanted.topics)
    first, last = (_height(node, ref or LATEST) for ref in (request.first, request.last))
    if first > index.first or first > last:
        return PASS
    limits = node.limits
    if last - first > limits.log_span:
        raise RpcError(LIMIT_EXCEEDED, f"block range of {last - first} exceeds the limit of {limits.log_span}")
    found = history.logs(first, min(last, index.first), wanted.addresses, wanted.topics)
    own_logs = logs_between(index, index.first + 1, min(last, node.network.executed_head.height), wanted)
    found += [log_json(*entry) for entry in own_logs]
    if len(found) > limits.logs:
        raise RpcError(LIMIT_EXCEEDED, f"more than {limits.logs} logs: request a smaller block range")
    return found


def _height(node: NodeReader, ref: BlockRef) -> int:
    if ref.number is not None:
        return ref.number
    earlier = history_number(node.network, ref)
    return resolve(node.network, ref).height if earlier is None else earlier


def _fee_history(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
    name = history_number(node.network, values["newest"])
    return PASS if name is None else _history(node).forward("eth_feeHistory", params[0], hex(name), *params[2:] or [[]])


def _proof(method: str) -> Handler:
    def handler(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
        ref = values.get("at", LATEST)
        name = _named(node, ref)
        if name is None:
            first = node.network.chain.index.first
            raise RpcError(
                NOT_SUPPORTED,
                f"{method} is not available after block {first}, where this fork begins, because local state is not a "
                f"Merkle-Patricia trie: request block {first} or an earlier one",
            )
        number = hex(name) if isinstance(name, int) else {"blockHash": f"0x{name.hex()}"}
        slots = [[as_data(slot.to_bytes(32, "big")) for slot in values.get("slots", ())]]
        return _history(node).forward(method, params[0], *(slots if method == "eth_getProof" else ()), number)

    return handler


def _otterscan() -> ModuleType:
    """Return the module of Otterscan's methods on a fork, which is imported on first use."""
    from localnet.rpc.debug import otterscan_history

    return otterscan_history


def _creator(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
    if not _otterscan().had_code(node, values["contract"]):
        return PASS
    return _history(node).forward("ots_getContractCreator", *params)


def _by_nonce(method: str, key: str) -> Handler:
    def handler(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
        if values["nonce"] >= _otterscan().nonce_before(node, values[key]):
            return PASS
        return _history(node).forward(method, *params)

    return handler


def _traces(node: NodeReader, values: Mapping[str, Any], params: list[Any]) -> Any:
    from localnet.rpc.debug.parity import MAX_TRACES, find_traces

    wanted, fork = values["wanted"], node.network.chain.index.first
    first, last = _height(node, wanted.first), _height(node, wanted.last)
    if first > fork or first > last:
        return PASS
    if last - first > node.limits.log_span:
        raise RpcError(LIMIT_EXCEEDED, f"block range of {last - first} exceeds the limit of {node.limits.log_span}")
    addresses = {name: params[0][name] for name in ("fromAddress", "toAddress") if name in params[0]}
    request = {**addresses, "fromBlock": hex(first), "toBlock": hex(min(last, fork))}

    def earlier(after: int, count: int) -> list[Any]:
        return _history(node).traces({**request, "after": after, "count": count})

    found = earlier(wanted.after, wanted.count)
    if last <= fork or len(found) == wanted.count:
        return found
    skipped = wanted.after
    while not found and skipped > 0:  # count those before the fork, which the node gives in parts
        part = len(earlier(wanted.after - skipped, min(skipped, MAX_TRACES)))
        if part == 0:
            break
        skipped -= part
    rest = replace(wanted, first=BlockRef(number=fork + 1), count=wanted.count - len(found))
    return found + find_traces(node, replace(rest, after=0 if found else skipped))


HANDLERS: Final[Mapping[str, Handler]] = {
    "eth_getBlockByNumber": _by_block(_block),
    "eth_getBlockByHash": _by_block(_block),
    "eth_getHeaderByNumber": _by_block(_header),
    "eth_getHeaderByHash": _by_block(_header),
    "eth_getBlockTransactionCountByNumber": _by_block(_count),
    "eth_getBlockTransactionCountByHash": _by_block(_count),
    "eth_getUncleCountByBlockNumber": _by_block(_uncles),
    "eth_getUncleCountByBlockHash": _by_block(_uncles),
    "eth_getBlockReceipts": _by_block(_receipts),
    "eth_getTransactionByBlockNumberAndIndex": _by_block(_transaction_at),
    "eth_getTransactionByBlockHashAndIndex": _by_block(_transaction_at),
    "eth_getTransactionByHash": _transaction,
    "eth_getTransactionReceipt": _receipt,
    "eth_getLogs": _logs,
    "eth_feeHistory": _fee_history,
    "eth_getProof": _proof("eth_getProof"),
    "eth_getAccount": _proof("eth_getAccount"),
    "eth_getRawTransactionByHash": _forwarded_transaction("eth_getRawTransactionByHash"),
    "eth_getRawTransactionByBlockNumberAndIndex": _forwarded_block("eth_getRawTransactionByBlockNumberAndIndex", "at"),
    "eth_getRawTransactionByBlockHashAndIndex": _forwarded_block("eth_getRawTransactionByBlockHashAndIndex", "at"),
    "debug_getRawTransactions": _forwarded_block("debug_getRawTransactions", "at"),
    "debug_getRawReceipts": _forwarded_block("debug_getRawReceipts", "at"),
    "debug_traceTransaction": _forwarded_transaction("debug_traceTransaction"),
    "trace_transaction": _forwarded_transaction("trace_transaction"),
    "trace_replayTransaction": _forwarded_transaction("trace_replayTransaction"),
    "trace_get": _forwarded_transaction("trace_get"),
    "trace_filter": _traces,
    "debug_traceBlockByNumber": _forwarded_block("debug_traceBlockByNumber", "number"),
    "debug_traceBlockByHash": _forwarded_block("debug_traceBlockByHash", "block_hash"),
    "trace_block": _forwarded_block("trace_block", "at"),
    "trace_replayBlockTransactions": _forwarded_block("trace_replayBlockTransactions", "at"),
    "ots_getBlockDetails": _forwarded_block("ots_getBlockDetails", "at"),
    "ots_getBlockDetailsByHash": _forwarded_block("ots_getBlockDetailsByHash", "block_hash"),
    "ots_getBlockTransactions": _forwarded_block("ots_getBlockTransactions", "at"),
    "ots_getInternalOperations": _forwarded_transaction("ots_getInternalOperations"),
    "ots_traceTransaction": _forwarded_transaction("ots_traceTransaction"),
    "ots_getTransactionError": _forwarded_transaction("ots_getTransactionError"),
    "ots_searchTransactionsBefore": lambda *arguments: _otterscan().search_before(*arguments),
    "ots_searchTransactionsAfter": lambda *arguments: _otterscan().search_after(*arguments),
    "ots_getContractCreator": _creator,
    "ots_getTransactionBySenderAndNonce": _by_nonce("ots_getTransactionBySenderAndNonce", "sender"),
    "eth_getTransactionBySenderAndNonce": _by_nonce("eth_getTransactionBySenderAndNonce", "owner"),
}
"""Handlers by the name of the method."""
