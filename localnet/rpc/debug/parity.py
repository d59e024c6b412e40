"""Parity's traces: re-executions and searches.

Re-executions are `trace_call` and the `trace_replay` methods, with the kinds `trace` and `stateDiff`. The order of
`trace_call`'s parameters is reth's: after the block come overrides of accounts and of the block. Traces are searched by
sender and receiver over a range of blocks, by transaction, and by position. The range ends at the newest block by
default, and a response has at most 500 traces.

Sources: OpenEthereum's page on the trace module, lotus node/impl/eth/trace.go, Forest's `trace_call`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from localnet.calls.overrides import Overrides
from localnet.ledger.records import Tipset
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block, resolve
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.override_values import NO_ACCOUNTS, Accounts, accounts, block_override
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.values import address, as_data, field, fields, format_value, hash32, list_of, number, text
from localnet.rules.facts import SAME_BLOCK, BlockOverride
from localnet.traces import ethereum_traces

_TRACE: Final = "trace"
_STATE_DIFF: Final = "stateDiff"
_KINDS: Final = (_TRACE, _STATE_DIFF)

Kinds = frozenset[str]


def kinds_of_trace(value: Any) -> Kinds:
    """Read the requested kinds of traces, at least one."""
    kinds = list_of(text, 3)(value)
    if not kinds or any(kind not in _KINDS for kind in kinds):
        raise invalid_params(f"kinds: {format_value(kinds)}: expected one or more of {', '.join(_KINDS)}")
    return frozenset(kinds)


def trace_call(
    node: NodeReader,
    request: TransactionRequest,
    kinds: Kinds,
    at: BlockRef = LATEST,
    state_overrides: Accounts = NO_ACCOUNTS,
    block_overrides: BlockOverride = SAME_BLOCK,
) -> dict[str, Any]:
    """Execute a call without effect; return its return data, its calls and its changes of the state, by kind.

    The last two parameters override accounts and fields of the block.
    """
    found = ethereum_traces.parity_call(
        node.machine_at(at),
        request.call(ZERO_ADDRESS, node.network),
        Overrides(state_overrides, block_overrides),
        with_diff=_STATE_DIFF in kinds,
    )
    return _results(*found, kinds, created="0x")


def replay_transaction(node: NodeReader, transaction_hash: bytes, kinds: Kinds) -> dict[str, Any]:
    """Re-execute a transaction; return its return data, its calls and its changes of the state, by kind."""
    receipt = node.network.receipt(transaction_hash)
    (found,) = ethereum_traces.parity_traces(
        node.network.chain, receipt.tipset, receipt.index, with_diff=_STATE_DIFF in kinds
    )
    return _results(found.traces, found.state_diff, kinds)


def replay_block(node: NodeReader, at: BlockRef, kinds: Kinds) -> list[Any]:
    """Re-execute the transactions of a block; return the results of each like `trace_replayTransaction`."""
    found = ethereum_traces.parity_traces(node.network.chain, resolve(node.network, at), with_diff=_STATE_DIFF in kinds)
    return [
        {"transactionHash": as_data(each.receipt.hash), **_results(each.traces, each.state_diff, kinds)}
        for each in found
    ]


def _results(
    traces: list[dict[str, Any]], state_diff: dict[str, Any] | None, kinds: Kinds, created: str | None = None
) -> dict[str, Any]:
    """Return the results of a re-execution in Parity's form.

    The output of a creation is `created`, which is `0x` in Forest's `trace_call`; by default the code of its trace.
    """
    result = traces[0]["result"] if traces else {"output": "0x"}
    output = result["output"] if "output" in result else created or result["code"]
    return {"output": output, "trace": traces if _TRACE in kinds else [], "stateDiff": state_diff, "vmTrace": None}


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
    Method(
        "trace_call",
        (transaction, kinds_of_trace, optional(block), optional(accounts), optional(block_override)),
        trace_call,
        reads=True,
        traces=True,
    ),
    Method("trace_replayBlockTransactions", (block, kinds_of_trace), replay_block, reads=True, traces=True),
    Method("trace_replayTransaction", (hash32, kinds_of_trace), replay_transaction, reads=True, traces=True),
    Method("trace_filter", (trace_filter,), find_traces, reads=True, traces=True),
    Method("trace_get", (hash32, list_of(number, _MAX_STEPS)), trace_at, reads=True, traces=True),
)
