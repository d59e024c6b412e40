"""Call trees of tests as text in forge's format, across both runtimes.

A line has the gas, the callee, the function and the arguments; below it are calls, events and changed slots in order,
and the result. Format: the Foundry book, understanding traces; revm-inspectors' `TraceWriter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from bridge.ethereum.addresses import checksummed
from bridge.evm_steps import PrecompileRefusal, SlotWritten
from fvm_hypervisor.soltest.trace.call_text import call_texts, hex_text, result_text
from fvm_hypervisor.soltest.trace.frames import CallFrame, InternalCall, TypedValue, log_of, parts_of
from fvm_hypervisor.soltest.trace.trace_names import MAX_LENGTH, Names
from fvm_hypervisor.soltest.value_text import value_text
from hypervisor.messages.events import EventEntry
from hypervisor.text import printable
from hypervisor.tracing import EventEmitted
from localnet.traces.trace_report import native_text

MAX_LINES: Final = 20_000
_MAX_SHORT: Final = 999_999
"""Largest word of a slot that is printed as a decimal number."""


def trace_text(roots: Sequence[CallFrame], names: Names, *, with_slots: bool = False) -> str:
    """Return the lines of call trees, indented by two; `with_slots` adds the slots that each frame changed."""
    lines: list[str] = []
    todo: list[tuple[CallFrame | _Internal | str, str, str]] = [(root, "  ", "  ") for root in reversed(roots)]
    while todo and len(lines) < MAX_LINES:
        item, first, rest = todo.pop()
        parts: list[CallFrame | _Internal | str]
        if isinstance(item, str):
            lines += [first + item.split("\n", 1)[0], *(rest + line for line in item.split("\n")[1:])]
            continue
        if isinstance(item, CallFrame):
            lines.append(first + _head(item, names))
            slots = _slots(item) if with_slots else []
            parts = [*_parts(item, names), *slots, f"← {result_text(item, names)}"]
        else:
            lines.append(f"{first}[{item.call.gas}] {function_head(item.call, names)}")
            parts = [*_parts(item.frame, names, item.call), f"← {_function_result(item.call, names)}"]
        inner = "    " if rest == "  " else rest
        for index in reversed(range(len(parts))):
            last = index == len(parts) - 1
            todo.append((parts[index], inner + ("└─ " if last else "├─ "), inner + ("    " if last else "│   ")))
    if todo:
        lines.append(f"  ... cut after {MAX_LINES:,} lines")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Internal:
    """An internal function call of a frame."""

    frame: CallFrame
    call: InternalCall


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


def _parts(frame: CallFrame, names: Names, call: InternalCall | None = None) -> list[CallFrame | _Internal | str]:
    """Return the content of a frame, or of a function in it, in order."""
    parts: list[CallFrame | _Internal | str] = []
    for item in parts_of(frame, call):
        match item:
            case CallFrame():
                parts.append(item)
            case InternalCall():
                parts.append(_Internal(frame, item))
            case EventEmitted():
                parts.append(_event(item, frame, names))
            case PrecompileRefusal():
                parts.append(f"refused by {item.name} at {checksummed(item.address)}: {printable(item.reason)}")
            case SlotWritten():
                pass  # appended by `_slots`
    return parts


def _slots(frame: CallFrame) -> list[str]:
    """Return the slots that a frame changed, in the order of their last changes."""
    slots: dict[int, tuple[int, int]] = {}
    for item in frame.items:
        if isinstance(item, SlotWritten):
            first, _ = slots.pop(item.slot, (item.before, 0))
            slots[item.slot] = first, item.after
    changed = {slot: values for slot, values in slots.items() if values[0] != values[1]}
    if not changed:
        return []
    lines = (f"@ {_word(slot)}: {_word(before)} → {_word(after)}" for slot, (before, after) in changed.items())
    return ["\n".join([" storage changes:", *lines])]


def _head(frame: CallFrame, names: Names) -> str:
    gas = f"[{frame.gas_used}] "
    if frame.creates:
        return f"{gas}→ new {names.label(frame.address) or '<unknown>'}@{checksummed(frame.address)}"
    value = f"{{value: {frame.value}}}" if frame.value else ""
    function, arguments = call_texts(frame, names)
    return f"{gas}{names.callee(frame)}::{function}{value}({arguments}){_kind(frame)}"


def _kind(frame: CallFrame) -> str:
    if frame.is_actors:
        return f" [native{', read-only' if frame.start.read_only else ''}]"
    if frame.is_delegated:
        return " [callcode]" if frame.is_callcode else " [delegatecall]"
    return " [staticcall]" if frame.is_static else ""


def _event(event: EventEmitted, frame: CallFrame, names: Names) -> str:
    log = log_of(event)
    if log is None:
        entries = [EventEntry(*entry) for entry in event.entries]
        text = native_text(actor_schema(names.actor(frame)), entries)
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
