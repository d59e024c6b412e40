"""Summary of a test run: passed and skipped tests per suite (a folder of tests/, or an example).

The last line has all tests: how many there were, ran and were skipped, with or without the test data. Where those are
there, a test that is skipped for want of data is a failure: it would hide a moved file, or a search that finds nothing.
Where they are not, more skipped tests than MAX_SKIPPED fail the run: a clone alone must be worth testing. What ran is
then less than it looks, which two more figures say: the rows of parametrisations that are offered with the data alone
(`with_data`), and the tests that compare our actors or engines with the official ones (`beside_official`), where
ours stand on both sides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator
from typing import Any

import pytest

from tests.conftest import fvm_data, rows_not_offered

FOR_WANT_OF_DATA = ("no test data", "got empty parameter set")
MAX_SKIPPED = 100
"""Without the test data."""
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
OURS_ALONE = "compares ours with ours"
NOT_OFFERED = "rows not offered"
_not_offered = pytest.StashKey[int]()


def pytest_sessionstart() -> None:
    """Ends the run at once where FVM_DATA is wrong."""
    try:
        fvm_data()
    except FileNotFoundError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what compares ours with ours, for the report of the test to carry."""
    if fvm_data() is None:
        for item in items:
            if item.get_closest_marker("beside_official"):
                item.user_properties.append((OURS_ALONE, True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Every parametrisation has been seen now; a worker's figure goes to the process that reports."""
    session.config.stash[_not_offered] = rows_not_offered()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[NOT_OFFERED] = rows_not_offered()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each of xdist's workers has collected the same."""
    figure = getattr(node, "workeroutput", {}).get(NOT_OFFERED, 0)
    node.config.stash[_not_offered] = max(figure, node.config.stash.get(_not_offered, 0))


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
    if len(reporter.stats.get("skipped", [])) > MAX_SKIPPED and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a suite, and one for all."""
    reports = [(outcome, report) for outcome in OUTCOMES for report in terminalreporter.stats.get(outcome, [])]
    suites: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome, report in reports:
        suites[suite_of(report.nodeid)][outcome] += 1
    terminalreporter.section("suites", sep="-")
    width = max(map(len, suites), default=0)
    for suite, counts in sorted(suites.items()):
        figures = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
        terminalreporter.write_line(f"{suite:<{width}}  {figures}")
    terminalreporter.write_line(all_in_all(reports, config.stash.get(_not_offered, 0)))


def all_in_all(reports: list[tuple[str, Any]], not_offered: int) -> str:
    """The last line: whether there were data, and the figures. A test counts once, whatever its teardown did."""
    collected = {report.nodeid for _, report in reports}
    skipped = {report.nodeid for outcome, report in reports if outcome == "skipped"}
    run = len(collected) - len(skipped)
    line = f"test data: {len(collected):,} collected, {run:,} run, {len(skipped):,} skipped"
    if fvm_data() is not None:
        return f"with {line}"
    ours = {report.nodeid for _, report in reports if (OURS_ALONE, True) in _properties(report)} - skipped
    if len(skipped) > MAX_SKIPPED:
        line += f", more than the {MAX_SKIPPED} that may be"
    if not_offered:
        line += f"; parametrized cases left out: {not_offered:,}"
    if ours:
        line += f"; comparisons without the official actors: {len(ours):,}"
    return f"without {line}"


def _properties(report: Any) -> list[tuple[str, object]]:
    """Those of a test, as they are or as a worker sent them; a file that is skipped as a whole has none."""
    return [tuple(one) for one in getattr(report, "user_properties", ())]


def suite_of(nodeid: str) -> str:
    """The folder below tests/ that a test lies in; an example by its path."""
    folders = nodeid.split("::")[0].split("/")[:-1]
    if folders[:1] == ["examples"]:
        return "/".join(folders[:2])
    return "/".join(folders[1:2]) or "tests"
