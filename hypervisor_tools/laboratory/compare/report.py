"""A comparison and a tally as text for a terminal, as plain data for programs, and as one HTML page with flame graphs.

The page loads no other resource and runs no script; text of actors and files is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import Any, Final

from bridge.traces.flame import FlameBox, flame_svg
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable
from hypervisor_tools.laboratory.compare.execution import KINDS, Comparison, MessageChange, as_json
from hypervisor_tools.laboratory.compare.explanation import Explanation, explanation_json, explanation_lines
from hypervisor_tools.laboratory.compare.tally import CostTally, Path, Sums
from hypervisor_tools.laboratory.sides import Side, described

MAX_ROWS: Final = 15
MAX_CHANGES: Final = 10
_MAX_WIDTH: Final = 60
TABLES: Final = (
    ("by charge", "charges"),
    ("by syscall", "syscalls"),
    ("by actor", "actors"),
    ("by method", "methods"),
    ("calls by cron and rewards", "cron"),
)
"""Tables of a tally: title and field."""


def comparison_lines(found: Comparison, sides: tuple[Side, Side]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"A: {sides[0].label}"
    yield f"B: {sides[1].label}"
    yield summary(found)
    yield from (_format(f"not compared: {each.case}: {each.reason}") for each in found.skipped)
    if found.same:
        return
    for title, table in TABLES:
        yield from table_lines(title, getattr(found.first, table), getattr(found.second, table))
    yield from table_lines("by call in the tree", _tree_sums(found.first), _tree_sums(found.second))
    if found.changes:
        yield ""
        messages = count_text(len(found.changes), "message")
        yield f"first differences, for the largest differences of gas among {messages}:"
        for change in largest(found.changes):
            yield from change_lines(change)
    yield from _root_lines(found)


def summary(found: Comparison) -> str:
    """Return one line: numbers of messages and of differences by kind, and the gas of both sides."""
    what = f"{count_text(found.cases, 'case')} with {count_text(found.messages, 'message')}"
    if found.same:
        return f"{what}: the same, gas {gas(found.first.milligas)}"
    kinds = ", ".join(f"{kind} {found.kinds[kind]:,}" for kind in KINDS if found.kinds[kind])
    first, second = found.first.milligas, found.second.milligas
    limited = [change.enough_gas for change in found.changes if change.enough_gas is not None]
    failing = sum(not each.succeeded for each in limited)
    fails = f"\nfailing under B only: {len(limited):,}; with the highest gas limit: {failing:,}" if limited else ""
    roots = f"; state roots differ in {count_text(len(found.roots), 'case')}" if found.roots else ""
    return (
        f"{what}: {len(found.changes):,} differ{f' ({kinds})' if kinds else ''}{roots}\n"
        f"gas: A {gas(first)}, B {gas(second)} ({_change(first, second)}){fails}"
    )


def change_lines(change: MessageChange) -> Iterator[str]:
    """Yield the lines of a message that differs, and its first difference."""
    one, other = change.gas
    yield f"  {change.case}, {change.label}: {', '.join(change.kinds)}; gas A {one:,}, B {other:,} ({other - one:+,})"
    if change.ends[0] != change.ends[1]:
        yield f"    A {_format(change.ends[0])}; B {_format(change.ends[1])}"
    if change.enough_gas is not None:
        yield f"    B with the highest gas limit: {_format(change.enough_gas.end)}, gas {change.enough_gas.gas:,}"
    if change.explanation is not None:
        yield from (f"    {line}" for line in _explanation_words(change.explanation))
    elif change.difference is not None:
        yield f"    in {' > '.join(change.difference.path)}"
        yield from (f"      {line}" for line in change.difference.lines)


def largest(changes: Sequence[MessageChange]) -> list[MessageChange]:
    """Return the messages that fail also with enough gas, and then those whose gas differs most; ties stay in order."""

    def rank(change: MessageChange) -> tuple[bool, int]:
        return change.enough_gas is None or change.enough_gas.succeeded, -abs(change.gas[1] - change.gas[0])

    return sorted(changes, key=rank)[:MAX_CHANGES]


def _root_lines(found: Comparison) -> Iterator[str]:
    for change in found.roots:
        if change.state:
            yield ""
            first, second = change.roots
            yield f"state after {change.case}: A {first}, B {second}; differences (B's value, expected A's):"
            yield from (f"  {_format(line)}" for line in change.state)


def table_lines(title: str, first: Sums, second: Sums) -> Iterator[str]:
    """Yield a table of the names whose counts or milligas differ, with the largest difference first."""
    rows = changed_rows(first, second)
    if not rows:
        return
    yield ""
    yield f"{title:<{_MAX_WIDTH}} {'A':>20} {'B':>20} {'difference':>16}"
    for name, (times, milligas), (other_times, other_milligas) in rows[:MAX_ROWS]:
        count = f"{times:,}x" if times == other_times else f"{times:,}x -> {other_times:,}x"
        label = f"{shorten(name, _MAX_WIDTH - len(count) - 3)}  {count}"
        change = gas(other_milligas - milligas, sign=True)
        yield f"  {label:<{_MAX_WIDTH - 2}} {gas(milligas):>20} {gas(other_milligas):>20} {change:>16}"
    if len(rows) > MAX_ROWS:
        yield f"  and {len(rows) - MAX_ROWS:,} more: --json has all of them"


Row = tuple[str, tuple[int, int], tuple[int, int]]


def changed_rows(first: Sums, second: Sums) -> list[Row]:
    """Return the names whose counts or milligas differ, with both sums, largest difference first."""
    rows: list[Row] = []
    for name in {**first, **second}:
        one, other = _pair(first, name), _pair(second, name)
        if one != other:
            rows.append((name, one, other))
    return sorted(rows, key=lambda row: (-abs(row[2][1] - row[1][1]), -abs(row[2][0] - row[1][0]), row[0]))


def _pair(sums: Sums, name: str) -> tuple[int, int]:
    times, milligas = sums.get(name, (0, 0))
    return times, milligas


def _tree_sums(tally: CostTally) -> Sums:
    return {tree_name(path): [node.calls, node.own_milligas] for path, node in tally.tree.items()}


def tree_name(path: Path) -> str:
    """Return a path in the call tree as text."""
    return " > ".join(path)


def comparison_json(found: Comparison, sides: tuple[Side, Side]) -> dict[str, Any]:
    """Return the comparison as JSON data; amounts in milligas, but a message's gas in gas."""
    return {
        "same": found.same,
        "a": described(sides[0]),
        "b": described(sides[1]),
        "cases": found.cases,
        "messages": found.messages,
        "kinds": {kind: found.kinds[kind] for kind in KINDS},
        "milligas": [found.first.milligas, found.second.milligas],
        "changed": {
            table: [
                {"name": name, "a": list(one), "b": list(other)}
                for name, one, other in changed_rows(getattr(found.first, table), getattr(found.second, table))
            ]
            for _, table in TABLES
        }
        | {
            "tree": [
                {"name": name, "a": list(one), "b": list(other)}
                for name, one, other in changed_rows(_tree_sums(found.first), _tree_sums(found.second))
            ]
        },
        "changes": [
            {
                "case": change.case,
                "message": change.label,
                "kinds": list(change.kinds),
                "gas": list(change.gas),
                "ends": list(change.ends),
                "enough_gas": None if change.enough_gas is None else change.enough_gas._asdict(),
                "first": as_json(change.difference),
                "explanation": None if change.explanation is None else _explained(change.explanation),
            }
            for change in found.changes
        ],
        "roots": [asdict(change) for change in found.roots],
        "skipped": [asdict(each) for each in found.skipped],
    }


