"""Methods that trace transactions and calls: geth's debug_ and Parity's trace_.

Sources: execution-apis src/debug/trace.yaml and src/schemas/opcode-tracer.yaml; geth's page on built-in tracers;
lotus node/impl/eth/trace.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS
from bridge.traces.erc7562 import IGNORED
from bridge.traces.struct_logs import StructLogOptions
from hypervisor.machine.machine import Hypervisor
from localnet.calls.overrides import NONE, Overrides
from localnet.chain.block_production import has_pending
from localnet.ledger.records import GENESIS_PARENT, Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import LATEST, PENDING, BlockRef, block, number_or_tag, resolve
from localnet.rpc.errors import SERVER_ERROR, RpcError, invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.override_values import NO_ACCOUNTS, accounts, block_override
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.values import as_data, boolean, field, fields, format_value, hash32, list_of, number, quantity, text
from localnet.rules.facts import SAME_BLOCK
from localnet.traces import ethereum_traces
from localnet.traces.ethereum_traces import MUX_TRACER, STRUCT_LOGS, TRACERS, TraceOptions
from localnet.traces.state_diff import PrestateOptions
from localnet.traces.trace import Replay

_DEFAULT = TraceOptions()
_OPCODES: Final = 256
_DURATION: Final = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PRESTATE: Final = ("diffMode", "disableCode", "disableStorage", "includeEmpty")


def trace_options(value: Any) -> TraceOptions:
    """Read geth's configuration of a trace, except fields that only affect time and printing."""
    request = fields(value, "trace configuration")
    tracer = field(request, "tracer", text) or STRUCT_LOGS
    if tracer == MUX_TRACER:
        return TraceOptions(MUX_TRACER, several=_several(request))
    if tracer not in TRACERS:
        raise invalid_params(
            f"tracer: {format_value(tracer)} is not supported: expected {', '.join(TRACERS[1:])}, or none"
        )
    if "timeout" in request:
        _check_duration(text(request["timeout"]))
    config = field(request, "tracerConfig", lambda item: fields(item, "tracer's configuration")) or {}

    if config.get("diffMode") and config.get("includeEmpty"):
        raise invalid_params("tracerConfig: diffMode excludes includeEmpty")

    def chosen(of: dict[str, Any], name: str) -> bool:
        return field(of, name, boolean) or False

    ignored = field(config, "ignoredOpcodes", list_of(quantity, _OPCODES))
    return TraceOptions(
        tracer=tracer,
        struct_logs=StructLogOptions(
            enable_memory=chosen(request, "enableMemory"),
            disable_stack=chosen(request, "disableStack"),
            disable_storage=chosen(request, "disableStorage"),
            enable_return_data=chosen(request, "enableReturnData"),
            limit=field(request, "limit", number) or 0,
        ),
        only_top_call=chosen(config, "onlyTopCall"),
        with_log=chosen(config, "withLog"),
        with_precompiles=chosen(config, "includePrecompiles"),
        parity_errors=chosen(config, "convertParityErrors"),
        ignored=IGNORED if ignored is None else frozenset(ignored),
        prestate=PrestateOptions(*(chosen(config, name) for name in _PRESTATE)),
    )


def _check_duration(duration: str) -> None:
    """Raise RpcError -32000 unless a duration, which has no effect, is in Go's form."""
    if not _DURATION.fullmatch(duration):
        raise RpcError(SERVER_ERROR, f"time: invalid duration {format_value(duration)}")


def _several(request: dict[str, Any]) -> dict[str, TraceOptions]:
    """Read the tracers of a multi-trace: each name with its configuration, or null."""
    wanted = request.get("tracerConfig") or {}
    for name in fields(wanted, "tracer's configuration"):
        if name in (STRUCT_LOGS, MUX_TRACER):
            raise invalid_params(f"tracerConfig: {format_value(name)} cannot be one of several tracers")
    return {name: trace_options({"tracer": name, "tracerConfig": of or {}}) for name, of in wanted.items()}


def debug_trace_transaction(node: NodeReader, transaction_hash: bytes, options: TraceOptions = _DEFAULT) -> Any:
    """Trace a transaction as geth does: instructions, or with a tracer calls or touched accounts."""
    return ethereum_traces.trace_transaction(node.network.chain, node.network.receipt(transaction_hash), options)


