"""Traces of transactions and calls in the formats of Ethereum tools, by re-execution (`localnet.traces.trace.Replay`).

`bridge.traces` defines the formats; this module adds the machine's actors and their code. Instructions are recorded
in a separate execution, which stops when the log reaches its limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.traces.erc7562 import IGNORED, AccessTracer, access_trace, preimage_trace
from bridge.traces.frames import FrameOptions, ethereum_frames
from bridge.traces.struct_logs import LogLimitReached, StructLogger, StructLogOptions, struct_log_trace
from bridge.traces.tracers import TouchedAccounts, call_trace, created_code, flat_trace, geth_flat_trace, selectors
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import CallTrees, Tracer
from hypervisor.types import Gas
from localnet.calls.overrides import NONE, Overrides, overridden
from localnet.calls.simulate import traced_call
from localnet.chain.view import ChainReader
from localnet.errors import NotReproduced
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rules.actor_directory import ActorDirectory
from localnet.rules.facts import CallRequest
from localnet.rules.parts import rules_of
from localnet.state.controls import code_of, nonce_of
from localnet.traces.state_diff import PrestateOptions, StateDiff, accessed, changes, destroyed, prestate, state_of
from localnet.traces.trace import Replay

STRUCT_LOGS: Final = ""
CALL_TRACER: Final = "callTracer"
FLAT_CALL_TRACER: Final = "flatCallTracer"
PRESTATE_TRACER: Final = "prestateTracer"
SELECTOR_TRACER: Final = "4byteTracer"
MUX_TRACER: Final = "muxTracer"
NOOP_TRACER: Final = "noopTracer"
ERC7562_TRACER: Final = "erc7562Tracer"
PREIMAGE_TRACER: Final = "keccak256PreimageTracer"
TRACERS: Final = (
    STRUCT_LOGS, CALL_TRACER, FLAT_CALL_TRACER, PRESTATE_TRACER, SELECTOR_TRACER, MUX_TRACER, ERC7562_TRACER,
    PREIMAGE_TRACER, NOOP_TRACER,
)  # fmt: skip
"""Trace formats by geth's names. The first one, geth's default, is the instruction log."""
_NOWHERE: Final = {"blockHash": None, "blockNumber": 0, "transactionHash": None, "transactionPosition": 0}
"""geth's fields of a call, which has no block."""


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """The format of a trace and its options. `max_log_size` is the maximum size of logs or preimages in bytes.

    `several` maps the names of the tracers that `muxTracer` combines to their options.
    """

    tracer: str = STRUCT_LOGS
    struct_logs: StructLogOptions = field(default_factory=StructLogOptions)
    only_top_call: bool = False
    with_log: bool = False
    with_precompiles: bool = False
    parity_errors: bool = False
    prestate: PrestateOptions = field(default_factory=PrestateOptions)
    max_log_size: int = 1 << 24
    several: Mapping[str, TraceOptions] = field(default_factory=dict)
    ignored: frozenset[int] = IGNORED
    """Instructions that `erc7562Tracer` does not count."""


@dataclass(frozen=True, slots=True)
class TransactionTraces:
    """A transaction's calls in Parity's format, and its changes of the state if they were requested."""

    receipt: TransactionReceipt
    traces: list[dict[str, Any]]
    state_diff: dict[str, Any] | None = None

    def with_positions(self) -> Iterator[dict[str, Any]]:
        """Yield the traces, each with its block and transaction."""
        receipt = self.receipt
        for trace in self.traces:
            yield trace | {
                "blockHash": f"0x{receipt.tipset.hash.hex()}",
                "blockNumber": receipt.tipset.height,
                "transactionHash": f"0x{receipt.hash.hex()}",
                "transactionPosition": receipt.index,
            }


def trace_transaction(chain: ChainReader, receipt: TransactionReceipt, options: TraceOptions) -> Any:
    """Return a transaction's trace. Raises LogTooLong, NotReproduced."""
    if options.tracer == MUX_TRACER:
        return {name: trace_transaction(chain, receipt, one) for name, one in options.several.items()}
    return _trace_receipt(Replay(chain, receipt.tipset, receipt.index), receipt, options, _tracer(options))


