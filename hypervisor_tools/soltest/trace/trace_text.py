"""Call trees of tests as text and as JSON, in forge's formats, across both runtimes.

A line of text has the gas, the callee, the function and the arguments; below it are calls, events and changed slots in
order, and the result. Format: the Foundry book, understanding traces; revm-inspectors' `TraceWriter`.

In JSON an arena lists the calls of a message in the order in which they start. Each call refers to its caller and its
subcalls by index; `ordering` gives the order of its subcalls, logs and instructions. Fields that forge leaves empty are
empty here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.evm_steps import PrecompileRefusal, SlotWritten
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.messages.events import EventEntry
from hypervisor.text import printable
from hypervisor.tracing import CallItem, CallNode, EventEmitted
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.call_text import SUCCESSES, call_texts, hex_text, result_text, status_text
from hypervisor_tools.soltest.trace.frames import InternalCall, TracedStep, TypedValue
from hypervisor_tools.soltest.trace.trace_names import MAX_LENGTH, Names
from hypervisor_tools.soltest.value_text import value_text
from localnet.rpc.values import as_data
from localnet.traces.trace_report import native_text

MAX_LINES: Final = 20_000
MAX_CHARACTERS: Final = 16 << 20
"""Maximum length of a text in lines and in characters; its last line counts the calls and events beyond."""
_MAX_SHORT: Final = 999_999
"""Largest word of a slot that is printed as a decimal number."""
_Part = CallNode | InternalCall | EventEmitted | PrecompileRefusal | str


def trace_text(roots: Sequence[CallNode], names: Names, *, with_slots: bool = False) -> str:
    """Return the lines of call trees, indented by two; `with_slots` adds the slots that each frame changed."""
    lines: list[str] = []
    characters = 0
    todo: list[tuple[_Part, CallNode | InternalCall | None, str, str]] = [
        (root, None, "  ", "  ") for root in reversed(roots)
    ]
    while todo and len(lines) < MAX_LINES and characters < MAX_CHARACTERS:
        item, of, first, rest = todo.pop()
        text, parts = _text(item, of, names), _parts(item, names, with_slots)
        start, *more = text.split("\n")
        lines += [first + start, *(rest + line for line in more)]
        characters += len(text)
        inner = "    " if rest == "  " else rest
        for index in reversed(range(len(parts))):
            last = index == len(parts) - 1
            within = item if isinstance(item, CallNode | InternalCall) else None
            todo.append(
                (parts[index], within, inner + ("└─ " if last else "├─ "), inner + ("    " if last else "│   "))
            )
    if todo:
        calls, events = _count([part for part, *_ in todo])
        lines.append(f"  ... cut after {len(lines):,} lines; left out: {calls:,} calls, {events:,} events")
    return "\n".join(lines)


def _count(parts: list[_Part]) -> tuple[int, int]:
    """Return how many calls and events there are in parts of a tree."""
    calls = events = 0
    while parts:
        item = parts.pop()
        calls += isinstance(item, CallNode)
        events += isinstance(item, EventEmitted)
        if isinstance(item, CallNode | InternalCall):
            parts += [part for part in item.items if isinstance(part, CallNode | InternalCall | EventEmitted)]
    return calls, events


def _text(item: _Part, of: CallNode | InternalCall | None, names: Names) -> str:
    """Return the text of an item of `of`, without its own items."""
    match item:
        case CallNode():
            return _head(item, names)
        case InternalCall():
            return f"[{item.gas}] {function_head(item, names)}"
        case EventEmitted():
            return _event(item, of, names)
        case PrecompileRefusal():
            return f"refused by {item.name} at {checksummed(item.address)}: {printable(item.reason)}"
        case str():
            return item


def function_head(call: InternalCall, names: Names) -> str:
    """Return an internal function with its arguments."""
    return f"{call.name}({_values(call.arguments, names)})"


def _function_result(call: InternalCall, names: Names) -> str:
    """Return the result of a function; empty if it returns nothing, as in forge."""
    return "[Revert]" if call.result is None else _values(call.result, names)


def _values(values: Sequence[TypedValue], names: Names) -> str:
    return ", ".join(
        str(one.value) if one.entry is None else value_text(one.entry, one.value, names.address) for one in values
    )


def _parts(of: _Part, names: Names, with_slots: bool) -> list[_Part]:
    """Return the content of a frame, or of a function in it, in order; its result is the last."""
    if not isinstance(of, CallNode | InternalCall):
        return []
    parts: list[_Part] = [
        item for item in of.items if isinstance(item, CallNode | InternalCall | EventEmitted | PrecompileRefusal)
    ]
    if isinstance(of, InternalCall):
        return [*parts, f"← {_function_result(of, names)}"]
    return [*parts, *(_slots(of) if with_slots else []), f"← {result_text(of, names)}"]


def _slots(frame: CallNode) -> list[str]:
    """Return the slots that a frame changed, in the order of their last changes."""
    slots: dict[int, tuple[int, int]] = {}
    for item in frame.flat_items():
        if isinstance(item, SlotWritten):
            first, _ = slots.pop(item.slot, (item.before, 0))
            slots[item.slot] = first, item.after
    changed = {slot: values for slot, values in slots.items() if values[0] != values[1]}
    if not changed:
        return []
    lines = (f"@ {_word(slot)}: {_word(before)} → {_word(after)}" for slot, (before, after) in changed.items())
    return ["\n".join([" storage changes:", *lines])]


def _head(frame: CallNode, names: Names) -> str:
    state = frames.state_gas(frame)
    gas = f"[{frames.gas_used(frame)}{f', state {state}' if state else ''}] "
    if frames.creates(frame):
        address = frames.address_of(frame)
        return f"{gas}→ new {names.label(address) or '<unknown>'}@{checksummed(address)}"
    value = f"{{value: {frames.value_of(frame)}}}" if frames.value_of(frame) else ""
    function, arguments = call_texts(frame, names)
    return f"{gas}{names.callee(frame)}::{function}{value}({arguments}){_kind(frame)}"


def _kind(frame: CallNode) -> str:
    if frames.is_actors(frame):
        return f" [native{', read-only' if frame.start.read_only else ''}]"
    kind = frames.kind_of(frame)
    return "" if kind == "CALL" else f" [{kind.lower()}]"


def _event(event: EventEmitted, of: CallNode | InternalCall | None, names: Names) -> str:
    log = frames.log_of(event)
    if log is None:
        entries = [EventEntry(*entry) for entry in event.entries]
        text = native_text(actor_schema(names.actor(of) if isinstance(of, CallNode) else ""), entries)
        plain_text = ", ".join(f"{key}=0x{value.hex()}" for _, key, _, value in entries)
        return f"emit {printable(text or plain_text, MAX_LENGTH)}"
    read = names.signatures.event(log)
    if read is None:
        parts = [(f"topic {index}", f"0x{topic.hex()}") for index, topic in enumerate(log.topics)]
        lines = [f"{name:>12}: {value}" for name, value in [*parts, ("data", hex_text(log.data) or "0x")]]
        return "\n".join([f" emit {lines[0].lstrip()}" if parts else f"  {lines[0]}", *lines[1:]])
    entry, values = read
    fields = ", ".join(
        f"{item['name']}: {_field(item, value, names)}" for item, value in zip(entry["inputs"], values, strict=True)
    )
    return f"emit {entry['name']}({fields})"


def _field(item: Mapping[str, Any], value: Any, names: Names) -> str:
    """Return an argument of an event; an indexed dynamic one is only available as a hash."""
    if item["indexed"] and isinstance(value, bytes) and not str(item["type"]).startswith("bytes"):
        return f"0x{value.hex()}"
    return value_text(item, value, names.address)


def _word(word: int) -> str:
    return str(word) if word <= _MAX_SHORT else f"0x{word:064x}"


_SLOAD, _SSTORE = 0x54, 0x55
_COLD: Final = {_SLOAD: 2100, _SSTORE: 2200}
"""Gas cost of SLOAD on a cold slot, and of SSTORE on a cold slot if the value does not change."""
_MAX_REFUND_SHARE: Final = 5
"""Refunds are limited to the gas used divided by this number (EIP-3529)."""

Node = dict[str, Any]


def arena(root: CallNode, sender: EthAddress, names: Names, *, has_steps: bool) -> list[Node]:
    """Return the arena of a message sent by `sender`. `has_steps` includes the traced instructions."""
    return _Arena(names, has_steps).nodes_of(root, sender)


@dataclass(slots=True)
class _Open:
    """A call whose subcalls, logs and instructions are being converted."""

    frame: CallNode
    node: Node
    items: Iterator[CallItem]
    has_steps: bool
    refund: int = 0
    gas: int | None = None
    """Gas before the first instruction."""


class _Arena:
    def __init__(self, names: Names, has_steps: bool) -> None:
        self._names, self._has_steps = names, has_steps
        self._nodes: list[Node] = []
        self._logs = 0

    def nodes_of(self, root: CallNode, sender: EthAddress) -> list[Node]:
        """Return the calls of a tree. Not recursive: calls are up to 1,024 deep."""
        todo = [self._open(root, sender, None)]
        while todo:
            current = todo[-1]
            match next(current.items, None):
                case CallNode() as call:
                    caller = frames.acts_as(current.frame)
                    todo.append(self._open(call, caller, current.node))
                case EventEmitted() as event:
                    self._add_log(current, event)
                case TracedStep() as step if current.has_steps:
                    self._add_step(current, step)
                case SlotWritten() as change:
                    _note_change(current, change)
                case None:
                    todo.pop()
                    self._close(current)
                    if todo and current.frame.succeeded:
                        todo[-1].refund += current.refund
                case _:
                    pass
        return self._nodes

    def _open(self, frame: CallNode, caller: EthAddress, parent: Node | None) -> _Open:
        node: Node = {
            "parent": None if parent is None else parent["idx"],
            "children": [],
            "idx": len(self._nodes),
            "trace": {
                "depth": 0 if parent is None else parent["trace"]["depth"] + 1,
                "success": frame.succeeded,
                "caller": as_data(caller),
                "address": as_data(frames.target_of(frame)),
                "maybe_precompile": False if frames.creates(frame) else None,
                "selfdestruct_address": None,
                "selfdestruct_refund_target": None,
                "selfdestruct_transferred_value": None,
                "kind": frames.kind_of(frame),
                "value": hex(frames.value_of(frame)),
                "data": as_data(frames.input_of(frame)),
                "output": as_data(_output(frame, self._names)),
                "gas_used": frames.gas_used(frame),
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
            if frames.creates(frame) and parent["trace"]["steps"]:
                parent["trace"]["steps"][-1]["gas_cost"] += node["trace"]["gas_limit"]  # as in revm
        self._nodes.append(node)
        has_steps = self._has_steps and (frames.creates(frame) or bool(frames.code_of(frame)))
        return _Open(frame, node, frame.flat_items(), has_steps)

    @staticmethod
    def _close(current: _Open) -> None:
        trace = current.node["trace"]
        trace["gas_refund_counter"] = max(0, current.refund)
        if trace["steps"]:
            last = trace["steps"][-1]
            last["status"] = SUCCESSES.get(last["op"], "Return") if trace["success"] else trace["status"]

    def _add_log(self, current: _Open, event: EventEmitted) -> None:
        log, node = frames.log_of(event), current.node
        if log is None:
            return  # a native actor's event that is not encoded as an EVM log
        node["ordering"].append({"Log": len(node["logs"])})
        node["logs"].append({
            "address": as_data(frames.acts_as(current.frame)),
            "raw_log": {"topics": [as_data(topic) for topic in log.topics], "data": as_data(log.data)},
            "decoded": None,
            "position": len(node["children"]),
            "index": self._logs,
        })  # fmt: skip
        self._logs += 1

    @staticmethod
    def _add_step(current: _Open, step: TracedStep) -> None:
        node, trace = current.node, current.node["trace"]
        current.gas = step.gas if current.gas is None else current.gas
        spent = current.gas - step.gas
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


def _output(frame: CallNode, names: Names) -> bytes:
    """Return the output of a call, or the deployed code of a creation."""
    if not frames.creates(frame) or not frame.succeeded:
        return frames.output_of(frame)
    deployed = frames.deployed_code(frame)
    contract = names.known.of(frame) if deployed is None else None
    return contract.runtime.code if contract is not None else deployed or b""