def call_trace_options(value: Any) -> tuple[TraceOptions, Overrides, int | None]:
    """Read geth's configuration of a call's trace, with overrides and the transaction before which to call."""
    request = fields(value, "trace configuration")
    account_overrides = field(request, "stateOverrides", accounts) or NO_ACCOUNTS
    overrides = Overrides(account_overrides, field(request, "blockOverrides", block_override) or SAME_BLOCK)
    return trace_options(value), overrides, field(request, "txIndex", quantity)


def debug_trace_call(
    node: NodeReader,
    request: TransactionRequest,
    at: BlockRef = LATEST,
    options: tuple[TraceOptions, Overrides, int | None] = (_DEFAULT, NONE, None),
) -> Any:
    """Trace a call as geth does, without changing the state."""
    of_trace, overrides, index = options
    machine = node.machine_at(at) if index is None else machine_before(node, at, index)
    return ethereum_traces.trace_call(machine, request.call(ZERO_ADDRESS, node.network), of_trace, overrides)


def debug_trace_block_by_number(node: NodeReader, number: BlockRef, options: TraceOptions = _DEFAULT) -> list[Any]:
    """Trace all transactions of the block at a height, as geth does."""
    if number.tag == PENDING and has_pending(node.network):
        pending = node.pending_block()
        return _trace_tipset(node, pending.tipset, pending.receipts(), options)
    return _trace_block(node, number, options)


def debug_trace_block_by_hash(node: NodeReader, block_hash: bytes, options: TraceOptions = _DEFAULT) -> list[Any]:
    """Trace all transactions of the block with a hash, as geth does."""
    return _trace_block(node, BlockRef(hash=block_hash), options)


def trace_transaction(node: NodeReader, transaction_hash: bytes) -> list[Any]:
    """Return a transaction's calls in Parity's form, including those of native actors."""
    receipt = node.network.receipt(transaction_hash)
    found = ethereum_traces.parity_traces(node.network.chain, receipt.tipset, receipt.index)
    return [trace for traces in found for trace in traces.with_positions()]


def trace_block(node: NodeReader, at: BlockRef = LATEST) -> list[Any]:
    """Return the calls of all transactions of a block in Parity's form."""
    found = ethereum_traces.parity_traces(node.network.chain, resolve(node.network, at))
    return [trace for traces in found for trace in traces.with_positions()]


def _trace_block(node: NodeReader, ref: BlockRef, options: TraceOptions) -> list[Any]:
    tipset = traceable(resolve(node.network, ref))
    return _trace_tipset(node, tipset, list(node.network.chain.index.receipts(tipset)), options)


def _trace_tipset(
    node: NodeReader, tipset: Tipset, receipts: Sequence[TransactionReceipt], options: TraceOptions
) -> list[Any]:
    traces = ethereum_traces.trace_block(node.network.chain, tipset, receipts, options)
    return [{"txHash": as_data(receipt.hash), "result": result} for receipt, result in traces]


def machine_before(node: NodeReader, at: BlockRef, index: int) -> Hypervisor:
    """Return a machine at the state before a block's transaction. Raises RpcError -32000 for an index without one."""
    tipset = traceable(resolve(node.network, at))
    count = len(tipset.transactions)
    if index >= max(count, 1):
        raise RpcError(SERVER_ERROR, f"transaction index {index} out of range: block {tipset.height} has {count}")
    return Replay(node.network.chain, tipset, index).machine


def traceable(tipset: Tipset) -> Tipset:
    """Return a tipset that is not the genesis. Raises RpcError -32000."""
    if tipset.parent == GENESIS_PARENT:
        raise RpcError(SERVER_ERROR, "genesis is not traceable")
    return tipset


METHODS = (
    Method(
        "debug_traceTransaction", (hash32, optional(trace_options)), debug_trace_transaction, reads=True, traces=True
    ),
    Method(
        "debug_traceCall",
        (transaction, optional(block), optional(call_trace_options)),
        debug_trace_call,
        reads=True,
        traces=True,
    ),
    Method(
        "debug_traceBlockByNumber",
        (number_or_tag, optional(trace_options)),
        debug_trace_block_by_number,
        reads=True,
        traces=True,
    ),
    Method(
        "debug_traceBlockByHash", (hash32, optional(trace_options)), debug_trace_block_by_hash, reads=True, traces=True
    ),
    Method("trace_transaction", (hash32,), trace_transaction, reads=True, traces=True),
    Method("trace_block", (optional(block),), trace_block, reads=True, traces=True),
)
