"""A comparison as one HTML page: the report, and the flame graphs of both sides at the same scale.

The page loads no other resource and runs no script. Text of actors and files is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from bridge.traces.flame import FlameBox, flame_svg
from fvm_hypervisor.laboratory.compare.execution import Comparison
from fvm_hypervisor.laboratory.compare.report import TABLES, change_lines, changed_rows, gas, largest, summary
from fvm_hypervisor.laboratory.compare.tally import CostTally, Path, Sums
from fvm_hypervisor.laboratory.sides import Side
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable

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
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>Differences</h1>\n"
        f"<p>A: {_safe(sides[0].label)}<br>B: {_safe(sides[1].label)}</p>\n"
        f"<p>{'<br>'.join(_safe(line) for line in summary(found).splitlines())}</p>\n"
        f'<h2>Gas by call, to one scale</h2>\n<div class="flames">{flames}</div>\n'
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
