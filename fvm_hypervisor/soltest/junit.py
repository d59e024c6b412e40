"""Results as JUnit XML in forge's format: a suite per contract, a case per test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from fvm_hypervisor.soltest.execution.results import CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.report.report import lines_of, verdict
from hypervisor.text import printable

_MAX_TEXT: int = 100_000
"""Maximum number of characters of a test's output."""


def junit(suites: Sequence[SuiteResult], seconds: float, verbosity: int = 0) -> str:
    """Return the document. `seconds` is the duration of the whole run."""
    tests = sum(len(suite.tests) for suite in suites)
    failures = sum(suite.count(CaseStatus.FAILURE) for suite in suites)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="Test run" tests="{tests}" failures="{failures}" errors="0" timestamp="{now}"'
        f' time="{seconds:.3f}">',
    ]
    for suite in sorted(suites, key=lambda suite: suite.name):
        lines += _junit_suite(suite, verbosity)
    return "\n".join([*lines, "</testsuites>"])


def _junit_suite(suite: SuiteResult, verbosity: int) -> Iterator[str]:
    yield (
        f'    <testsuite name={_attribute(suite.name)} tests="{len(suite.tests)}"'
        f' disabled="{suite.count(CaseStatus.SKIPPED)}" errors="{suite.count(CaseStatus.UNDECIDED)}"'
        f' failures="{suite.count(CaseStatus.FAILURE)}" time="{suite.duration:.3f}">'
    )
    for test in sorted(suite.tests, key=lambda test: test.signature):
        yield from _case(test, verbosity)
    yield f"        <system-out>{_text(verdict(suite))}</system-out>"
    yield "    </testsuite>"


def _case(test: TestResult, verbosity: int) -> Iterator[str]:
    yield f'        <testcase name={_attribute(test.signature)} time="{test.duration:.3f}">'
    if test.status is CaseStatus.FAILURE:
        reason = f" message={_attribute(test.reason)}" if test.reason else ""
        yield f"            <failure{reason}/>"
    elif test.status is CaseStatus.UNDECIDED:
        yield f"            <error message={_attribute(test.reason or '')}/>"
    elif test.status is CaseStatus.SKIPPED:
        reason = f" message={_attribute(test.reason)}" if test.reason else ""
        yield f"            <skipped{reason}/>"
    text = "\n".join(lines_of(test, verbosity)).rstrip()
    yield f"            <system-out>{_text(text)}</system-out>"
    yield "        </testcase>"


def _text(text: str) -> str:
    return escape("\n".join(printable(line, _MAX_TEXT) for line in text.split("\n")))


def _attribute(text: str) -> str:
    return quoteattr(printable(text, _MAX_TEXT))
