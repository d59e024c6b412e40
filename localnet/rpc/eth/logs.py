"""Methods about logs, and the filters that are polled."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

from localnet.chain.logs import LogFilter, logs_between, logs_in, tipsets_between
from localnet.ledger.records import FoundLog, Tipset
from localnet.rpc.blocks_and_null_rounds import EARLIEST, LATEST, PENDING, BlockRef, resolve
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.eth.transactions import pending_and_queued
from localnet.rpc.filters import BLOCKS, LOGS, TRANSACTIONS, InstalledFilter
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.requests import LogRequest, log_request
from localnet.rpc.shapes import log_json, pending_json
from localnet.rpc.values import as_data, boolean, format_value, word


def get_logs(node: NodeReader, request: LogRequest) -> list[dict[str, Any]]:
    """Return the logs of one block, or of a range of at most 2,880 heights, that match a filter."""
    network = node.network
    if request.block is not None:
        tipset = resolve(network, BlockRef(hash=request.block))
        node.require_few_logs((tipset,))
        return [log_json(*found) for found in logs_in(network.chain.index, tipset, _wanted(node, request))]
    if network.rules.hardfork and any(end is not None and end.tag == PENDING for end in (request.first, request.last)):
        raise invalid_params("pending logs are not supported")
    first, last = _end(node, request.first or LATEST), _end(node, request.last or LATEST)
    if first > last:
        raise invalid_params(f"fromBlock {first} is above toBlock {last}")
    head = network.executed_head.height
    if first > head and node.network.rules.hardfork:  # as anvil; Lotus returns no logs
        raise invalid_params(f"fromBlock {first} is above the head, block {head}")
    if network.rules.hardfork and last > head:  # as geth
        raise invalid_params(f"block range extends beyond current head block: toBlock {last}, head {head}")
    if last - first > node.limits.log_span:
        beyond = f"; the head is block {head}" if last > head else ""
        limit = node.limits.log_span
        raise RpcError(LIMIT_EXCEEDED, f"block range of {last - first} exceeds the limit of {limit} blocks{beyond}")
    index, last_executed = network.chain.index, min(last, head)
    node.require_small_read(last_executed - first + 1)
    node.require_few_logs(tipsets_between(index, first, last_executed))
    found = logs_between(index, first, last_executed, _wanted(node, request))
    return _check_limit(node, found, first != last)


def new_filter(node: Node, request: LogRequest) -> str:
    """Install a filter for logs, and return its ID. That for the logs of one block never has changes."""
    if request.block is not None:
        resolve(node.network, BlockRef(hash=request.block))
        return _install(node, InstalledFilter(LOGS, 0, _wanted(node, request), last=-1, block=request.block))
    last = None if request.last is None or request.last.tag else request.last.number
    begin = None if request.first is None else request.first.number
    if begin is not None and last is not None and begin > last:
        raise invalid_params(f"fromBlock {begin} is above toBlock {last}")
    first = node.network.executed_head.height if request.first is None else _end(node, request.first)
    return _install(node, InstalledFilter(LOGS, node.network.executed_head.height, _wanted(node, request), first, last))


def new_block_filter(node: Node) -> str:
    """Install a filter for new blocks, and return its ID."""
    return _install(node, InstalledFilter(BLOCKS, node.network.executed_head.height))


def new_pending_transaction_filter(node: Node, full: bool = False) -> str:
    """Install a filter for new transactions, or with `full` for whole ones, and return its ID."""
    return _install(node, InstalledFilter(TRANSACTIONS, node.network.executed_head.height, full=full))


def uninstall_filter(node: Node, filter_id: int) -> bool:
    """Remove a filter; return false if it does not exist."""
    return node.filters.remove(filter_id)


def get_filter_changes(node: Node, filter_id: int) -> list[Any]:
    """Return the changes since the last poll: logs (also removed ones), block hashes or transaction hashes."""
    found, index = node.filters.get(filter_id), node.network.chain.index
    removed = node.filters.removed_logs(found) if found.kind == LOGS else []
    if removed is None:
        node.filters.remove(filter_id)
        raise RpcError(LIMIT_EXCEEDED, "the chain was reorganised below this filter's blocks: create a new filter")
    first, last = found.seen + 1, int(node.network.executed_head.height)
    found.seen = last
    if found.kind == LOGS:
        last = last if found.last is None else min(last, found.last)
        return removed + _check_limit(node, logs_between(index, max(first, found.first), last, found.wanted), True)
    tipsets = [tipset for height in range(first, last + 1) if isinstance(tipset := index.at(height), Tipset)]
    if found.kind == BLOCKS:
        return [as_data(tipset.hash) for tipset in tipsets]
    mined = [transaction for tipset in tipsets for transaction in tipset.transactions]
    waiting = [candidate.hash for candidate in pending_and_queued(node)[0]]
    new = [transaction for transaction in mined + waiting if transaction not in found.reported]
    node.filters.report(found, set(waiting))
    if not found.full:
        return [as_data(transaction) for transaction in new]
    receipts, mempool, chain_id = map(index.receipt, new), node.network.mempool, node.network.chain_id
    candidates = [mempool.get(each) if r is None else r.candidate for each, r in zip(new, receipts, strict=True)]
    return [pending_json(candidate, chain_id) for candidate in candidates if candidate is not None]


def get_filter_logs(node: Node, filter_id: int) -> list[dict[str, Any]]:
    """Return all matching logs of a filter, including reported ones."""
    found, index = node.filters.get(filter_id), node.network.chain.index
    if found.kind != LOGS:
        raise invalid_params("only a filter for logs has logs")
    if found.block is not None:
        return get_logs(node, LogRequest(found.wanted, found.block, None, None))
    executed = node.network.executed_head.height
    last = executed if found.last is None else min(executed, found.last)
    if last - found.first > node.limits.log_span:
        raise RpcError(LIMIT_EXCEEDED, f"block range exceeds the limit of {node.limits.log_span}")
    history, first, earlier = node.network.chain.history, found.first, list[dict[str, Any]]()
    if history is not None and first <= index.first:
        earlier = history.logs(first, min(last, index.first), found.wanted.addresses, found.wanted.topics)
        first = index.first + 1
    return earlier + _check_limit(node, logs_between(index, first, last, found.wanted), True)


def _filter_id(value: Any) -> int:
    """Read a filter's ID. Some clients send it as a quantity, without leading zeros."""
    try:
        return word(value)
    except RpcError:
        raise invalid_params(
            f"{format_value(value)} is not a filter ID: expected 0x and at most 64 hex digits"
        ) from None


