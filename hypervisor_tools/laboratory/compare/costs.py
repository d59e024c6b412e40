"""Costs of messages on one side: totals, single messages, a table of every charge, text reports and plots.

Parquet requires pyarrow, and plots require matplotlib. These optional extras are checked before anything is executed.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.exit_codes import exit_name
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable
from hypervisor.tracing import CallNode
from hypervisor_tools.laboratory.compare.execution import check_recorded, steps_of
from hypervisor_tools.laboratory.compare.jobs import CaseJob, RecordedCase
from hypervisor_tools.laboratory.compare.report import TABLES, count_text, gas, shorten, tree_name
from hypervisor_tools.laboratory.compare.tally import (
    CallNames,
    CostTally,
    CostTracer,
    MessageCost,
    Sums,
    costs_of,
    end_of,
    largest_first,
    names_of,
)
from hypervisor_tools.laboratory.sides import Side, described
from store.blockstore import StoreError

COLUMNS: Final = (
    ("case", str), ("message", int), ("label", str), ("implicit", bool), ("exit_code", int), ("message_gas", int),
    ("call", str), ("depth", int), ("actor_id", int), ("actor", str), ("method", str), ("runtime", str),
    ("call_exit_code", int), ("syscall", str), ("charge", str), ("count", int), ("milligas", int),
)  # fmt: skip
"""Columns of the table, which has one row per charge and call, summed by syscall.

`call` is the path of indexes in the call tree, such as `0.2.1`; `actor_id` is -1 if no actor ran.
"""
NO_ACTOR: Final = -1

Row = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class MessageGas:
    """A message: its gas by the receipt, and the called method. Rewards and cron are implicit messages."""

    case: str
    label: str
    method: str
    gas: int
    exit_code: int
    implicit: bool


@dataclass(slots=True)
class CostReport:
    """Costs of a set of cases. `rows` is the table, if requested."""

    cases: int = 0
    tally: CostTally = field(default_factory=CostTally)
    messages: list[MessageGas] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Names of cases that could not be executed, with the reasons."""

    def merge(self, other: CostReport) -> None:
        """Add the costs of the cases that follow."""
        self.cases += other.cases
        self.tally.merge(other.tally)
        self.messages += other.messages
        self.rows += other.rows
        self.skipped += other.skipped

    def most_expensive(self, number: int) -> list[MessageGas]:
        """Return the `number` messages with the most gas; ties stay in order."""
        return sorted(self.messages, key=lambda message: -message.gas)[:number]


def lost_costs(job: CaseJob, error: Exception) -> CostReport:
    """Return the result for a job that cannot be executed."""
    return CostReport(skipped=[f"{job.name}: {error}"])


def costs_of_job(job: CaseJob, side: Side, with_rows: bool) -> CostReport:
    """Execute the cases of a job. Raises InvalidInput, which can be pickled."""
    found = CostReport()
    try:
        for case in job.cases():
            _add(case, side, found, with_rows)
    except (HypervisorError, StoreError) as error:
        raise InvalidInput(str(error)) from None
    return found


def _add(case: RecordedCase, side: Side, found: CostReport, with_rows: bool) -> None:
    tracer = CostTracer()
    run = case.begin(side, tracer)
    steps = list(steps_of(case.name, run, tracer))
    check_recorded(case.name, steps)
    names = names_of(run.machine.manifest)
    found.cases += 1
    number = 0
    for outcome, costs in steps:
        for cost in costs:
            found.tally.add(cost, names)
            method = names.method(cost.calls[0]) if cost.calls else "none"
            row = MessageGas(case.name, outcome.label, method, cost.gas_used, cost.exit_code, cost.implicit)
            found.messages.append(row)
            if with_rows:
                found.rows += _rows(row, number, cost, names)
            number += 1


def _rows(message: MessageGas, number: int, cost: MessageCost, names: CallNames) -> Iterator[Row]:
    head = message.case, number, message.label, message.implicit, message.exit_code, message.gas
    waiting: list[tuple[CallNode, str, int]] = [(cost.head, "", 0)]
    waiting += [(call, str(index), 1) for index, call in enumerate(cost.calls)]
    for call, path, depth in waiting:  # grows during iteration instead of recursion: calls are up to 1,024 deep
        actor = NO_ACTOR if call.actor is None else call.actor
        what = path, depth, actor, names.actor(call), names.method(call), call.runtime, end_of(call).exit_code
        for (syscall, charge), (count, milligas) in costs_of(call).own.items():
            yield *head, *what, syscall, charge, count, milligas
        waiting += [(inner, f"{path}.{index}", depth + 1) for index, inner in enumerate(call.calls)]


Bin = tuple[int, int, int]
"""Lower gas bound, upper gas bound (exclusive), number of messages."""


def histogram(gas: Iterable[int]) -> list[Bin]:
    """Return a histogram of messages by gas, with steps of 1, 2 and 5 times powers of ten, including empty ones."""
    values = sorted(gas)
    if not values:
        return []
    bins: list[Bin] = []
    low = index = 0
    for high in _edges():
        count = bisect_left(values, high) - index
        if count or bins:
            bins.append((low, high, count))
        low, index = high, index + count
        if index == len(values):
            break
    return bins


def _edges() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def gas_of(milligas: int) -> float:
    """Convert milligas to gas."""
    return milligas / MILLIGAS_PER_GAS


MAX_ROWS: Final = 15
MOST_EXPENSIVE: Final = 10
_MAX_WIDTH: Final = 62
_BAR: Final = 40


