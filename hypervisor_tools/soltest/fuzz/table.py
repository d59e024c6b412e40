"""Execution of a table test: a call for each row of its parameters' fixtures.

Rules: forge's. The first parameter's fixture determines the number of rows, which every other fixture must have; the
test ends at the first failing row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import encode
from hypervisor_tools.soltest.execution.discovery import TestFunction, type_of
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, CounterExample, TestResult
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.execution.values import fixture_name, types
from hypervisor_tools.soltest.fuzz.fixtures import MAX_ROWS, fixtures_by_name
from hypervisor_tools.soltest.fuzz.fuzz import Deadline
from hypervisor_tools.soltest.value_text import arguments_text


class NoTable(Exception):
    """Raised if the fixtures of a test's parameters do not form a table, with forge's message."""


def table_rows(stage: SuiteStage, test: TestFunction) -> list[list[Any]]:
    """Return the arguments of each call of a table test, from the current fixtures. Raises NoTable."""
    inputs = test.entry["inputs"]
    if not inputs:
        raise NoTable("Table test should have at least one parameter")
    fixtures = fixtures_by_name(stage)
    columns: list[list[Any]] = []
    for number, parameter in enumerate(inputs):
        name = str(parameter["name"])
        fixture = fixtures.get(fixture_name(name))
        if fixture is None:
            raise NoTable(
                f"No fixture defined for param {name}" if number else "Table test should have fixtures defined"
            )
        if not number and not fixture.values:
            raise NoTable("Table test should have at least one fixture")
        if len(fixture.values) >= MAX_ROWS:
            raise NoTable(f"{len(fixture.values)} or more fixtures defined for {name} (limit {MAX_ROWS - 1})")
        if columns and len(fixture.values) != len(columns[0]):
            raise NoTable(f"{len(fixture.values)} fixtures defined for {name} (expected {len(columns[0])})")
        columns.append(fixture.values)
    for parameter in inputs:
        expected, found = type_of(parameter), fixtures[fixture_name(str(parameter["name"]))].type
        if expected != found:
            raise NoTable(f'type mismatch: expected type "{expected}", got value with type "{found}"')
    return [list(row) for row in zip(*columns, strict=True)]


@dataclass(slots=True)
class TableRun:
    """A running table test. `ready` is the initial state of each row."""

    stage: SuiteStage
    test: TestFunction
    ready: ExecutorSnapshot
    progress: Callable[[TestResult], None] = lambda _: None
    gases: list[int] = field(default_factory=list)
    last: bytes = b""
    """Calldata of the latest row."""

    def run(self) -> TestResult:
        """Call the test with each row until one fails or is skipped."""
        try:
            rows = table_rows(self.stage, self.test)
        except NoTable as lack:
            return TestResult(self.test.signature, CaseKind.UNIT, CaseStatus.FAILURE, str(lack))
        deadline, executor = Deadline(), self.stage.executor
        executor.restore(self.ready)
        console = executor.cheatcodes.console
        for row in rows:
            if deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None))
            lines, logs = console.lines, console.logs
            executor.restore(self.ready)
            console.lines, console.logs = lines, logs  # as in forge, the logs of all rows are retained
            data = self.last = selector(self.test.signature) + encode(types(self.test.entry["inputs"]), row)
            outcome = self.stage.call(data, commit=False)
            status, reason = self.stage.verdict(outcome)
            if status is CaseStatus.SKIPPED:
                return TestResult(self.test.signature, CaseKind.UNIT, status, reason)
            self.gases.append(outcome.gas_used)
            if status is CaseStatus.FAILURE:
                inputs = self.test.entry["inputs"]
                text, raw = arguments_text(inputs, row), arguments_text(inputs, row, raw=True)
                example = CounterExample(data, text, raw_arguments=raw)
                return self._result(status, reason, outcome.gas_used, (example,))
        return self._result(CaseStatus.SUCCESS, None)

    def _result(
        self, status: CaseStatus, reason: str | None, gas: int = 0, example: tuple[CounterExample, ...] = ()
    ) -> TestResult:
        return TestResult(
            self.test.signature, CaseKind.TABLE, status, reason, gas, tuple(self.gases), len(self.gases),
            counterexample=example, last_run=() if example else (CounterExample(self.last, ""),),
        )  # fmt: skip
