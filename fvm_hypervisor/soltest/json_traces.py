"""Call trees of tests in the JSON format of `forge test --json`, which is the call arena of revm-inspectors.

An arena lists the calls of a message in the order in which they start. Each call refers to its caller and its subcalls
by index; `ordering` gives the order of its subcalls, logs and instructions. Fields that forge leaves empty are empty
here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import PrecompileRefusal, SlotWritten
from fvm_hypervisor.soltest.trace.call_text import SUCCESSES, status_text
from fvm_hypervisor.soltest.trace.frames import CallFrame, TracedStep, log_of
from fvm_hypervisor.soltest.trace.trace_names import Names
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.tracing import EventEmitted
from localnet.rpc.values import as_data

_CREATE2, _SLOAD, _SSTORE = 0xF5, 0x54, 0x55
_COLD: Final = {_SLOAD: 2100, _SSTORE: 2200}
"""Gas cost of SLOAD on a cold slot, and of SSTORE on a cold slot if the value does not change."""
_MAX_REFUND_SHARE: Final = 5
"""Refunds are limited to the gas used divided by this number (EIP-3529)."""

Node = dict[str, Any]


def arena(root: CallFrame, sender: EthAddress, names: Names, *, has_steps: bool) -> list[Node]:
    """Return the arena of a message sent by `sender`. `has_steps` includes the traced instructions."""
    return _Arena(names, has_steps).nodes_of(root, sender)


@dataclass(slots=True)
class _Open:
    """A call whose subcalls, logs and instructions are being converted."""

    frame: CallFrame
    node: Node
    parts: Iterator[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | TracedStep]
    refund: int = 0


class _Arena:
    def __init__(self, names: Names, has_steps: bool) -> None:
        self._names, self._has_steps = names, has_steps
        self._nodes: list[Node] = []
        self._logs = 0

    def nodes_of(self, root: CallFrame, sender: EthAddress) -> list[Node]:
        """Return the calls of a tree. Not recursive: calls are up to 1,024 deep."""
        todo = [self._open(root, sender, None)]
        while todo:
            current = todo[-1]
            match next(current.parts, None):
                case CallFrame() as call:
                    caller = current.frame.acts_as or current.frame.address
                    todo.append(self._open(call, caller, current.node))
                case EventEmitted() as event:
                    self._add_log(current, event)
                case TracedStep() as step:
                    self._add_step(current, step)
                case SlotWritten() as change:
                    _note_change(current, change)
                case PrecompileRefusal():
                    pass
                case None:
                    todo.pop()
                    self._close(current)
                    if todo and current.frame.succeeded:
                        todo[-1].refund += current.refund
        return self._nodes

    def _open(self, frame: CallFrame, caller: EthAddress, parent: Node | None) -> _Open:
        node: Node = {
            "parent": None if parent is None else parent["idx"],
            "children": [],
            "idx": len(self._nodes),
            "trace": {
                "depth": 0 if parent is None else parent["trace"]["depth"] + 1,
                "success": frame.succeeded,
                "caller": as_data(caller),
                "address": as_data(frame.target),
                "maybe_precompile": False if frame.creates else None,
                "selfdestruct_address": None,
                "selfdestruct_refund_target": None,
                "selfdestruct_transferred_value": None,
                "kind": _json_kind(frame),
                "value": hex(frame.value),
                "data": as_data(frame.input),
                "output": as_data(_output(frame, self._names)),
                "gas_used": frame.gas_used,
                "gas_limit": frame.start.gas_available // MILLIGAS_PER_GAS,
                "gas_refund_counter": 0,
                "status": status_text(frame, self._names),
                "steps": [],
                "decoded": None,
            },
            "logs": [],
            "ordering": [],
        }
        if parent is not None:
            parent["ordering"].append({"Call": len(parent["children"])})
            parent["children"].append(node["idx"])
            if frame.creates and parent["trace"]["steps"]:
                parent["trace"]["steps"][-1]["gas_cost"] += node["trace"]["gas_limit"]  # as in revm
        self._nodes.append(node)
        has_steps = self._has_steps and (frame.creates or bool(frame.code))
        return _Open(frame, node, _json_parts(frame) if has_steps else iter(frame.items))

    @staticmethod
    def _close(current: _Open) -> None:
        trace = current.node["trace"]
        trace["gas_refund_counter"] = max(0, current.refund)
        if trace["steps"]:
            last = trace["steps"][-1]
            last["status"] = SUCCESSES.get(last["op"], "Return") if trace["success"] else trace["status"]

    def _add_log(self, current: _Open, event: EventEmitted) -> None:
        log, node = log_of(event), current.node
        if log is None:
            return  # a native actor's event that is not encoded as an EVM log
        node["ordering"].append({"Log": len(node["logs"])})
        node["logs"].append({
            "address": as_data(current.frame.acts_as or current.frame.address),
            "raw_log": {"topics": [as_data(topic) for topic in log.topics], "data": as_data(log.data)},
            "decoded": None,
            "position": len(node["children"]),
            "index": self._logs,
        })  # fmt: skip
        self._logs += 1

    @staticmethod
    def _add_step(current: _Open, step: TracedStep) -> None:
        node, trace = current.node, current.node["trace"]
        spent = current.frame.steps[0].gas - step.gas
        refund = current.refund % (1 << 64)  # forge prints a negative counter as unsigned 64-bit
        node["ordering"].append({"Step": len(trace["steps"])})
        trace["steps"].append({
            "pc": step.counter,
            "op": step.opcode,
            "stack": None,
            "push_stack": None,
            "memory": None,
            "returndata": "0x",
            "gas_remaining": step.gas,
            "gas_refund_counter": refund,
            "gas_used": spent - min(refund, spent // _MAX_REFUND_SHARE),
            "gas_cost": step.cost,
            "storage_change": _first_access(step),
            "status": None,
            "immediate_bytes": None,
            "decoded": None,
        })  # fmt: skip


def _json_parts(frame: CallFrame) -> Iterator[CallFrame | EventEmitted | SlotWritten | PrecompileRefusal | TracedStep]:
    """Yield the content of a frame and its instructions, in order."""
    begun = 0
    for step in frame.steps:
        yield from frame.items[begun : step.place]
        begun = step.place
        yield step
    yield from frame.items[begun:]


def _note_change(current: _Open, change: SlotWritten) -> None:
    current.refund += change.refund
    steps = current.node["trace"]["steps"]
    if steps:
        steps[-1]["storage_change"] = _change("SSTORE", change.slot, change.after, change.before)


def _first_access(step: TracedStep) -> Node | None:
    """Return a step's storage access if it is the message's first one to the slot, as its cost shows, else None."""
    if step.slot is None or step.word is None or step.cost != _COLD[step.opcode]:
        return None
    return _change("SLOAD" if step.opcode == _SLOAD else "SSTORE", step.slot, step.word, None)


def _change(reason: str, slot: int, word: int, before: int | None) -> Node:
    had = None if before is None else hex(before)
    return {"key": hex(slot), "value": hex(word), "had_value": had, "reason": reason}


def _json_kind(frame: CallFrame) -> str:
    if frame.creates:
        return "CREATE2" if frame.opcode == _CREATE2 else "CREATE"
    if frame.is_delegated:
        return "CALLCODE" if frame.is_callcode else "DELEGATECALL"
    return "STATICCALL" if frame.is_static else "CALL"


def _output(frame: CallFrame, names: Names) -> bytes:
    """Return the output of a call, or the deployed code of a creation."""
    if not frame.creates or not frame.succeeded:
        return frame.output
    contract = names.known.of(frame) if frame.deployed is None else None
    return contract.runtime.code if contract is not None else frame.deployed or b""
