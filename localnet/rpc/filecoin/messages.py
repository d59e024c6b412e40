"""Methods about the execution of messages: calls, replays, receipts and traces.

The receipt of a message is available with its tipset. `TipSet` and `Height` of a lookup are those of the tipset that
contains the message, and the confidence parameter causes no wait.

Execution traces have Lotus' format: the calls of a message, each with its gas charges, IPLD operations and logs.

- Charges before the first call are listed in that call.
- A list without elements is null, as Go writes it.
- Times are 0.
- Charges of zero are omitted. The charge for memory growth (`wasm_memory_grow`) is part of `wasm_exec`.

Shapes: lotus api/types.go and chain/types/execresult.go, as filled by filecoin-ffi from ref-fvm's execution traces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from hypervisor.exit_codes import ErrorNumber, ExitCode, refusal_exit
from hypervisor.gas import MILLIGAS_PER_GAS, GasOutputs, gas_outputs
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt
from hypervisor.tracing import (
    ActorFound,
    BlockLinked,
    BlockOpened,
    CallEnded,
    CallNode,
    CallTrees,
    DebugLog,
    GasCharged,
    walk,
)
from hypervisor.types import Gas
from localnet.calls.pace import traced
from localnet.ledger.records import Execution, Tipset, TransactionReceipt
from localnet.rpc.errors import LIMIT_EXCEEDED, LOTUS_ERROR, NotYetAvailable, RpcError, invalid_params
from localnet.rpc.filecoin.chain import receipt_of, receipt_of_call, signed_or_bare, tipset_from
from localnet.rpc.filecoin.state import actor_of, machine_at
from localnet.rpc.lotus_types import decode_json, go_method, types_version
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    actor_json,
    address_json,
    bytes_json,
    cid,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    key_json,
    message,
    message_json,
    receipt_json,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import any_value, boolean, field, fields
from localnet.traces.trace import Replay, implicit_positions, replay_implicit
from store.cid import Cid, show
from store.schema import SchemaError

_IMPLICIT_GAS: Final = Gas((1 << 62) - 1)
"""Gas limit that Lotus sets for implicit messages (chain/vm/fvm.go)."""
_NO_ADDRESS: Final = "<empty>"
_REFUSALS: Final = {number.name: refusal_exit(number) for number in ErrorNumber}
NO_CALL: Final[dict[str, Any]] = {
    "Msg": {
        "From": _NO_ADDRESS, "To": _NO_ADDRESS, "Value": "0", "Method": 0, "Params": None, "ParamsCodec": 0,
        "GasLimit": 0, "ReadOnly": False,
    },
    "MsgRct": {"ExitCode": 0, "Return": None, "ReturnCodec": 0}, "GasCharges": None, "Subcalls": None,
}  # fmt: skip
"""The trace of a message that came to no call."""


DETAILS: Final = (GasCharged, ActorFound, BlockOpened, BlockLinked, DebugLog)
"""Types of the events that an execution trace has."""


def execution_trace(root: CallNode) -> dict[str, Any]:
    """Return the trace of a message from its call tree, recorded with `DETAILS`."""
    written: dict[int, dict[str, Any]] = {}
    for node in reversed(list(walk([root]))):
        call = written[id(node)] = _call_json(node)
        for item in node.items:
            match item:
                case CallNode():
                    call["Subcalls"].append(written.pop(id(item)))
                case GasCharged() if item.milligas:
                    call["GasCharges"].append(_charge(item))
                case ActorFound() if item.state is not None:
                    call["InvokedActor"] = {"Id": item.actor, "State": actor_json(item.state)}
                case BlockOpened() | BlockLinked():
                    call.setdefault("IpldOps", []).append(_operation(item))
                case DebugLog():
                    call.setdefault("Logs", []).append(item.text)
                case _:
                    pass
        call["GasCharges"] = call["GasCharges"] or None
        call["Subcalls"] = call["Subcalls"] or None
    return written[id(root)]


def _call_json(node: CallNode) -> dict[str, Any]:
    start, end = node.start, _end_of(node)
    return {
        "Msg": {
            "From": address_json(Address.id(start.from_)),
            "To": address_json(start.to),
            "Value": str(start.value),
            "Method": start.method,
            "Params": bytes_json(start.params),
            "ParamsCodec": start.params_codec,
            "GasLimit": _gas(start.gas_available),
            "ReadOnly": start.read_only,
        },
        "MsgRct": {
            "ExitCode": _REFUSALS.get(end.error, ExitCode(end.exit_code)) if end.error else end.exit_code,
            "Return": bytes_json(end.return_data),
            "ReturnCodec": end.return_codec,
        },
        "GasCharges": [],
        "Subcalls": [],
    }


def _end_of(node: CallNode) -> CallEnded:
    assert node.end is not None, "every call of an executed message has ended"
    return node.end


def _charge(event: GasCharged) -> dict[str, Any]:
    computing = event.milligas - event.other
    return {
        "Name": event.name,
        "tg": _gas(event.milligas),
        "cg": _gas(computing),
        "sg": _gas(event.other),
        "tt": 0,
    }


def _operation(event: BlockOpened | BlockLinked) -> dict[str, Any]:
    return {
        "Op": "Get" if isinstance(event, BlockOpened) else "Put",
        "Cid": cid_json(event.cid),
        "Size": event.size,
    }


def _gas(milligas: int) -> int:
    """Return whole gas, rounded up like each amount in filecoin-ffi."""
    return -(-milligas // MILLIGAS_PER_GAS)


_COSTS: Final = (
    "GasUsed", "BaseFeeBurn", "OverEstimationBurn", "MinerPenalty", "MinerTip", "Refund", "TotalCost",
)  # fmt: skip


def state_call(node: NodeReader, request: Message, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Execute a message without effect and return its result and calls.

    The message pays no gas, and has its sender's next nonce and the gas limit of implicit messages, although at most
    the node's limit for calls is used. A failure is returned as a result.
    """
    machine = machine_at(node, key)
    sender = actor_of(machine, request.from_)
    tried = replace(request, gas_limit=node.network.rules.limits.call_gas, nonce=sender.nonce)
    traces = CallTrees(DETAILS)
    with machine.trial():
        with traced(machine, traces):
            result = machine.apply_implicit(tried)
        if result.fatal is not None:
            raise result.fatal
        shown = replace(tried, gas_limit=_IMPLICIT_GAS)
        return _invocation(shown.cid(), shown, result.receipt, _root(traces), result.message)


