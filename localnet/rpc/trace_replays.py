"""Re-executions in Parity's form: `trace_call` and the `trace_replay` methods, with the kinds `trace` and `stateDiff`.

The order of `trace_call`'s parameters is reth's: after the block come overrides of accounts and of the block.
Sources: OpenEthereum's page on the trace module, Forest's `trace_call`.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS
from localnet.calls.overrides import Overrides
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block, resolve
from localnet.rpc.debug.traces import traceable
from localnet.rpc.errors import invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.override_values import NO_ACCOUNTS, Accounts, accounts, block_override
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.values import as_data, format_value, hash32, list_of, text
from localnet.rules.call_request import SAME_BLOCK, BlockOverride
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
        request.call(ZERO_ADDRESS, node.network.rules),
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
    tipset = traceable(resolve(node.network, at))
    found = ethereum_traces.parity_traces(node.network.chain, tipset, with_diff=_STATE_DIFF in kinds)
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
)
