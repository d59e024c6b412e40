"""A pytest plugin: with the test data no test may be skipped for want of them, without them only a few may be.

A test skipped for want of data that are there would hide a moved file, or a search that finds nothing. More than
MAX_SKIPPED skipped tests fail a run without data: a clone alone must be worth testing.
"""

from collections.abc import Generator

import pytest

from tests.conftest import fvm_data

FOR_WANT_OF_DATA = ("no test data", "got empty parameter set")
MAX_SKIPPED = 100
"""Without the test data."""


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
    if len(reporter.stats.get("skipped", [])) > MAX_SKIPPED and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"error: more than {MAX_SKIPPED} tests were skipped for want of test data")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
