"""Costs of messages as text for a terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from fvm_hypervisor.laboratory.costs import CostReport, histogram
from fvm_hypervisor.laboratory.report import TABLES, counted, cut, gas, tree_name
from fvm_hypervisor.laboratory.sides import Side, described
from fvm_hypervisor.laboratory.tally import dearest
from hypervisor.exit_codes import exit_name
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.printable import printable

MAX_ROWS: Final = 15
DEAREST: Final = 10
_WIDEST: Final = 62
_BAR: Final = 40


def costs_lines(found: CostReport, side: Side) -> Iterator[str]:
    """Yield the lines of the report."""
    tally = found.tally
    implicit = f", {tally.implicit:,} of them of rewards and cron" if tally.implicit else ""
    yield f"{counted(found.cases, 'case')} with {counted(tally.messages, 'message')}{implicit}, {side.words}"
    yield f"gas {gas(tally.milligas)}"
    for title, table in TABLES:
        rows = dearest(getattr(tally, table))
        if not rows:
            continue
        yield ""
        yield f"{title:<{_WIDEST}} {'gas':>20} {'share':>8} {'each':>16}"
        for name, count, milligas in rows[:MAX_ROWS]:
            label = f"{cut(name, _WIDEST - 14)}  {count:,}x"
            each = gas(milligas // count) if count else ""
            yield f"  {label:<{_WIDEST - 2}} {gas(milligas):>20} {_share(milligas, tally.milligas):>8} {each:>16}"
        if len(rows) > MAX_ROWS:
            yield f"  and {len(rows) - MAX_ROWS:,} more: --json has all of them"
    yield from _histogram_lines(found)
    yield from _dearest_lines(found)


def _histogram_lines(found: CostReport) -> Iterator[str]:
    bins = histogram(message.gas for message in found.messages)
    if not bins:
        return
    largest = max(count for _, _, count in bins)
    yield ""
    yield "messages by gas"
    for low, high, count in bins:
        yield f"  {low:>16,} to {high:>16,} {count:>8,} {'#' * -(-_BAR * count // largest)}"


def _dearest_lines(found: CostReport) -> Iterator[str]:
    if not found.messages:
        return
    yield ""
    yield "the dearest messages"
    for message in found.dearest(DEAREST):
        end = "" if message.exit_code == 0 else f", exit {exit_name(message.exit_code)}"
        yield f"  {message.gas:>16,}  {cut(message.method, 48)}  {message.case}, {printable(message.label)}{end}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def costs_json(found: CostReport, side: Side) -> dict[str, Any]:
    """Return the report as JSON data; amounts in milligas, but a message's gas in gas."""
    tally = found.tally
    tables = {
        table: [
            {"name": name, "count": count, "milligas": milligas}
            for name, count, milligas in dearest(getattr(tally, table))
        ]
        for _, table in TABLES
    }
    tree = [
        {"name": tree_name(path), "calls": node.calls, "failed": node.failed, "milligas": node.own_milligas}
        for path, node in tally.tree.items()
    ]
    return {
        "side": described(side),
        "cases": found.cases,
        "messages": tally.messages,
        "implicit": tally.implicit,
        "milligas": tally.milligas,
        **tables,
        "tree": tree,
        "histogram": [list(each) for each in histogram(message.gas for message in found.messages)],
        "dearest": [asdict(message) for message in found.dearest(DEAREST)],
        "per_gas": MILLIGAS_PER_GAS,
    }
