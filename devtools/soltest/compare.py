"""The same tests under several network versions, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from devtools.soltest.results import SuiteResult, TestResult

Column = Mapping[tuple[str, str], TestResult]


def column(suites: Sequence[SuiteResult]) -> dict[tuple[str, str], TestResult]:
    """Results by suite and test."""
    return {(suite.name, test.signature): test for suite in suites for test in suite.tests}


def differences(columns: Mapping[str, Column]) -> list[tuple[str, str]]:
    """The tests that end otherwise somewhere, or use other gas."""
    keys = dict.fromkeys(key for found in columns.values() for key in found)
    return [key for key in keys if len({_figures(found.get(key)) for found in columns.values()}) > 1]


def _figures(test: TestResult | None) -> tuple[str, str, int]:
    return ("missing", "", 0) if test is None else (test.status.value, test.reason or "", test.gas)


def compare_lines(columns: Mapping[str, Column]) -> Iterator[str]:
    """A line for each test that differs, then how many do not."""
    different = differences(columns)
    for suite, signature in different:
        yield f"{suite} {signature}"
        for name, found in columns.items():
            status, reason, gas = _figures(found.get((suite, signature)))
            yield f"    {name}: {status}{f' ({reason})' if reason else ''}, gas {gas}"
    total = len({key for found in columns.values() for key in found})
    yield f"{len(columns)} network versions ({', '.join(columns)}): {total - len(different)} tests end alike, " + (
        f"{len(different)} differ"
    )