def costs_lines(found: CostReport, side: Side) -> Iterator[str]:
    """Yield the lines of the report."""
    tally = found.tally
    implicit = f", {tally.implicit:,} of them of rewards and cron" if tally.implicit else ""
    yield f"{count_text(found.cases, 'case')} with {count_text(tally.messages, 'message')}{implicit}, {side.label}"
    yield from (f"not executed: {each}" for each in found.skipped)
    yield f"gas {gas(tally.milligas)}"
    for title, table in TABLES:
        rows = largest_first(getattr(tally, table))
        if not rows:
            continue
        yield ""
        yield f"{title:<{_MAX_WIDTH}} {'gas':>20} {'share':>8} {'each':>16}"
        for name, count, milligas in rows[:MAX_ROWS]:
            label = f"{shorten(name, _MAX_WIDTH - 14)}  {count:,}x"
            each = gas(milligas // count) if count else ""
            yield f"  {label:<{_MAX_WIDTH - 2}} {gas(milligas):>20} {_share(milligas, tally.milligas):>8} {each:>16}"
        if len(rows) > MAX_ROWS:
            yield f"  and {len(rows) - MAX_ROWS:,} more: --json has all of them"
    yield from _histogram_lines(found)
    yield from _expensive_lines(found)


def _histogram_lines(found: CostReport) -> Iterator[str]:
    bins = histogram(message.gas for message in found.messages)
    if not bins:
        return
    largest = max(count for _, _, count in bins)
    yield ""
    yield "messages by gas"
    for low, high, count in bins:
        yield f"  {low:>16,} to {high:>16,} {count:>8,} {'#' * -(-_BAR * count // largest)}"


def _expensive_lines(found: CostReport) -> Iterator[str]:
    if not found.messages:
        return
    yield ""
    yield "the most expensive messages"
    for message in found.most_expensive(MOST_EXPENSIVE):
        native = not message.method.startswith(("evm.", "eam."))
        end = "" if message.exit_code == 0 else f", exit {exit_name(message.exit_code, native=native)}"
        yield f"  {message.gas:>16,}  {shorten(message.method, 48)}  {message.case}, {printable(message.label)}{end}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def costs_json(found: CostReport, side: Side) -> dict[str, Any]:
    """Return the report as JSON data. Amounts are in milligas, except for the gas of single messages."""
    tally = found.tally
    tables = {
        table: [
            {"name": name, "count": count, "milligas": milligas}
            for name, count, milligas in largest_first(getattr(tally, table))
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
        "skipped": found.skipped,
        "messages": tally.messages,
        "implicit": tally.implicit,
        "milligas": tally.milligas,
        **tables,
        "tree": tree,
        "histogram": [list(each) for each in histogram(message.gas for message in found.messages)],
        "dearest": [asdict(message) for message in found.most_expensive(MOST_EXPENSIVE)],
        "per_gas": MILLIGAS_PER_GAS,
    }


PLOTS: Final = (".png", ".svg")
_EXTRAS: Final = {"pyarrow": "parquet", "matplotlib": "plots"}
_BARS: Final = 12
_MAX_LABEL_LENGTH: Final = 44


def check_extra(package: str, what: str) -> None:
    """Raise InvalidInput if a package is not installed, naming the extra that installs it."""
    try:
        import_module(package)
    except ImportError:
        extra = _EXTRAS[package]
        raise InvalidInput(
            f"{what} needs {package}, which is not installed: pip install 'fvm-hypervisor[{extra}]'"
        ) from None


def check_plot(file: Path) -> None:
    """Raise InvalidInput for a file name without a plot format, or without matplotlib."""
    if file.suffix not in PLOTS:
        raise InvalidInput(f"the plot {file} must be a .png or .svg file")
    check_extra("matplotlib", f"the plot {file}")


def write_csv(file: Path, found: CostReport) -> None:
    """Write the table as CSV, with a header line."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([name for name, _ in COLUMNS])
        writer.writerows(found.rows)


def write_parquet(file: Path, found: CostReport) -> None:
    """Write the table as Parquet, with typed columns."""
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS])
    columns: list[Sequence[Any]] = [*zip(*found.rows, strict=True)] or [()] * len(COLUMNS)
    arrays = [pyarrow.array(column, kinds[kind]) for column, (_, kind) in zip(columns, COLUMNS, strict=True)]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), file)


def write_plot(file: Path, found: CostReport, title: str) -> None:
    """Plot gas by charge, by method and by call of cron, and the histogram of messages by gas."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "hypervisor", "text.parse_math": False}):  # makes the output deterministic
        figure = Figure(figsize=(15, 10), layout="constrained")
        (by_charge, by_method), (by_cron, by_gas) = figure.subplots(2, 2)
        figure.suptitle(printable(title))
        _bars(by_charge, "gas by charge", found.tally.charges)
        _bars(by_method, "gas by method, without nested calls", found.tally.methods)
        _bars(by_cron, "gas of calls by cron and rewards", found.tally.cron)
        bins = histogram(message.gas for message in found.messages)
        by_gas.bar([f"{low:,}" for low, _, _ in bins], [count for _, _, count in bins], width=1, edgecolor="white")
        by_gas.tick_params(axis="x", labelrotation=60)
        by_gas.set_title("messages by gas (lower bound)")
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _bars(axes: Any, title: str, sums: Sums) -> None:
    rows = largest_first(sums)[:_BARS][::-1]
    axes.barh(range(len(rows)), [gas_of(milligas) for _, _, milligas in rows])
    axes.set_yticks(range(len(rows)), [_label(name) for name, _, _ in rows])
    axes.set_title(title)


def _label(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _MAX_LABEL_LENGTH else f"...{shown[3 - _MAX_LABEL_LENGTH :]}"
