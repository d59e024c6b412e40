"""Coverage of the golden vectors: `make golden-coverage` prints cases by network version, and by syscall and error.

Every vector lists the error numbers that its syscalls return (`_meta.syscalls`, written by tests/oracle from the
reference's log). tests/golden/coverage.toml gives the reason for each empty cell of that table. The command exits with
1 if a cell is empty without a stated reason, or is not empty although a reason is stated.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from hypervisor.network_versions import NETWORK_VERSIONS
from runtimes.wasm.abi import SYSCALL_REVISIONS

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MESSAGE_FILES = tuple(sorted(GOLDEN.glob("*.jsonl.gz")))
"""The golden vectors of class message; those of class tipset are in a folder of their own (`tipset_corpus`)."""
REASONS = GOLDEN / "coverage.toml"
FEWEST_CASES = 300
_ABI = "v4"
VERSIONS = tuple(number for number, row in NETWORK_VERSIONS.items() if row.rules.abi == _ABI)
SYSCALLS = tuple(sorted(f"{module}.{name}" for module, name in SYSCALL_REVISIONS[_ABI]))

BUILT_IN_ACTORS_RUN = ("evm/", "official/", "fees/swept/", "fees/to/", "send/to/", "send/answer/of-official-actors")
"""Beginnings of the ids of vectors in which a built-in actor's code runs, or an account is made: they need bundles."""

Cell = tuple[str, int]
"""A syscall and an error number."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Number of cases per network version, and of vectors per cell."""

    versions: Counter[int]
    cells: Counter[Cell]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a cell is empty, and where the reference's code shows it."""

    why: str
    source: str


def coverage_of(vectors: Iterable[Mapping[str, Any]]) -> Coverage:
    """The counts over vectors as they stand in the files."""
    coverage = Coverage(Counter(), Counter())
    for vector in vectors:
        coverage.versions.update(variant["nv"] for variant in vector["preconditions"]["variants"])
        for said in vector["_meta"]["syscalls"]:
            syscall, _, number = said.rpartition(":")
            coverage.cells[syscall, int(number)] += 1
    return coverage


def golden_coverage() -> Coverage:
    """The counts over all golden vectors."""
    return coverage_of(vector for path in MESSAGE_FILES for vector in read_vectors(path))


def stated_reasons(text: str) -> dict[Cell, Reason]:
    """The cells that may be empty, from the text of coverage.toml."""
    table = tomllib.loads(text)
    reasons = {
        (syscall, row["number"]): Reason(row["why"], row["source"])
        for row in table["error"]
        for syscall in SYSCALLS
        if not any(fnmatch(syscall, pattern) for pattern in row["by"])
    }
    for row in table["empty"]:
        reasons |= {(syscall, row["number"]): Reason(row["why"], row["source"]) for syscall in row["syscalls"]}
    return reasons


def error_names(text: str) -> dict[int, str]:
    """The columns of the table: every error number there is."""
    return {row["number"]: row["name"] for row in tomllib.loads(text)["error"]}


def problems(coverage: Coverage, reasons: Mapping[Cell, Reason], names: Mapping[int, str]) -> list[str]:
    """Return the problems of the golden set or of the reasons, as sentences."""
    found = []
    total = coverage.versions.total()
    if total < FEWEST_CASES:
        found.append(f"{total} cases, at least {FEWEST_CASES} are promised")
    found += [f"no case of network version {version}" for version in VERSIONS if not coverage.versions[version]]
    cells = {(syscall, number) for syscall in SYSCALLS for number in names}
    for syscall, number in sorted(cells):
        reason, count = reasons.get((syscall, number)), coverage.cells[syscall, number]
        if not count and (reason is None or not reason.why or not reason.source):
            found.append(f"{syscall} never answers {number} ({names[number]}), and no reason is stated")
        if count and reason is not None:
            found.append(
                f"{syscall} answers {number} ({names[number]}), which is stated to be impossible: {reason.why}"
            )
    found += [f"{syscall} answers {number}, which the table has no cell for" for syscall, number in coverage.cells
              if (syscall, number) not in cells]  # fmt: skip
    return found


def main() -> int:
    """Print the tables; the exit code."""
    text = REASONS.read_text(encoding="utf-8")
    coverage, reasons, names = golden_coverage(), stated_reasons(text), error_names(text)
    console = Console(width=150)
    console.print(_by_version(coverage))
    console.print(_by_error(coverage, names))
    console.print("An empty cell's reason, with its source in crate fvm 4.8.4, below src/:")
    for (number, reason), syscalls in _grouped(reasons).items():
        shown = "every syscall" if len(syscalls) == len(SYSCALLS) else _few(syscalls)
        console.print(f"  {number} {names[number]}, {shown}: {reason.why} ({reason.source})", highlight=False)
    found = problems(coverage, reasons, names)
    for problem in found:
        console.print(f"error: {problem}", style="red")
    return 1 if found else 0


def _by_version(coverage: Coverage) -> Table:
    table = Table("network version", *map(str, VERSIONS), "all", title="Golden cases")
    table.add_row(
        "cases", *(f"{coverage.versions[version]:,}" for version in VERSIONS), f"{coverage.versions.total():,}"
    )
    return table


def _by_error(coverage: Coverage, names: Mapping[int, str]) -> Table:
    table = Table("syscall", *map(str, names), title="Vectors by syscall and error number")
    for syscall in SYSCALLS:
        table.add_row(syscall, *(str(coverage.cells[syscall, number] or "") for number in names))
    return table


def _grouped(reasons: Mapping[Cell, Reason]) -> dict[tuple[int, Reason], list[str]]:
    groups: dict[tuple[int, Reason], list[str]] = {}
    for (syscall, number), reason in sorted(reasons.items(), key=lambda item: item[0][1]):
        groups.setdefault((number, reason), []).append(syscall)
    return groups


def _few(syscalls: list[str]) -> str:
    return ", ".join(syscalls) if len(syscalls) <= 4 else f"{len(syscalls)} syscalls"


if __name__ == "__main__":
    sys.exit(main())
