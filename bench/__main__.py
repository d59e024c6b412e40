"""Runs the benchmarks and compares them with targets.toml: `python -m bench [--json] [AREA...]`.

Prints met, missed or not run for each row. Exits with 1 if a row missed its target, else with 2 if one was not run,
else with 0. A target without a measured row counts as not run, unless other areas were selected; a row without a target
is an error in this package.
"""

import argparse
import json
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bench
from bench.rows import Row

PREFIX = "bench_"


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """The target of a row: at most `limit`, in `unit`; `peer` is the reference of a ratio."""

    area: str
    name: str
    unit: str
    limit: float
    peer: str = ""


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """A target and its measured row."""

    target: BenchTarget
    row: Row

    @property
    def met(self) -> bool:
        return self.row.value is not None and self.row.value <= self.target.limit

    @property
    def verdict(self) -> str:
        """Return the verdict for display; a row that was not run is not met, with the reason in its note."""
        if self.row.value is None:
            return "[bold yellow]not run[/]"
        return "[green]met[/]" if self.met else "[bold red]missed[/]"


def main() -> int:
    """Run the benchmarks. Return 1 if a row missed its target, 2 if one was not run, else 0."""
    options = argparse.ArgumentParser(prog="bench", description=__doc__)
    options.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(areas())}; default: all")
    options.add_argument("--json", action="store_true", help="print one JSON object per row")
    chosen = options.parse_args()
    if unknown := set(chosen.areas) - set(areas()):
        options.error(f"no area {', '.join(sorted(unknown))}: expected some of {', '.join(areas())}")
    outcomes = []
    for outcome in measure(chosen.areas or areas()):
        outcomes.append(outcome)
        if chosen.json:
            print(json.dumps(as_json(outcome)), flush=True)
    if not chosen.json:
        show(outcomes)
    return min((2 if outcome.row.value is None else 1 for outcome in outcomes if not outcome.met), default=0)


def areas() -> list[str]:
    """Return the areas that have a bench module, sorted by name."""
    modules = (module.name for module in pkgutil.iter_modules(bench.__path__))
    return sorted(name.removeprefix(PREFIX) for name in modules if name.startswith(PREFIX))


def targets() -> list[BenchTarget]:
    """Return the rows of targets.toml, in order."""
    table = tomllib.loads(Path(__file__).with_name("targets.toml").read_text())
    return [BenchTarget(area, **row) for area, rows in table.items() for row in rows]


def measure(chosen: list[str]) -> Iterator[TargetOutcome]:
    """Run the selected areas; yield each of their targets once, also those without a row."""
    known = targets()
    for area in chosen:
        waiting = {target.name: target for target in known if target.area == area}
        reason, is_measured = "", False
        for row in import_module(f"bench.{PREFIX}{area}").rows():
            target = waiting.pop(row.name, None)
            if target is None:
                raise LookupError(
                    f"bench_{area} measured '{row.name}', which has no (or no second) target in targets.toml"
                )
            print(f"{area}: {row.name}", file=sys.stderr)
            reason, is_measured = row.note, is_measured or row.value is not None
            yield TargetOutcome(target, row)
        for target in waiting.values():
            note = f"bench_{area} did not measure it" if is_measured or not reason else reason
            yield TargetOutcome(target, Row(target.name, None, note))
    for area in sorted({target.area for target in known} - set(areas())):
        raise LookupError(f"targets.toml names the area '{area}', which has no module bench_{area}")


def as_json(outcome: TargetOutcome) -> dict[str, object]:
    return asdict(outcome.target) | asdict(outcome.row) | {"met": outcome.met}


def show(outcomes: list[TargetOutcome]) -> None:
    """Print one line per row, with the parts of a row below it."""
    table = Table("area", "row", "measured", "limit", "peer", "")
    for outcome in outcomes:
        target, row = outcome.target, outcome.row
        name = f"{row.name}\n[dim]{row.note}[/]" if row.note else row.name
        table.add_row(
            target.area,
            name,
            figure(row.value, target.unit),
            figure(target.limit, target.unit),
            target.peer,
            outcome.verdict,
        )
        for part, value in row.parts.items():
            table.add_row("", f"[dim]  {part}[/]", f"[dim]{figure(value, target.unit)}[/]", "", "", "")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
