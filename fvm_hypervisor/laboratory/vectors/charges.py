"""The gas charges of a message as JSON, and the first difference between two such lists.

A trace is a list of events per message, in the format of `tests/oracle run --trace`, which runs ref-fvm, so that the
two can be compared. A charge is `[name, milligas, part that is not for computation]`. A call is `{"call": address,
...}`, `{"invoke": actor, ...}` and at its end `{"return": exit code}` or `{"error": ...}`. A file of traces has one
object per line, beginning with `id`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypervisor.errors import InvalidInput
from hypervisor.gas import in_gas
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, GasCharged, MessageStarted, TraceEvent
from store.cid import show
from store.untrusted import parse_json

Trace = list[list[Any]]
"""Events by message."""

_WINDOW = 8
"""Maximum number of charges on one side that together may equal a single charge on the other."""
_SHOWN = 4
"""Number of charges shown per side after the first difference."""


def trace_of(events: Iterable[TraceEvent]) -> Trace:
    """Return the trace of a recorded event stream."""
    messages: Trace = []
    for event in events:
        match event:
            case MessageStarted():
                messages.append([])
            case GasCharged():
                messages[-1].append([event.name, event.milligas, event.other])
            case CallStarted():
                record = {"call": str(event.to), "from": event.from_, "method": event.method, "value": str(event.value)}
                messages[-1].append(record | {"read_only": event.read_only})
            case Dispatched():
                messages[-1].append({"invoke": event.actor, "code": show(event.code)})
            case CallEnded() if event.error:
                messages[-1].append({"error": event.error, "words": event.message})
            case CallEnded():
                messages[-1].append({"return": event.exit_code})
            case _:
                pass
    return messages


class TraceFile:
    """Traces by ID, read from the file on demand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                self._offsets[_id_of(line, path, number)] = offset
                offset += len(line)

    def get(self, name: str) -> Trace | None:
        offset = self._offsets.get(name)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            trace: Trace = parse_json(file.readline())["trace"]
        return trace


def _id_of(line: bytes, path: Path, number: int) -> str:
    decoder = json.JSONDecoder()
    try:
        text = line.decode()
        name, end = decoder.raw_decode(text, text.index(":") + 1 + (text[text.index(":") + 1] == " "))
        if not text.startswith('{"id"') or not isinstance(name, str) or text[end] != ",":
            raise ValueError(text[:40])
    except (ValueError, IndexError) as error:
        raise InvalidInput(f"{path}, line {number} is not a trace: {error}") from None
    return name


@dataclass(frozen=True, slots=True)
class Charge:
    """A nonzero charge: its name, milligas, the total of the message up to it, and its open calls."""

    name: str
    milligas: int
    total: int
    calls: tuple[str, ...]

    def __str__(self) -> str:
        calls = " > ".join(self.calls) or "before any call"
        return f"{self.name} {in_gas(self.milligas)}, in all {in_gas(self.total)} ({calls})"


def charges_of(message: Iterable[Any]) -> Iterator[Charge]:
    """Yield the nonzero charges of one message."""
    total = 0
    calls: list[str] = []
    for event in message:
        match event:
            case [name, milligas, *_] if milligas:
                total += milligas
                yield Charge(name, milligas, total, tuple(calls))
            case {"call": to, "method": method}:
                calls.append(f"{to} method {method}")
            case {"return": _} | {"error": _} if calls:
                calls.pop()
            case _:
                pass


def first_difference(ours: Iterable[Any], theirs: Iterable[Any]) -> list[str]:
    """Return the last charge on which two traces agree, and what follows in each; empty if they agree.

    The traces also agree if one side makes a charge in several steps, or under another name.
    """
    left, right = list(charges_of(ours)), list(charges_of(theirs))
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i].milligas == right[j].milligas:
            steps = (1, 1)
        else:
            steps = _next_equal_sums(left[i : i + _WINDOW], right[j : j + _WINDOW])
        if steps == (0, 0):
            break
        i, j = i + steps[0], j + steps[1]
    if i == len(left) and j == len(right):
        return []
    heading = f"the first {i} charges agree" + (f", up to {left[i - 1]}" if i else "")
    lines = [heading]
    for label, rest, number in (("ours", left, i), ("expected", right, j)):
        lines += [f"{label} {at + 1}: {rest[at]}" for at in range(number, min(number + _SHOWN, len(rest)))]
        if number == len(rest):
            lines.append(f"{label}: nothing more")
    return lines


def _next_equal_sums(left: list[Charge], right: list[Charge]) -> tuple[int, int]:
    """Return the numbers of charges after which both sums are equal again; (0, 0) if they are not within the window."""
    left_start, right_start = left[0].total - left[0].milligas, right[0].total - right[0].milligas
    sums = {charge.total - left_start: index for index, charge in enumerate(left, 1)}
    for index, charge in enumerate(right, 1):
        count = sums.get(charge.total - right_start)
        if count is not None:
            return count, index
    return 0, 0


def totals(message: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Return the count and total (milligas) of each charge, largest first."""
    sums: dict[str, tuple[int, int]] = {}
    for charge in charges_of(message):
        count, milligas = sums.get(charge.name, (0, 0))
        sums[charge.name] = count + 1, milligas + charge.milligas
    return dict(sorted(sums.items(), key=lambda item: -item[1][1]))
