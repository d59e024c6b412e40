"""A decoded call tree as collapsible rows: the `<details>` elements that each row opens and closes.

Rows below the depth `MAX_DEPTH` are flat and state their depth, because browsers limit the depth of a page. The code is
iterative, since calls can be 1,024 deep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from localnet.traces.console_log import is_log, line_of
from localnet.traces.trace_report import has_failed

MAX_DEPTH: Final = 32
PAGE: Final = 250
"""Maximum number of calls on one page."""
_UNFOLDED: Final = 60
"""Number of calls up to which all are expanded initially; above it, only failed ones and the first two levels."""


@dataclass(slots=True)
class CallRow:
    """The row of a call. `index` is its number in call order; `share` is its percentage of the message's gas."""

    index: int
    depth: int
    call: Mapping[str, Any]
    inner: int
    failed: bool
    cause: bool
    share: float
    log: str = ""
    opens: bool = False
    unfolded: bool = False
    closes: int = 0


def call_rows(report: Mapping[str, Any], first: int = 0, limit: int = PAGE) -> tuple[list[CallRow], int]:
    """Return the rows of calls from `first` on, in execution order, and the total number of calls."""
    gas = max(1, int(report.get("gasUsed") or sum(call["gas"] for call in report["calls"])))
    cause, flat = _cause(report), calls_in_order(report["calls"])
    rows = [
        CallRow(
            first + number,
            depth,
            call,
            len(call["calls"]),
            has_failed(call),
            call is cause,
            100 * call["gas"] / gas,
            line_of(call) if is_log(call["to"]) else "",
        )
        for number, (depth, call) in enumerate(flat[first : first + limit])
    ]
    _nest(rows, all_open=len(flat) <= _UNFOLDED)
    return rows, len(flat)


def caught(calls: Sequence[Mapping[str, Any]], limit: int = 5) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the innermost failed calls with their positions; in a successful message, these failures were caught."""
    return [
        (index, call)
        for index, (_, call) in enumerate(calls_in_order(calls))
        if has_failed(call) and not any(has_failed(below) for below in call["calls"])
    ][:limit]


def calls_in_order(calls: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return all calls with their depths in preorder; a call's number is its position in the list."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    todo = [(0, call) for call in reversed(calls)]
    while todo:
        depth, call = todo.pop()
        found.append((depth, call))
        todo.extend((depth + 1, below) for below in reversed(call["calls"]))
    return found


def _cause(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the call that explains a failure."""
    found, calls = None, report["calls"]
    why = report.get("why")
    for step in why["path"] if why else ():
        found, calls = calls[step], calls[step]["calls"]
    return found


def _nest(rows: Sequence[CallRow], *, all_open: bool) -> None:
    """Mark the rows that open a fold, and the number of folds that end after each row."""
    open_depths: list[int] = []
    for number, row in enumerate(rows):
        below = rows[number + 1].depth if number + 1 < len(rows) else -1
        if row.inner and below > row.depth and row.depth < MAX_DEPTH:
            row.opens = True
            row.unfolded = all_open or row.failed or row.depth < 2
            open_depths.append(row.depth)
        while open_depths and below <= open_depths[-1]:
            open_depths.pop()
            row.closes += 1