def trace_block(
    chain: ChainReader, tipset: Tipset, receipts: Sequence[TransactionReceipt], options: TraceOptions
) -> Iterator[tuple[TransactionReceipt, Any]]:
    """Yield the trace of each of a block's transactions, in order; the block may be pending.

    Raises LogTooLong, NotReproduced.
    """
    if options.tracer == MUX_TRACER:
        each = [trace_block(chain, tipset, receipts, one) for one in options.several.values()]
        for receipt in receipts:
            yield receipt, {name: next(traces)[1] for name, traces in zip(options.several, each, strict=True)}
        return
    replay = Replay(chain, tipset, receipts=receipts)
    for receipt in receipts:
        tracer = _tracer(options)
        yield receipt, _trace_receipt(replay, receipt, options, tracer)
        if isinstance(tracer, StructLogger | AccessTracer):
            options = replace(options, max_log_size=tracer.remaining)


def trace_call(machine: Hypervisor, request: CallRequest, options: TraceOptions, overrides: Overrides = NONE) -> Any:
    """Trace a call without changing the state. Raises LogTooLong, and the errors of `overridden`."""
    if options.tracer == MUX_TRACER:
        return {name: trace_call(machine, request, one, overrides) for name, one in options.several.items()}
    tracer = _tracer(options)
    trees = CallTrees() if options.tracer == STRUCT_LOGS else tracer
    if options.tracer == PRESTATE_TRACER:
        touched, directory, of_state = TouchedAccounts(), ActorDirectory(machine), options.prestate
        accounts = traced_call(
            machine,
            request,
            touched,
            lambda _: accessed(machine, touched, directory, request.authorizations),
            overrides,
        )
        with overridden(machine, overrides):
            before = state_of(machine, accounts, of_state)
        if not of_state.diff_mode:
            return prestate(before, of_state)
        after = traced_call(machine, request, trees, lambda _: state_of(machine, accounts, of_state), overrides)
        return changes(before, after, of_state, destroyed(machine, touched))
    if options.tracer == STRUCT_LOGS:
        with suppress(LogLimitReached):
            traced_call(machine, request, tracer, lambda _: None, overrides)
    calls = rules_of(machine).calls

    def write(result: ApplyResult) -> Any:
        return _write_trace(machine, trees, options, tracer, calls.transaction_gas(machine, request, result))

    return traced_call(machine, request, trees, write, overrides)


def access_list(machine: Hypervisor, request: CallRequest) -> list[tuple[EthAddress, list[int]]]:
    """Return a call's accounts and slots in order, with those of its own access list.

    Sender, receiver, created contracts and other accounts that are warm anyway are omitted, except for their slots.
    Rules: EIP-2930 and go-ethereum's AccessListTracer. Raises LogTooLong.
    """
    touched = TouchedAccounts()
    accounts = traced_call(machine, request, touched, lambda _: touched.accounts(ActorDirectory(machine)))
    nonce = nonce_of(machine, to_filecoin(request.sender))
    to = create_address(request.sender, nonce) if request.to is None else request.to
    warm = {request.sender, to}
    found = {
        address: slots
        for address, slots in accounts.items()
        if slots or (address in touched.named and not (address in warm or _is_low(address)))
    }
    for address, slots in request.access_list:
        if not (address in warm or _is_low(address)):
            found[address] = {*found.get(address, ()), *slots}
    return [(address, sorted(found[address])) for address in sorted(found)]


def _is_low(address: EthAddress) -> bool:
    """Return True if the address is in the precompile range of Ethereum or Filecoin."""
    return any(address.startswith(prefix) and address[19] > 0 for prefix in (bytes(19), b"\xfe" + bytes(18)))


def parity_traces(
    chain: ChainReader, tipset: Tipset, only: int | None = None, *, with_diff: bool = False
) -> Iterator[TransactionTraces]:
    """Yield the traces of a block's transactions, or of the one with the number `only`. Raises NotReproduced.

    As in Filecoin's nodes, a message that failed before it reached an actor has no traces.
    """
    replay = Replay(chain, tipset, only or 0)
    for receipt in chain.index.receipts(tipset):
        if only is None or receipt.index == only:
            trees, diff = CallTrees(), StateDiff(replay.machine) if with_diff else None
            _execute(replay, receipt, trees)
            traces = _parity(replay.machine, trees)
            yield TransactionTraces(receipt, traces, None if diff is None else diff.changes())


