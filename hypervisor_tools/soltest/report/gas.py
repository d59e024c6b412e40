"""Gas reports and snapshots, in forge's files and formats.

`.gas-snapshot` has the gas of each test, one per line, as `forge snapshot` writes and compares it. `snapshots/` has the
values that tests measured by name, one file per group. The report has a table for each contract that tests call, and
for each native actor.

With Ethereum's gas each call of a test is a separate transaction, as with `--isolate`; with Filecoin's gas (`--rules
filecoin`) a call costs the network's gas, including nested calls. Rules: Foundry's `GasReport` (forge 1.7.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists, read_bounded
from hypervisor_tools.soltest.execution.results import SuiteResult
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.value_text import table
from store.untrusted import parse_json

if TYPE_CHECKING:
    from hypervisor_tools.soltest.report.collecting import GasUse, Place, SuiteCoverage

_MAX_FILE_BYTES: Final = 64 << 20
"""Maximum size of a file in bytes."""
SEED: Final = 0x0100FA69A5F1710A95CDEF94889B02845D640B19ADF0E357B8D4BE7D49EE70E6
"""Default seed of fuzz tests in snapshots, so that two runs are comparable."""
_LINE: Final = re.compile(r"^(?P<contract>[^:]+):(?P<test>[^ ]+\)) \((?P<figures>.*)\)$")
_GAS: Final = re.compile(r"(?:gas|~): (\d+)")


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A test and its gas figures, formatted as in a line of test output."""

    contract: str
    test: str
    figures: str

    @property
    def name(self) -> str:
        """Name of the test in comparisons."""
        return f"{self.contract}::{self.test}"

    @property
    def gas(self) -> int:
        """Gas of a unit test, median gas of a fuzz test, 0 for an invariant test."""
        found = _GAS.search(self.figures)
        return 0 if found is None else int(found[1])


def entries_of(suites: Iterable[SuiteResult]) -> list[SnapshotEntry]:
    """Return the entries of all tests, including failed and skipped ones, as `forge snapshot` lists them."""
    return [
        SnapshotEntry(suite.contract, test.signature, test.figures())
        for suite in sorted(suites, key=lambda suite: suite.name)
        for test in sorted(suite.tests, key=lambda test: test.signature)
    ]


def text_of(entries: Sequence[SnapshotEntry]) -> str:
    """Return the content of the snapshot file, with sorted lines."""
    return "\n".join(sorted(f"{entry.contract}:{entry.test} {entry.figures}" for entry in entries))


def read_entries(file: Path) -> dict[str, SnapshotEntry]:
    """Return the entries of a file by name. Raises InvalidInput if it is missing or malformed."""
    if not exists(file):
        raise InvalidInput(f"there is no gas snapshot {file}; create it with --snapshot write")
    try:
        lines = read_bounded(file, _MAX_FILE_BYTES, "the file").decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the gas snapshot {file} cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        parts = _LINE.match(line)
        if parts is None:
            raise InvalidInput(f"line {number} of {file} is not a test with its gas: {line!r:.80}")
        entry = SnapshotEntry(parts["contract"], parts["test"], f"({parts['figures']})")
        found[entry.name] = entry
    return found


def mismatches(
    entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry], tolerance: float = 0.0
) -> Iterator[str]:
    """Yield a line for each test that the file lacks, or whose gas differs by more than `tolerance` percent."""
    for entry in entries:
        old = before.get(entry.name)
        if old is None:
            yield f'No matching snapshot entry found for "{entry.name}" in snapshot file'
        elif old.figures != entry.figures and not _is_within(entry.gas, old.gas, tolerance):
            yield f'Diff in "{entry.name}": consumed "{entry.figures}" gas, expected "{old.figures}" gas '


def _is_within(gas: int, before: int, tolerance: float) -> bool:
    return bool(tolerance) and abs(gas - before) * 100 <= tolerance * before


def difference_lines(entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry]) -> Iterator[str]:
    """Yield each test's gas before and now, smallest change first, then the totals; skip tests that the file lacks."""
    pairs = [(before[entry.name], entry) for entry in entries if entry.name in before]
    ups = downs = 0
    for old, new in sorted(pairs, key=lambda pair: _share(pair[0].gas, pair[1].gas)):
        change = new.gas - old.gas
        ups, downs = ups + (change > 0), downs + (change < 0)
        mark = "↑" if change > 0 else "↓" if change < 0 else "━"
        yield f"{mark} {new.name} (gas: {old.gas} → {new.gas} | {change} {_percent(change, old.gas)})"
    change, whole = sum(new.gas - old.gas for old, new in pairs), sum(old.gas for old, _ in pairs)
    yield ""
    yield "-" * 80
    yield f"Total tests: {len(pairs)}, ↑ {ups}, ↓ {downs}, ━ {len(pairs) - ups - downs}"
    yield f"Overall gas change: {change} ({_percent(change, whole)})"


def _share(before: int, now: int) -> float:
    return abs(now - before) / before if before else float("inf") if now else 1e300


def _percent(change: int, whole: int) -> str:
    return f"{change * 100 / whole:.3f}%" if whole else "NaN%" if not change else "inf%"


Snapshots = Mapping[str, Mapping[str, str]]
"""Values by name, by group."""


def measurements(suites: Iterable[SuiteResult]) -> Snapshots:
    """Return what the tests of all suites have measured; the last value of a name takes precedence."""
    found: dict[str, dict[str, str]] = {}
    for suite in sorted(suites, key=lambda suite: suite.name):
        for test in sorted(suite.tests, key=lambda test: test.signature):
            for group, name, value in test.measured:
                found.setdefault(group, {})[name] = str(value)
    return {group: dict(sorted(values.items())) for group, values in sorted(found.items())}


