"""Comparison of test results under several network versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fvm_hypervisor.soltest.execution.results import CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.report.report import lines_of, seed_lines

Column = Mapping[tuple[str, str], TestResult]


def column(suites: Sequence[SuiteResult]) -> dict[tuple[str, str], TestResult]:
    """Return the results by suite and test."""
    return {(suite.name, test.signature): test for suite in suites for test in suite.tests}


def differences(columns: Mapping[str, Column]) -> list[tuple[str, str]]:
    """Return the tests whose result or gas differs between versions."""
    keys = dict.fromkeys(key for found in columns.values() for key in found)
    return [key for key in keys if len({_figures(found.get(key)) for found in columns.values()}) > 1]


def _figures(test: TestResult | None) -> tuple[str, str, int]:
    return ("missing", "", 0) if test is None else (test.status.value, test.reason or "", test.gas)


def compare_lines(columns: Mapping[str, Column], verbosity: int = 0) -> Iterator[str]:
    """Yield the differing tests, then those that fail in every version (as in the first one), then the totals."""
    different = differences(columns)
    for suite, signature in different:
        yield f"{suite} {signature}"
        for name, found in columns.items():
            status, reason, gas = _figures(found.get((suite, signature)))
            yield f"    {name}: {status}{f' ({reason})' if reason else ''}, gas {gas}"
    first = next(iter(columns.values()), {})
    failing = {
        key: test for key, test in first.items() if test.status is CaseStatus.FAILURE and key not in set(different)
    }
    for (suite, _), test in failing.items():
        yield f"{suite}, in each of them:"
        yield from lines_of(test, verbosity)
    yield from seed_lines([test for found in columns.values() for test in found.values()])
    total = len({key for found in columns.values() for key in found})
    failed = f" ({len(failing)} of them failing)" if failing else ""
    yield (
        f"{len(columns)} network versions ({', '.join(columns)}): {total - len(different)} tests end alike{failed}, "
        f"{len(different)} differ"
    )
