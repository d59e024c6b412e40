"""Test results as text in forge's format; see `json_report` for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from fvm_hypervisor.soltest.execution.results import CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.text_table import table
from hypervisor.text import printable

_MAX_WORDS: Final = 10_000
"""Maximum number of characters of a line from a contract or project; unprintable ones are escaped."""
_SYMBOLIC_OPTIONS: Final = {"checks": "--symbolic ", "fuzz": "--symbolic-fuzz "}
_STATUSES: Final = (CaseStatus.SUCCESS, CaseStatus.FAILURE, CaseStatus.SKIPPED)
_TAGS: Final = {
    CaseStatus.SUCCESS: "PASS", CaseStatus.FAILURE: "FAIL", CaseStatus.SKIPPED: "SKIP",
    CaseStatus.UNDECIDED: "NOT DECIDED",
}  # fmt: skip


def lines_of(test: TestResult, verbosity: int = 0) -> Iterator[str]:
    """Yield a test's line, followed by its metrics, logs, trace and stack."""
    tag = _TAGS[test.status]
    why = f": {printable(test.reason, _MAX_WORDS)}" if test.reason else ""
    if len(test.counterexample) == 1 and not test.counterexample[0].contract:
        why += f"; counterexample: {test.counterexample[0].text()}"
    yield f"[{tag}{why}]{_sequence(test)} {test.signature} {test.figures()}"
    if test.metrics:
        yield from ("", *_metrics_lines(test), "")
    if test.edges is not None:
        edges, features, inputs = test.edges
        corpus = f"{inputs:,} input{'' if inputs == 1 else 's'} in the corpus"
        yield f"Edge coverage: {edges:,} edges, {features:,} features, {corpus}"
    if verbosity >= 2 and test.logs:
        yield "Logs:"
        yield from (f"  {line}" for line in test.logs)
        yield ""
    if test.trace:
        yield "Traces:"
        yield test.trace.rstrip("\n")
        yield ""
    if test.stack:
        yield "Backtrace:"
        yield from (f"  at {printable(line, _MAX_WORDS)}" for line in test.stack)
        if test.note:
            yield f"  ({test.note})"
        yield ""


def _metrics_lines(test: TestResult) -> list[str]:
    """Return the table of calls of an invariant test."""
    rows = [
        (row.contract.rpartition(":")[2], row.function, str(row.calls), str(row.reverts), str(row.discards))
        for row in sorted(test.metrics, key=lambda row: (row.contract, row.function))
    ]
    return table(("Contract", "Selector", "Calls", "Reverts", "Discards"), rows, left=True)


def _sequence(test: TestResult) -> str:
    if not test.counterexample or not test.counterexample[0].contract:
        return ""
    steps = "\n".join(step.text() for step in test.counterexample)
    name = "Sequence" if test.best is None else "Best sequence"
    return f"\n\t[{name}] (original: {test.shrunk_from}, shrunk: {len(test.counterexample)})\n{steps}\n"


def suite_lines(suite: SuiteResult, verbosity: int = 0) -> Iterator[str]:
    """Yield the lines of a suite: its tests, then its totals."""
    count = len(suite.tests)
    yield ""
    yield f"Ran {count} test{'' if count == 1 else 's'} for {printable(suite.name)}"
    yield from (f"Warning: {printable(warning, _MAX_WORDS)}" for warning in suite.warnings)
    for test in sorted(suite.tests, key=lambda test: test.signature):
        yield from lines_of(test, verbosity)
    yield verdict(suite)


def verdict(suite: SuiteResult) -> str:
    """Return the line with a suite's totals."""
    passed, failed, skipped = (suite.count(status) for status in _STATUSES)
    undecided = suite.count(CaseStatus.UNDECIDED)
    result = "FAILED" if failed else "NOT DECIDED" if undecided else "ok"
    return (
        f"Suite result: {result}. {passed} passed; {failed} failed; {skipped} skipped; "
        f"{f'{undecided} not decided; ' if undecided else ''}"
        f"finished in {duration(suite.duration)} ({duration(sum(test.duration for test in suite.tests))} CPU time)"
    )


def summary_table(suites: Sequence[SuiteResult], *, detailed: bool = False) -> list[str]:
    """Return a table with a row per suite; with `detailed`, including file and duration."""
    head = ["Test Suite", "Passed", "Failed", "Skipped", *(["File Path", "Duration"] if detailed else [])]
    rows = [
        [
            printable(suite.contract),
            *(str(suite.count(status)) for status in _STATUSES),
            *([printable(suite.file), duration(suite.duration)] if detailed else []),
        ]
        for suite in sorted(suites, key=lambda suite: suite.name)
    ]
    return ["", *table(head, rows, left=True)]


def summary_lines(suites: Sequence[SuiteResult], seconds: float, symbolic: str = "") -> Iterator[str]:
    """Yield the last lines: the totals of all suites, and the failures again; `symbolic` as in `SuiteFilter`."""
    passed, failed, skipped = (sum(suite.count(status) for suite in suites) for status in _STATUSES)
    undecided = sum(suite.count(CaseStatus.UNDECIDED) for suite in suites)
    total = passed + failed + skipped + undecided
    yield ""
    yield (
        f"Ran {len(suites)} test suite{'' if len(suites) == 1 else 's'} in {duration(seconds)} "
        f"({duration(sum(suite.duration for suite in suites))} CPU time): {passed} tests passed, {failed} failed, "
        f"{skipped} skipped{f', {undecided} not decided' if undecided else ''} ({total} total tests)"
    )
    if undecided:
        yield from ("", "Tests that are not decided:")
        yield from _repeated_lines(suites, CaseStatus.UNDECIDED, "undecided")
    if not failed:
        return
    yield from (() if undecided else ("",))
    yield "Failing tests:"
    yield from _repeated_lines(suites, CaseStatus.FAILURE, "failing")
    yield f"Encountered a total of {failed} failing tests, {passed} tests succeeded"
    command = f"hypervisor test {_SYMBOLIC_OPTIONS.get(symbolic, '')}--rerun"
    yield f"\nTip: Run `{command}` to retry only the {failed} failed test{'' if failed == 1 else 's'}"
    yield from seed_lines([test for suite in suites for test in suite.tests])


def _repeated_lines(suites: Sequence[SuiteResult], status: CaseStatus, name: str) -> Iterator[str]:
    """Yield the tests with this status again, by suite."""
    for suite in sorted(suites, key=lambda suite: suite.name):
        tests = [test for test in suite.tests if test.status is status]
        if tests:
            yield f"Encountered {len(tests)} {name} test{'' if len(tests) == 1 else 's'} in {printable(suite.name)}"
            for test in tests:
                yield from lines_of(replace(test, trace="", stack=(), note="", metrics=(), edges=None))
            yield ""


def seed_lines(tests: Iterable[TestResult]) -> Iterator[str]:
    """Yield the seed of failed fuzz and invariant tests, if any; all tests of a run share one seed."""
    seeds = {test.seed for test in tests if test.status is CaseStatus.FAILURE and test.seed is not None}
    yield from (f"\nFuzz seed: {seed:#x} (use `--fuzz-seed` to reproduce)" for seed in seeds)


def duration(seconds: float) -> str:
    """Return a duration as text."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.2f}µs"
    return f"{seconds * 1e3:.2f}ms" if seconds < 1 else f"{seconds:.2f}s"