def write(found: Snapshots, folder: Path, root: Path | None = None) -> None:
    """Write the file of each group, inside `root` (default: the folder). Raises InvalidInput if a write fails."""
    try:
        for group, values in found.items():
            text = json.dumps(values, indent=2, ensure_ascii=False)
            write_inside(folder if root is None else root, folder / f"{group}.json", text.encode())
    except OSError as error:
        raise InvalidInput(f"gas snapshots cannot be written to {folder}: {error.strerror}") from None


def differences(found: Snapshots, folder: Path) -> Iterator[str]:
    """Yield a line for each group whose file has other values, and one for each such value."""
    for group, values in found.items():
        before = _read(folder / f"{group}.json")
        other = [name for name, value in values.items() if before.get(name, value) != value]
        if other:
            yield f"\n[{group}] Failed to match snapshots:"
            yield from (f"- [{name}] {before[name]} → {values[name]}" for name in other)


def _read(file: Path) -> dict[str, str]:
    """Return the values in a file; empty if there is none. Raises InvalidInput if it is malformed."""
    try:
        file.lstat()
        content = parse_json(read_bounded(file, _MAX_FILE_BYTES, "the file"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the gas snapshots of {file} cannot be read: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InvalidInput(f"the gas snapshots of {file} cannot be read: expected a JSON object of strings")
    return content


_HEAD: Final = ("Function Name", "Min", "Avg", "Median", "Max", "# Calls")
_NAMES: Final = ("calls", "min", "mean", "median", "max")
_TEST_FUNCTIONS: Final = ("test", "invariant", "statefulFuzz", "table", "fixture")
"""Prefixes of function names that belong to tests rather than to a contract under test."""


def report_data(found: SuiteCoverage, project: Project) -> dict[str, GasUse]:
    """Return the report's data by contract: `file:name`, or `native:name` for an actor.

    Contracts are filtered by the project's `gas_reports` and `gas_reports_ignore`; functions of tests are omitted.
    """
    named = {_identifier(location): use for location, use in found.gas.items() if _is_wanted(location, project)}
    report = {}
    for name, use in sorted(named.items()):
        functions = {
            signature: gas
            for signature, gas in use.functions.items()
            if project.gas_reports_include_tests or not is_test_function(signature.partition("(")[0])
        }
        if functions:
            report[name] = replace(use, functions=functions)
    return report


def is_test_function(name: str) -> bool:
    """Return True if forge considers a function part of a test, by its name."""
    return name.startswith(_TEST_FUNCTIONS) or name.lower() in ("setup", "afterinvariant")


def figures(gas: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Return the number of calls, and their minimum, average, median and maximum gas, rounded down."""
    from statistics import median  # imported on use, with decimal and fractions

    return len(gas), min(gas), sum(gas) // len(gas), int(median(gas)), max(gas)


def gas_lines(report: dict[str, GasUse]) -> Iterator[str]:
    """Yield a table for each contract."""
    for name, use in report.items():
        yield ""
        yield from _table(f"{name} Contract", use)
    yield ""


def gas_json(report: dict[str, GasUse]) -> list[dict[str, Any]]:
    """Return forge's JSON list: each contract with its deployment and its functions by signature.

    `state` is the state gas, of a function the average.
    """
    return [
        {
            "contract": name,
            "deployment": {"gas": use.deployment_gas or 0, "size": use.deployment_size or 0}
            | ({"state": use.deployment_state} if use.deployment_state else {}),
            "functions": {
                signature: dict(zip(_NAMES, figures(gas), strict=True))
                | ({"state": use.state[signature] // len(gas)} if signature in use.state else {})
                for signature, gas in sorted(use.functions.items())
            },
        }
        for name, use in report.items()
    ]


def _table(title: str, use: GasUse) -> list[str]:
    has_state = bool(use.state or use.deployment_state)
    deployment = (str(use.deployment_gas or 0), str(use.deployment_size or 0))
    head: tuple[str, ...] = _HEAD
    rows = [("Deployment Cost", "Deployment Size"), deployment, ("",), head]
    if has_state:
        head = (*_HEAD, "Avg State")
        rows = [(*rows[0], "State"), (*deployment, str(use.deployment_state)), ("",), head]
    numbers = {1}
    for name, shown, gas, state in _function_rows(use):
        calls, *amounts = figures(gas)
        numbers.add(len(rows))
        rows.append((shown or name, *map(str, amounts), str(calls), *([str(state // calls)] if has_state else [])))
    whole = [(title,), *rows]
    columns = range(len(head))
    cells = [[row[column] if column < len(row) else "" for column in columns] for row in whole]
    widths = [max(len(row[column]) for row in cells) for column in columns]
    for number in numbers:
        row, first = cells[number + 1], 0 if number == 1 else 1
        row[first:] = [cell.rjust(width) if cell else "" for cell, width in zip(row, widths, strict=True)][first:]
    return table(cells[0], cells[1:], left=True)


def _function_rows(use: GasUse) -> Iterator[tuple[str, str, list[int], int]]:
    """Yield each function's name, its signature if it is overloaded, its gas, and the sum of its state gas."""
    by_name: dict[str, dict[str, list[int]]] = {}
    for signature, gas in use.functions.items():
        by_name.setdefault(signature.partition("(")[0], {})[signature] = gas
    for name, functions in sorted(by_name.items()):
        for signature, gas in sorted(functions.items()):
            yield name, signature if len(functions) > 1 else "", gas, use.state.get(signature, 0)


def _identifier(location: Place) -> str:
    file, name = location
    return f"{file or 'native'}:{name}"


def _is_wanted(location: Place, project: Project) -> bool:
    file, name = location
    return not file or project.in_gas_report(name)
