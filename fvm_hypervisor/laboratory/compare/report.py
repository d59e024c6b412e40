"""A comparison and a tally as text for a terminal, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from fvm_hypervisor.laboratory.compare.execution import KINDS, Comparison, MessageChange
from fvm_hypervisor.laboratory.compare.tally import CostTally, Path, Sums
from fvm_hypervisor.laboratory.cost_differences import as_json
from fvm_hypervisor.laboratory.sides import Side, described
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable

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
    if found.same:
        return
    for title, table in TABLES:
        yield from _table(title, getattr(found.first, table), getattr(found.second, table))
    yield from _table("by call in the tree", _tree_sums(found.first), _tree_sums(found.second))
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
    roots = f"; state roots differ in {count_text(len(found.roots), 'case')}" if found.roots else ""
    return (
        f"{what}: {len(found.changes):,} differ{f' ({kinds})' if kinds else ''}{roots}\n"
        f"gas: A {gas(first)}, B {gas(second)} ({_change(first, second)})"
    )


def change_lines(change: MessageChange) -> Iterator[str]:
    """Yield the lines of a message that differs, and its first difference."""
    one, other = change.gas
    yield f"  {change.case}, {change.label}: {', '.join(change.kinds)}; gas A {one:,}, B {other:,} ({other - one:+,})"
    if change.ends[0] != change.ends[1]:
        yield f"    A {_format(change.ends[0])}; B {_format(change.ends[1])}"
    if change.difference is not None:
        yield f"    in {' > '.join(change.difference.path)}"
        yield from (f"      {line}" for line in change.difference.lines)


def largest(changes: Sequence[MessageChange]) -> list[MessageChange]:
    """Return the messages whose gas differs most; ties stay in order."""
    return sorted(changes, key=lambda change: -abs(change.gas[1] - change.gas[0]))[:MAX_CHANGES]


def _root_lines(found: Comparison) -> Iterator[str]:
    for change in found.roots:
        if change.state:
            yield ""
            first, second = change.roots
            yield f"state after {change.case}: A {first}, B {second}; differences (B's value, expected A's):"
            yield from (f"  {_format(line)}" for line in change.state)


def _table(title: str, first: Sums, second: Sums) -> Iterator[str]:
    """Yield the rows that differ, largest difference first."""
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


# --- plain data -----------------------------------------------------------------------------------------------


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
                "first": as_json(change.difference),
            }
            for change in found.changes
        ],
        "roots": [asdict(change) for change in found.roots],
    }


# --- text -----------------------------------------------------------------------------------------------------


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
