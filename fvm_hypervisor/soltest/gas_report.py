"""Gas report in forge's format: a table for each contract that tests call, and for each native actor.

With Ethereum's gas each call of a test is a separate transaction, as with `--isolate`; with Filecoin's gas (`--rules
filecoin`) a call costs the network's gas, including nested calls. Rules: Foundry's `GasReport` (forge 1.7.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from fvm_hypervisor.soltest.collected import GasUse, Place, SuiteCoverage
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.text_table import table

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
            report[name] = GasUse(functions, use.deployment_gas, use.deployment_size)
    return report


def is_test_function(name: str) -> bool:
    """Return True if forge considers a function part of a test, by its name."""
    return name.startswith(_TEST_FUNCTIONS) or name.lower() in ("setup", "afterinvariant")


def figures(gas: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Return the number of calls, and their minimum, average, median and maximum gas, rounded down."""
    return len(gas), min(gas), sum(gas) // len(gas), int(median(gas)), max(gas)


def gas_lines(report: dict[str, GasUse]) -> Iterator[str]:
    """Yield a table for each contract."""
    for name, use in report.items():
        yield ""
        yield from _table(f"{name} Contract", use)
    yield ""


def gas_json(report: dict[str, GasUse]) -> list[dict[str, Any]]:
    """Return forge's JSON list: each contract with its deployment and its functions by signature."""
    return [
        {
            "contract": name,
            "deployment": {"gas": use.deployment_gas or 0, "size": use.deployment_size or 0},
            "functions": {
                signature: dict(zip(_NAMES, figures(gas), strict=True))
                for signature, gas in sorted(use.functions.items())
            },
        }
        for name, use in report.items()
    ]


def _table(title: str, use: GasUse) -> list[str]:
    deployment = (str(use.deployment_gas or 0), str(use.deployment_size or 0))
    rows = [("Deployment Cost", "Deployment Size"), deployment, ("",), _HEAD]
    numbers = {1}
    for name, shown, gas in _function_rows(use):
        calls, *amounts = figures(gas)
        numbers.add(len(rows))
        rows.append((shown or name, *map(str, amounts), str(calls)))
    whole = [(title,), *rows]
    columns = range(len(_HEAD))
    cells = [[row[column] if column < len(row) else "" for column in columns] for row in whole]
    widths = [max(len(row[column]) for row in cells) for column in columns]
    for number in numbers:
        row, first = cells[number + 1], 0 if number == 1 else 1
        row[first:] = [cell.rjust(width) if cell else "" for cell, width in zip(row, widths, strict=True)][first:]
    return table(cells[0], cells[1:], left=True)


def _function_rows(use: GasUse) -> Iterator[tuple[str, str, list[int]]]:
    """Yield each function's name, its signature if it is overloaded, and its gas."""
    by_name: dict[str, dict[str, list[int]]] = {}
    for signature, gas in use.functions.items():
        by_name.setdefault(signature.partition("(")[0], {})[signature] = gas
    for name, functions in sorted(by_name.items()):
        for signature, gas in sorted(functions.items()):
            yield name, signature if len(functions) > 1 else "", gas


def _identifier(location: Place) -> str:
    file, name = location
    return f"{file or 'native'}:{name}"


def _is_wanted(location: Place, project: Project) -> bool:
    file, name = location
    return not file or project.in_gas_report(name)
