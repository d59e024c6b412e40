"""What a run of the tests says of itself: passed and skipped for each suite (a folder of tests/, or an example).

The last line has all tests: how many there were, ran and were skipped, with or without the test data. Where those are
there, a test that is skipped for want of data is a failure: it would hide a moved file, or a search that finds nothing.
Where they are not, more skipped tests than MOST_SKIPPED fail the run: a clone alone must be
worth testing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator

import pytest

from tests.conftest import fvm_data

FOR_WANT_OF_DATA = ("no test data", "got empty parameter set")
MOST_SKIPPED = 100
"""Without the test data; today a good half."""
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run without data that has skipped too much."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput") or fvm_data() is not None:
        return
    if len(reporter.stats.get("skipped", [])) > MOST_SKIPPED and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a suite, and one for all."""
    suites: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            suites[suite_of(report.nodeid)][outcome] += 1
    terminalreporter.section("suites", sep="-")
    width = max(map(len, suites), default=0)
    for suite, counts in sorted(suites.items()):
        figures = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
        terminalreporter.write_line(f"{suite:<{width}}  {figures}")
    total = sum(suites.values(), Counter())
    terminalreporter.write_line(all_in_all(total.total(), total["skipped"]))


def all_in_all(collected: int, skipped: int) -> str:
    """The last line: whether there were data, and what that came to."""
    data = "with" if fvm_data() is not None else "without"
    line = f"{data} test data: {collected:,} collected, {collected - skipped:,} run, {skipped:,} skipped"
    return line if data == "with" or skipped <= MOST_SKIPPED else f"{line}, more than the {MOST_SKIPPED} that may be"


def suite_of(nodeid: str) -> str:
    """The folder below tests/ that a test lies in; an example by its path."""
    folders = nodeid.split("::")[0].split("/")[:-1]
    if folders[:1] == ["examples"]:
        return "/".join(folders[:2])
    return "/".join(folders[1:2]) or "tests"