def state_replay(node: NodeReader, key: TipsetKey, wanted: Cid) -> dict[str, Any]:
    """Re-execute a message of a tipset and return its calls. An empty key finds its tipset.

    The message may also be a reward or cron with a receipt (FIP-0107).
    """
    receipt = receipt_of_call(node, wanted)
    if receipt is None or (key.blocks and found_tipset(node.network, key) != receipt.tipset):
        raise RpcError(LOTUS_ERROR, f"message {show(wanted)} not found in the tipset")
    if receipt.is_implicit:
        traces = CallTrees(DETAILS)
        _, executions = replay_implicit(node.network.chain, receipt.tipset, traces)
        position = implicit_positions(executions, traces.roots)[receipt.index]
        return _implicit_with_receipt(executions[receipt.index], traces.roots[position])
    return _replay_message(Replay(node.network.chain, receipt.tipset, receipt.index), receipt)


def state_compute(
    node: NodeReader,
    height: int,
    messages: Any = None,
    key: TipsetKey = HEAD,
) -> dict[str, Any]:
    """Return the state root after a tipset, and its messages, re-executed; it accepts no other messages.

    After them come the implicit ones: the block's reward, and cron. If these have receipts (FIP-0107), their messages
    are the canonical ones, and cron of null rounds comes before all.
    """
    found = found_tipset(node.network, key)
    if messages or height != found.height:
        raise RpcError(
            LOTUS_ERROR,
            f"only the state after a tipset at its own height, {found.height}, is computed, without messages",
        )
    traces = CallTrees(DETAILS)
    replay = Replay(node.network.chain, found, tracer=traces if found.implicit else None)
    receipts = node.network.chain.index.receipts(found)
    traced = [_replay_message(replay, receipt) for receipt in receipts]
    executions = replay.end(traces)
    if found.implicit:
        positions = implicit_positions(executions, traces.roots)
        implicit = [
            _implicit_with_receipt(done, traces.roots[position])
            for done, position in zip(executions, positions, strict=True)
        ]
    else:
        implicit = list(_implicit(replay, traces))
    return {"Root": cid_json(found.state), "Trace": found.in_execution_order(traced, implicit)}


def _implicit_with_receipt(done: Execution, root: CallNode) -> dict[str, Any]:
    canonical = done.candidate.bare
    return _invocation(canonical.cid(), canonical, done.receipt, root, done.error_message)


