"""The first difference between two executions of a message, as text.

Calls are compared in this order: start, subcalls, own charges, events, end. So the result is the innermost call that
differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from fvm_hypervisor.laboratory.profile import EXECUTION, CallCost, CallNames, Event, MessageCost
from hypervisor.exit_codes import exit_meaning
from hypervisor.gas import in_gas
from hypervisor.text import printable

MAX_LINES: Final = 12
_BEGIN: Final = "begin"
_END: Final = "end"


@dataclass(frozen=True, slots=True)
class CostDifference:
    """A difference: the path of calls from the outermost one, and one line per difference."""

    path: tuple[str, ...]
    lines: tuple[str, ...]


def first_cost_difference(one: list[MessageCost], other: list[MessageCost], names: CallNames) -> CostDifference | None:
    """Return the first difference between two executions of the same messages, or None."""
    for mine, others in zip_longest(_call_boundaries(one), _call_boundaries(other)):
        if mine is None or others is None:
            call = (mine or others)[1]
            which = "A" if others is None else "B"
            return CostDifference(_path((mine or others)[2], names), (f"only {which} calls {_call_text(call, names)}",))
        lines = _differences(mine, others, names)
        if lines:
            return CostDifference(_path(mine[2], names), tuple(lines[:MAX_LINES]))
    return None


CallBoundary = tuple[str, CallCost, tuple[CallCost, ...]]
"""The start or the end of a call, the call, and its path from the outermost call."""


def _call_boundaries(messages: list[MessageCost]) -> Iterator[CallBoundary]:
    for message in messages:
        yield _END, message.head, (message.head,)
        stack: list[CallBoundary] = [(_BEGIN, call, (call,)) for call in message.calls[::-1]]
        while stack:
            kind, call, path = stack.pop()
            yield kind, call, path
            if kind is _BEGIN:
                stack.append((_END, call, path))
                stack += [(_BEGIN, inner, (*path, inner)) for inner in call.calls[::-1]]


def _path(path: tuple[CallCost, ...], names: CallNames) -> tuple[str, ...]:
    return tuple(f"{call.to} {names.method(call)}" if call.to != "message" else names.method(call) for call in path)


def _differences(mine: CallBoundary, others: CallBoundary, names: CallNames) -> list[str]:
    (kind, one, _), (other_kind, other, _) = mine, others
    if kind != other_kind:
        longer, which = (one, "A") if kind is _BEGIN else (other, "B")
        return [f"only {which} then calls {_call_text(longer, names)}", *_charges(one, other)]
    if kind is _BEGIN:
        return _call_start_differences(one, other, names)
    events = _event_texts(one.events, other.events)
    return [*_charges(one, other), *_syscalls(one, other), *events, *_ends(one, other, names)]


def _call_start_differences(one: CallCost, other: CallCost, names: CallNames) -> list[str]:
    lines = []
    if (one.to, one.method) != (other.to, other.method):
        lines.append(f"A calls {_call_text(one, names)}, B {_call_text(other, names)}")
    if one.value != other.value:
        lines.append(f"value: A {one.value} attoFIL, B {other.value}")
    if one.params != other.params:
        lines.append(f"parameters: A {_bytes(one.params)}, B {_bytes(other.params)}")
    return lines


def _charges(one: CallCost, other: CallCost) -> list[str]:
    """Return the charges whose number or amount differs, largest difference first."""
    found = []
    for key in {**one.own, **other.own}:
        (times, milligas), (other_times, other_milligas) = one.own.get(key, (0, 0)), other.own.get(key, (0, 0))
        if (times, milligas) == (other_times, other_milligas):
            continue
        if key[1] == EXECUTION:  # charged once per syscall; syscalls are compared separately
            line = f"{EXECUTION} (instructions): A {in_gas(milligas)}, B {in_gas(other_milligas)} gas"
        else:
            count = f"{times}" if times == other_times else f"A {times}, B {other_times}"
            where = f" in {key[0]}" if key[0] else ""
            line = f"{key[1]}{where} ({count} times): A {in_gas(milligas)}, B {in_gas(other_milligas)} gas"
        found.append((-abs(other_milligas - milligas), line))
    return [line for _, line in sorted(found)]


def _syscalls(one: CallCost, other: CallCost) -> list[str]:
    return [
        f"{name}: A calls it {one.syscalls.get(name, 0)} times, B {other.syscalls.get(name, 0)}"
        for name in {**one.syscalls, **other.syscalls}
        if one.syscalls.get(name, 0) != other.syscalls.get(name, 0)
    ]


def _event_texts(one: list[Event], other: list[Event]) -> list[str]:
    lines = [f"events: A emits {len(one)}, B {len(other)}"] if len(one) != len(other) else []
    for number, (mine, others) in enumerate(zip(one, other, strict=False), 1):
        if mine != others:
            lines.append(f"event {number}: A {_event(mine)}, B {_event(others)}")
    return lines


def _ends(one: CallCost, other: CallCost, names: CallNames) -> list[str]:
    lines = []
    if (one.exit_code, one.error) != (other.exit_code, other.error):
        lines.append(f"end: A {_end(one, names)}, B {_end(other, names)}")
    if one.returned != other.returned:
        lines.append(f"return: A {_bytes(one.returned)}, B {_bytes(other.returned)}")
    return lines


def _end(call: CallCost, names: CallNames) -> str:
    return call.error or f"exit {exit_meaning(call.exit_code, native=names.is_native(call))}"


def _event(entries: Event) -> str:
    return "{" + ", ".join(f"{printable(key, 40)}: {_bytes(value)}" for _, key, _, value in entries) + "}"


def _call_text(call: CallCost, names: CallNames) -> str:
    return f"{call.to} {names.method(call)}"


def _bytes(data: bytes) -> str:
    shown = f"0x{data[:24].hex()}"
    return shown if len(data) <= 24 else f"{shown}... ({len(data):,} bytes)"


def as_json(difference: CostDifference | None) -> dict[str, Any] | None:
    """Return the difference as a JSON object."""
    return None if difference is None else {"path": list(difference.path), "words": list(difference.lines)}
