"""Trace searches: by sender and receiver over a range of blocks, by transaction, and by position.

The range ends at the newest block by default, and a response has at most 500 traces. Sources: lotus
node/impl/eth/trace.go and OpenEthereum's page on the trace module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from localnet.ledger.records import Tipset
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block, resolve
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.methods import Method
from localnet.rpc.node import NodeReader
from localnet.rpc.values import address, as_data, field, fields, hash32, list_of, number
from localnet.traces import ethereum_traces

MAX_TRACES: Final = 500
_MAX_ADDRESSES: Final = 1_000
_MAX_STEPS: Final = 1_024


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """A trace filter: a range of blocks, senders and receivers (none: all), and the number of traces to skip."""

    first: BlockRef
    last: BlockRef
    senders: tuple[EthAddress, ...]
    receivers: tuple[EthAddress, ...]
    after: int
    count: int

    def wants(self, trace: dict[str, Any]) -> bool:
        """Return True if the trace's sender and receiver match."""
        action, result = trace["action"], trace.get("result") or {}
        if trace["type"] == "suicide":
            action = {"from": action["address"], "to": action["refundAddress"]}
        ends = (self.senders, action.get("from")), (self.receivers, action.get("to") or result.get("address"))
        return all(not wanted or end in [as_data(each) for each in wanted] for wanted, end in ends)


def trace_filter(value: Any) -> TraceFilter:
    """Read a trace filter."""
    request = fields(value, "filter")
    count = field(request, "count", number)
    if count is not None and count > MAX_TRACES:
        raise RpcError(LIMIT_EXCEEDED, f"count: {count} traces, at most {MAX_TRACES}")
    return TraceFilter(
        first=field(request, "fromBlock", block) or LATEST,
        last=field(request, "toBlock", block) or LATEST,
        senders=_addresses(request, "fromAddress"),
        receivers=_addresses(request, "toAddress"),
        after=field(request, "after", number) or 0,
        count=MAX_TRACES if count is None else count,
    )


def find_traces(node: NodeReader, wanted: TraceFilter) -> list[dict[str, Any]]:
    """Return the calls between addresses over a range of blocks, in Parity's form; at most 500."""
    first, last = _end(node, wanted.first), _end(node, wanted.last)
    if first > last:
        raise invalid_params(f"fromBlock {first} is above toBlock {last}")
    if last - first > node.limits.log_span:
        raise RpcError(LIMIT_EXCEEDED, f"block range of {last - first} exceeds the limit of {node.limits.log_span}")
    found = (trace for trace in _traces(node, first, last) if wanted.wants(trace))
    return list(islice(found, wanted.after, wanted.after + wanted.count))


def trace_at(node: NodeReader, transaction_hash: bytes, path: list[int]) -> dict[str, Any] | None:
    """Return the call at a path in a transaction's call tree, a list of indices; null if there is none."""
    receipt = node.network.receipt(transaction_hash)
    (found,) = ethereum_traces.parity_traces(node.network.chain, receipt.tipset, receipt.index)
    return next((trace for trace in found.with_positions() if trace["traceAddress"] == path), None)


def _end(node: NodeReader, ref: BlockRef) -> int:
    """Return an end of a range: the height of a block or a null round, up to the head. Raises RpcError."""
    found = resolve(node.network, ref, or_older=True)
    return found.height if ref.number is None else ref.number


def _traces(node: NodeReader, first: int, last: int) -> Iterator[dict[str, Any]]:
    for height in range(max(1, first), last + 1):
        tipset = node.network.chain.index.at(height)
        if isinstance(tipset, Tipset):
            for traces in ethereum_traces.parity_traces(node.network.chain, tipset):
                yield from traces.with_positions()


def _addresses(request: dict[str, Any], name: str) -> tuple[EthAddress, ...]:
    if isinstance(request.get(name), str):
        return (field(request, name, address),)
    return tuple(field(request, name, list_of(address, _MAX_ADDRESSES)) or ())


METHODS = (
    Method("trace_filter", (trace_filter,), find_traces, reads=True, traces=True),
    Method("trace_get", (hash32, list_of(number, _MAX_STEPS)), trace_at, reads=True, traces=True),
)