def _explained(found: Explanation) -> dict[str, Any]:
    return {**explanation_json(found), "words": list(_explanation_words(found))}


def _explanation_words(found: Explanation) -> Iterator[str]:
    if found.event:
        yield f"event that differs: {_format(found.event)}"
    yield from map(_format, explanation_lines(found))


def gas(milligas: int, sign: bool = False) -> str:
    """Format milligas as whole gas, rounded."""
    whole = round(milligas / MILLIGAS_PER_GAS)
    return f"{whole:+,}" if sign else f"{whole:,}"


def _change(first: int, second: int) -> str:
    share = f", {100 * (second - first) / first:+.2f} %" if first else ""
    return f"{gas(second - first, sign=True)}{share}"


def count_text(number: int, word: str) -> str:
    """Format a count with its noun: `1 case`, `2 cases`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def shorten(text: str, width: int) -> str:
    """Return a text shortened to `width`."""
    shown = printable(text, len(text))
    return shown if len(shown) <= width else f"...{shown[3 - width :]}"


def _format(text: str) -> str:
    return printable(text, 400)


_STYLE: Final = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:16px;color:#1b1b1b}table{border-collapse:collapse;margin:12px 0}"
    "td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}"
    "td:first-child,th:first-child{text-align:left;overflow-wrap:anywhere}.flames{display:flex;flex-wrap:wrap;gap:12px}"
    ".flames figure{flex:1 1 480px;margin:0}svg{max-width:100%;height:auto;border:1px solid #ddd}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:8px}"
)


def comparison_page(found: Comparison, sides: tuple[Side, Side]) -> str:
    """Return the comparison as an HTML page."""
    title = f"A: {sides[0].label}; B: {sides[1].label}"
    scale = max(found.first.milligas, found.second.milligas) // MILLIGAS_PER_GAS
    flames = "".join(
        f"<figure>{_flame(name, side.label, tally, scale)}</figure>"
        for name, side, tally in (("A", sides[0], found.first), ("B", sides[1], found.second))
    )
    tables = "".join(
        _html_table(text, getattr(found.first, name), getattr(found.second, name)) for text, name in TABLES
    )
    changes = "\n".join(_safe(line, 2_000) for change in largest(found.changes) for line in change_lines(change))
    states = "\n".join(_safe(line, 2_000) for change in found.roots for line in change.state)
    skipped = "\n".join(_safe(f"{each.case}: {each.reason}", 2_000) for each in found.skipped)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>Differences</h1>\n"
        f"<p>A: {_safe(sides[0].label)}<br>B: {_safe(sides[1].label)}</p>\n"
        f"<p>{'<br>'.join(_safe(line) for line in summary(found).splitlines())}</p>\n"
        f'<h2>Gas by call, to one scale</h2>\n<div class="flames">{flames}</div>\n'
        f"{f'<h2>Not compared</h2><pre>{skipped}</pre>' if skipped else ''}\n"
        f"<h2>Differences of gas</h2>\n{tables}"
        f"{f'<h2>First difference of each message</h2><pre>{changes}</pre>' if changes else ''}\n"
        f"{f'<h2>State of B, compared with A</h2><pre>{states}</pre>' if states else ''}\n"
        "</body></html>\n"
    )


def _flame(name: str, title: str, tally: CostTally, scale: int) -> str:
    used = gas(tally.milligas)
    return flame_svg(f"{name}: {title}; {tally.messages:,} messages, gas {used}", flame_boxes(tally), scale)


def flame_boxes(tally: CostTally) -> tuple[FlameBox, ...]:
    """Return the call tree as flame graph boxes; a call's own charges are siblings of its nested calls."""
    below: dict[Path, dict[Path, None]] = {}
    for path in tally.tree:
        for depth in range(len(path)):  # the caller of a call may have used no gas itself
            below.setdefault(path[:depth], {})[path[: depth + 1]] = None
    return tuple(_box(path, tally, below) for path in below.get((), ()))