def _implicit(replay: Replay, traces: CallTrees) -> Iterator[dict[str, Any]]:
    """Yield the implicit messages after the messages of a replay, which have no receipts."""
    for root in traces.roots:
        start, end = root.start, _end_of(root)
        done = Message(
            start.to,
            Address.id(start.from_),
            nonce=replay.machine.context.epoch,
            method=start.method,
            params=start.params,
            gas_limit=Gas(start.gas_available // MILLIGAS_PER_GAS),
        )
        receipt = Receipt(end.exit_code, end.return_data, Gas(end.gas_used // MILLIGAS_PER_GAS))
        yield _invocation(done.cid(), done, receipt, root, end.message)


def _replay_message(replay: Replay, receipt: TransactionReceipt) -> dict[str, Any]:
    """Return the current message of a tipset's replay."""
    traces = CallTrees(DETAILS)
    replay.next(traces)
    bare, executed = receipt.candidate.bare, receipt.execution.receipt
    base_fee = receipt.tipset.base_fee
    cost = gas_outputs(executed.gas_used, bare.gas_limit, base_fee, bare.gas_fee_cap, bare.gas_premium)
    costs = _costs(bare, executed, cost)
    wanted = receipt.candidate.message.cid()
    return _invocation(wanted, bare, executed, _root(traces), receipt.error_message, costs)


def state_search_msg(
    node: Node, start: Any, wanted: Any = None, limit: int = -1, replaced: bool = True
) -> dict[str, Any] | None:
    """Return the receipt and tipset of a message; null if it has none. The older form takes the CID alone.

    With `replaced` they may be those of the message that replaced it.
    """
    found = cid(start if wanted is None else wanted)
    if wanted is not None:
        tipset(start)
    receipt = _search(node, found, limit, replaced)
    return None if receipt is None else _look_up(node, receipt)


def state_search_msg_limited(node: Node, wanted: Cid, limit: int) -> dict[str, Any] | None:
    """Return the receipt and tipset of a message of the last `limit` epochs; null if it has none."""
    receipt = _search(node, wanted, limit, True)
    return None if receipt is None else _look_up(node, receipt)


def state_get_receipt(node: Node, wanted: Cid, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return the receipt of a message; null if it has none."""
    receipt = receipt_of(node, wanted)
    return None if receipt is None else receipt_json(receipt.execution.receipt)


def state_wait_msg(
    node: Node, wanted: Cid, confidence: int = 0, limit: int = -1, replaced: bool = True
) -> dict[str, Any]:
    """Wait for a message's block, at most two minutes; return its receipt, its decoded return value and its tipset.

    Raises RpcError 1 for an unknown message.
    """
    found = _search(node, wanted, limit, replaced)
    if found is None:
        raise NotYetAvailable(f"message {show(wanted)} has no block yet")
    return {**_look_up(node, found), "ReturnDec": _return_json(node.network.machine, found.execution)}


def _search(node: Node, wanted: Cid, limit: int, replaced: bool) -> TransactionReceipt | None:
    signed_or_bare(node, wanted)
    receipt = receipt_of_call(node, wanted, replaced=replaced)
    return None if receipt is None or is_older(node, receipt.tipset, limit) else receipt


def state_list_messages(node: NodeReader, match: Any, key: TipsetKey, lowest: int) -> list[dict[str, str]]:
    """Return the CIDs of the messages to and from given addresses, from a tipset back to a height, newest first."""
    request = fields(match, "match")
    to, from_ = field(request, "To", filecoin_address), field(request, "From", filecoin_address)
    if to is None and from_ is None:
        raise invalid_params("must specify at least To or From in message filter")
    last = found_tipset(node.network, key)
    if last.height - lowest > node.limits.log_span:
        raise RpcError(
            LIMIT_EXCEEDED, f"a range of {last.height - lowest} epochs exceeds the limit of {node.limits.log_span}"
        )
    machine, index, found = node.network.machine, node.network.chain.index, []
    wanted = tuple(None if address is None else machine.state_tree.lookup_id(address) for address in (to, from_))
    while last.height >= max(0, lowest):
        for receipt in index.receipts(last):
            bare = receipt.candidate.bare
            ends = (machine.state_tree.lookup_id(bare.to), machine.state_tree.lookup_id(bare.from_))
            given_ends = zip((to, from_), wanted, ends, strict=True)
            if all(address is None or number == end for address, number, end in given_ends):
                found.append(cid_json(receipt.candidate.message.cid()))
        if last.parent < 0:
            break
        last = index.tipset(last.parent)
    return found


# --- shapes -----------------------------------------------------------------------------------------------------------


def _look_up(node: NodeReader, receipt: TransactionReceipt) -> dict[str, Any]:
    """Return a receipt with its tipset; with deferred execution that is the next one, which executed the message."""
    executor = tipset_from(node, receipt.tipset.height + 1) if node.network.chain.deferred else receipt.tipset
    return {
        "Message": cid_json(receipt.candidate.message.cid()),
        "Receipt": receipt_json(receipt.execution.receipt),
        "ReturnDec": None,
        "TipSet": key_json(executor),
        "Height": executor.height,
    }


def _return_json(machine: Hypervisor, execution: Execution) -> Any:
    """Return a message's return value as Lotus decodes it: by its type in Go, or in base64 if that is unknown."""
    data, called = execution.receipt.return_data, execution.candidate.bare
    if execution.receipt.exit_code != ExitCode.OK or not data:
        return None
    actor = machine.actor(called.to)
    kind = "" if actor is None else machine.manifest.name_of(actor.code) or ""
    known = go_method(types_version(machine), kind, called.method)
    try:
        return bytes_json(data) if known is None else decode_json(known.returns, data)
    except SchemaError:
        return bytes_json(data)


def is_older(node: NodeReader, tipset: Tipset, limit: int) -> bool:
    """Return True if a tipset lies more than `limit` epochs behind the newest with receipts; -1 is no limit."""
    return limit >= 0 and node.network.executed_head.height - tipset.height > limit


def _invocation(
    wanted: Cid,
    invoked: Message,
    receipt: Receipt,
    call: CallNode | None,
    message: str,
    costs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the result of a message; `message` says why it came to no call of an actor."""
    return {
        "MsgCid": cid_json(wanted),
        "Msg": message_json(invoked),
        "MsgRct": receipt_json(receipt),
        "GasCost": {"Message": None, **dict.fromkeys(_COSTS, "0")} if costs is None else costs,
        "ExecutionTrace": NO_CALL if call is None else execution_trace(call),
        "Error": "" if receipt.exit_code == ExitCode.OK else _error(receipt, call, message),
        "Duration": 0,
    }


def _root(traces: CallTrees) -> CallNode | None:
    return traces.roots[0] if traces.roots else None


def _error(receipt: Receipt, call: CallNode | None, message: str) -> str:
    """Return the backtrace of a failed message as ref-fvm shows it (fvm/src/executor, `ApplyFailure`)."""
    frames = [] if call is None else list(_frames(call))
    lines = [f"{number:02}: {frame}" for number, frame in enumerate(frames)]
    if not frames and message:
        lines = [f"--> caused by: send::send -- {message}"]
    backtrace = "\n".join(["message failed with backtrace:", *lines]) if lines else "unknown error"
    return f"{backtrace}\n (RetCode={receipt.exit_code})" if lines else f"{backtrace} (RetCode={receipt.exit_code})"


def _frames(root: CallNode) -> Iterator[str]:
    """Yield the calls whose actors aborted, the last one and its caller first (ref-fvm call_manager/backtrace.rs)."""
    open_ = [root]
    while open_:
        call = open_.pop()
        end = _end_of(call)
        if end.exit_code != ExitCode.OK:
            text = "out of gas" if end.exit_code == ExitCode.SYS_OUT_OF_GAS and end.error else end.message
            yield f"f0{call.actor} (method {call.start.method}) -- {text} ({end.exit_code})"
        open_ += call.calls


def _costs(invoked: Message, receipt: Receipt, cost: GasOutputs) -> dict[str, Any]:
    """Return the costs of an account's message; implicit messages and calls pay nothing, and have no message CID."""
    amounts = (
        receipt.gas_used,
        cost.base_fee_burn,
        cost.over_estimation_burn,
        cost.miner_penalty,
        cost.miner_tip,
        cost.refund,
        cost.base_fee_burn + cost.over_estimation_burn + cost.miner_tip,
    )
    return {"Message": cid_json(invoked.cid()), **dict(zip(_COSTS, map(str, amounts), strict=True))}


METHODS = (
    Method("Filecoin.StateCall", (message, optional(tipset)), state_call, reads=True),
    Method("Filecoin.StateReplay", (tipset, cid), state_replay, reads=True, traces=True),
    Method(
        "Filecoin.StateCompute", (epoch, optional(any_value), optional(tipset)), state_compute, reads=True, traces=True
    ),
    Method(
        "Filecoin.StateSearchMsg",
        (any_value, optional(any_value), optional(epoch), optional(boolean)),
        state_search_msg,
    ),
    Method("Filecoin.StateSearchMsgLimited", (cid, epoch), state_search_msg_limited),
    Method("Filecoin.StateGetReceipt", (cid, optional(tipset)), state_get_receipt),
    Method(
        "Filecoin.StateWaitMsg",
        (cid, optional(unsigned), optional(epoch), optional(boolean)),
        state_wait_msg,
        waits=True,
    ),
    Method("Filecoin.StateListMessages", (any_value, tipset, epoch), state_list_messages, reads=True),
)