def _install(node: Node, new: InstalledFilter) -> str:
    return f"0x{node.filters.add(new):064x}"  # Lotus' clients need all digits


def _end(node: NodeReader, ref: BlockRef) -> int:
    """Return an end of a range: a number stays one, even without a block."""
    if ref.tag == EARLIEST:
        return node.network.chain.index.first
    return ref.number if ref.number is not None else resolve(node.network, ref).height


def _wanted(node: NodeReader, request: LogRequest) -> LogFilter:
    """Return the filter. Under Filecoin's rules trailing positions that are null do not count (lotus chain/index)."""
    topics = request.wanted.topics
    if node.network.rules.features.has_null_rounds and topics and not topics[-1]:
        last = max((index for index, topic in enumerate(topics) if topic), default=-1)
        return replace(request.wanted, topics=topics[: last + 1])
    return request.wanted


def _check_limit(node: NodeReader, logs: Any, several: bool) -> list[dict[str, Any]]:
    found: list[FoundLog] = list(islice(logs, node.limits.logs + 1)) if several else list(logs)
    if several and len(found) > node.limits.logs:
        raise RpcError(LIMIT_EXCEEDED, f"more than {node.limits.logs} logs: request a smaller block range")
    return [log_json(*entry) for entry in found]


METHODS = (
    Method("eth_getLogs", (log_request,), get_logs, reads=True, short_alone=True),
    Method("eth_newFilter", (log_request,), new_filter),
    Method("eth_newBlockFilter", (), new_block_filter),
    Method("eth_newPendingTransactionFilter", (optional(boolean),), new_pending_transaction_filter),
    Method("eth_getFilterChanges", (_filter_id,), get_filter_changes),
    Method("eth_getFilterLogs", (_filter_id,), get_filter_logs),
    Method("eth_uninstallFilter", (_filter_id,), uninstall_filter),
)