def _box(path: Path, tally: CostTally, below: dict[Path, dict[Path, None]]) -> FlameBox:
    """Return the flame box of a path, recursing at most to the tally's bounded depth."""
    node = tally.tree.get(path)
    inner = tuple(_box(each, tally, below) for each in below.get(path, ()))
    own = {} if node is None else node.own
    charges = tuple(
        FlameBox(
            charge, (f"{charge}: {gas(milligas)} gas of {path[-1]} itself",), milligas // MILLIGAS_PER_GAS, "charge"
        )
        for charge, milligas in sorted(own.items(), key=lambda item: -item[1])
    )
    used = sum(box.gas for box in (*inner, *charges))
    calls, failed, runtime = (0, 0, "") if node is None else (node.calls, node.failed, node.runtime)
    details = (path[-1], f"{calls:,} calls, {failed:,} failed", f"gas {used:,}")
    return FlameBox(path[-1], details, used, runtime, failed=bool(failed), inner=(*inner, *charges))


def _html_table(title: str, first: Sums, second: Sums) -> str:
    rows = "".join(_rows(first, second))
    if not rows:
        return ""
    head = "".join(f"<th>{text}</th>" for text in (title, "A, times", "B, times", "A, gas", "B, gas", "difference"))
    return f"<table><tr>{head}</tr>{rows}</table>\n"


def _rows(first: Sums, second: Sums) -> Iterator[str]:
    for name, (times, milligas), (other_times, other_milligas) in changed_rows(first, second):
        cells = f"{times:,}", f"{other_times:,}", gas(milligas), gas(other_milligas)
        change = gas(other_milligas - milligas, sign=True)
        yield f"<tr><td>{_safe(name)}</td>{''.join(f'<td>{cell}</td>' for cell in (*cells, change))}</tr>"


def _safe(text: str, limit: int = 300) -> str:
    return escape(printable(text, limit))
