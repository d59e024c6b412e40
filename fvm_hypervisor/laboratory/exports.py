"""Exports of a CostReport: tables as CSV or Parquet, and plots.

CSV needs no extra package. Parquet requires pyarrow, and plots require matplotlib. These optional extras are checked
before anything is executed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from fvm_hypervisor.laboratory.costs import COLUMNS, CostReport, gas_of, histogram
from fvm_hypervisor.laboratory.tally import Sums, dearest
from hypervisor.errors import InvalidInput
from hypervisor.printable import printable

PLOTS: Final = (".png", ".svg")
_EXTRAS: Final = {"pyarrow": "parquet", "matplotlib": "plots"}
_BARS: Final = 12
_LONGEST: Final = 44


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
    rows = dearest(sums)[:_BARS][::-1]
    axes.barh(range(len(rows)), [gas_of(milligas) for _, _, milligas in rows])
    axes.set_yticks(range(len(rows)), [_label(name) for name, _, _ in rows])
    axes.set_title(title)


def _label(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _LONGEST else f"...{shown[3 - _LONGEST :]}"