def parity_call(
    machine: Hypervisor, request: CallRequest, overrides: Overrides = NONE, *, with_diff: bool = False
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the calls of a call in Parity's format, and its changes of the state with the overrides.

    Raises NotReproduced, and the errors of `overridden`.
    """
    trees, rules = CallTrees(), rules_of(machine)
    with overridden(machine, overrides):
        diff = StateDiff(machine) if with_diff else None
        return traced_call(
            machine,
            request,
            trees,
            lambda _: (_parity(machine, trees), None if diff is None else diff.changes()),
            rules=rules,
        )


def _tracer(options: TraceOptions) -> CallTrees:
    """Return the tracer of a format; that of struct logs may end the execution."""
    if options.tracer == STRUCT_LOGS:
        return StructLogger(options.struct_logs, options.max_log_size)
    if options.tracer in (ERC7562_TRACER, PREIMAGE_TRACER):
        return AccessTracer(options.ignored, options.max_log_size)
    return CallTrees()


def _trace_receipt(replay: Replay, receipt: TransactionReceipt, options: TraceOptions, tracer: CallTrees) -> Any:
    trees = CallTrees() if options.tracer == STRUCT_LOGS else tracer
    if options.tracer == PRESTATE_TRACER:
        return _prestate(replay, receipt, options.prestate)
    if options.tracer == STRUCT_LOGS:
        with suppress(LogLimitReached):
            replay.rehearse(tracer, lambda: None)
    _execute(replay, receipt, trees)
    gas = receipt.candidate.bare.gas_limit, receipt.gas_used
    return _write_trace(replay.machine, trees, options, tracer, gas, receipt)


def _prestate(replay: Replay, receipt: TransactionReceipt, options: PrestateOptions) -> Any:
    touched, machine, sent = TouchedAccounts(), replay.machine, receipt.candidate.transaction
    directory, authorizations = ActorDirectory(machine), () if sent is None else sent.transaction.authorizations
    accounts = replay.rehearse(touched, lambda: accessed(machine, touched, directory, authorizations))
    before = state_of(machine, accounts, options)
    _execute(replay, receipt, CallTrees())
    if not options.diff_mode:
        return prestate(before, options)
    return changes(before, state_of(machine, accounts, options), options, destroyed(machine, touched))


def _execute(replay: Replay, receipt: TransactionReceipt, tracer: Tracer) -> None:
    if replay.next(tracer) is None:
        raise NotReproduced(f"transaction 0x{receipt.hash.hex()} cannot be executed on its reconstructed initial state")


def _write_trace(
    machine: Hypervisor,
    trees: CallTrees,
    options: TraceOptions,
    tracer: CallTrees,
    gas: tuple[Gas, Gas],
    receipt: TransactionReceipt | None = None,
) -> Any:
    """Return the response; the machine is in the final state.

    In geth's formats the outermost frame has the `gas` of the transaction: its limit, and what it used.
    """

    def code_at(address: EthAddress) -> bytes:
        return code_of(machine, to_filecoin(address))

    if options.tracer == NOOP_TRACER:
        return {}
    if options.tracer == PREIMAGE_TRACER and isinstance(tracer, AccessTracer):
        return preimage_trace(tracer)
    is_listed = options.tracer in (CALL_TRACER, ERC7562_TRACER) or options.with_precompiles
    directory, first_log = ActorDirectory(machine), 0 if receipt is None else receipt.first_event
    frames = ethereum_frames(trees, directory, FrameOptions(refused=True, precompiles=is_listed))
    if not frames:
        raise NotReproduced("the message ended before its first call: there is no call to show")
    top = frames[0]
    top.gas, top.gas_used = gas
    if options.tracer == SELECTOR_TRACER:
        return selectors(() if top.to is not None and directory.is_precompile(top.to) else frames)
    if options.tracer == FLAT_CALL_TRACER:
        traces = [geth_flat_trace(frame, code_at, parity_errors=options.parity_errors) for frame in frames]
        found = TransactionTraces(receipt, traces).with_positions() if receipt else (each | _NOWHERE for each in traces)
        return list(found)
    if options.tracer in (CALL_TRACER, ERC7562_TRACER):
        only_top_call = options.only_top_call and options.tracer == CALL_TRACER
        shown = call_trace(frames, code_at, only_top_call=only_top_call, with_log=options.with_log, first_log=first_log)
        return access_trace(frames, shown, tracer, code_at) if isinstance(tracer, AccessTracer) else shown
    assert isinstance(tracer, StructLogger), "the tracer of the remaining format"
    returned = created_code(top, code_at) if top.creates else top.output
    return struct_log_trace(tracer.logs, top.gas_used, top.exit_code, returned)


def _parity(machine: Hypervisor, trees: CallTrees) -> list[dict[str, Any]]:
    """Return the frames of a message. Under Filecoin's rules, each has its own gas, and the first also inclusion's."""
    frames = ethereum_frames(trees, ActorDirectory(machine))
    if not frames or not frames[0].began:
        return []
    if not rules_of(machine).hardfork:
        frames[0].own_gas += sum(each.gas_used for each in trees.ended) - frames[0].gas_used
        for frame in frames:
            frame.gas_used = frame.own_gas
    return [flat_trace(frame) for frame in frames]
