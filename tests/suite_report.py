"""What a run of the tests says of itself: passed and skipped for each suite (a folder of tests/, or an example).

Where the folder of test data is there, a test that is skipped for want of data is a failure: it would hide a moved
file, or a search that finds nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator

import pytest

from tests.conftest import fvm_data

FOR_WANT_OF_DATA = ("no test data", "got empty parameter set")
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")


def pytest_sessionstart() -> None:
    """Ends the run at once where FVM_DATA is wrong."""
    try:
        fvm_data()
    except FileNotFoundError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip for want of data into a failure where the data are."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and fvm_data() is not None:
        reason = str(report.longrepr[2])
        if any(words in reason for words in FOR_WANT_OF_DATA):
            report.outcome = "failed"
            report.longrepr = f"{reason}, though the test data are in {fvm_data()}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a suite."""
    suites: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            suites[suite_of(report.nodeid)][outcome] += 1
    terminalreporter.section("suites", sep="-")
    width = max(map(len, suites), default=0)
    for suite, counts in sorted(suites.items()):
        figures = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
        terminalreporter.write_line(f"{suite:<{width}}  {figures}")


def suite_of(nodeid: str) -> str:
    """The folder below tests/ that a test lies in; an example by its path."""
    folders = nodeid.split("::")[0].split("/")[:-1]
    if folders[:1] == ["examples"]:
        return "/".join(folders[:2])
    return "/".join(folders[1:2]) or "tests"
