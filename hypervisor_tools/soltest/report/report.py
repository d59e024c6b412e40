"""Test results as text, JSON and JUnit XML.

The JSON object of `--json` has the form of forge's: suites by `file:contract`, tests by signature;
docs/solidity-tests.md describes the fields. JUnit XML has forge's format: a suite per contract, a case per test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from hypervisor.text import printable
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.value_text import table

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


_UNITS: Final = (
    ("day", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("µs", 1_000), ("ns", 1),
)  # fmt: skip
"""Units of durations in nanoseconds."""


def json_report(suites: Sequence[SuiteResult], verbosity: int = 0) -> dict[str, Any]:
    """Return the suites by name; tests have their logs from verbosity 2 on."""
    return {suite.name: _suite(suite, verbosity) for suite in sorted(suites, key=lambda suite: suite.name)}


def exact_duration(seconds: float) -> str:
    """Return a duration in forge's form, in all its units: `1s 370µs 728ns`."""
    rest, parts = round(seconds * 1e9), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts) or "0s"


def _suite(suite: SuiteResult, verbosity: int) -> dict[str, Any]:
    tests = sorted(suite.tests, key=lambda test: test.signature)
    return {
        "duration": exact_duration(suite.duration),
        "test_results": {test.signature: _test(test, verbosity) for test in tests},
        "warnings": suite.warnings,
    }


def _test(test: TestResult, verbosity: int) -> dict[str, Any]:
    shows_logs = verbosity >= 2
    return {
        "status": test.status.value,
        "reason": test.reason or None,
        "counterexample": _counterexample(test),
        "logs": [
            {
                "address": f"0x{emitter.hex()}",
                "topics": [f"0x{topic.hex()}" for topic in log.topics],
                "data": f"0x{log.data.hex()}",
            }
            for emitter, log in (test.emitted if shows_logs else ())
        ],
        "decoded_logs": list(test.logs) if shows_logs else [],
        "kind": _kind(test),
        "traces": [[kind, {"arena": nodes}] for kind, nodes in test.traces],
        "labeled_addresses": {f"0x{address.hex()}": label for address, label in sorted(test.labels)},
        "duration": exact_duration(test.duration),
        "breakpoints": {},
        "gas_snapshots": {
            group: {name: str(value) for _, name, value in rows}
            for group, rows in groupby(sorted(test.measured), key=lambda row: row[0])
        },
        "seed": test.seed,
        "trace": test.trace or None,
        "stack": list(test.stack),
    }


def _counterexample(test: TestResult) -> dict[str, Any] | None:
    calls = test.counterexample
    if not calls:
        return None
    if not test.is_sequence:
        return {"Single": calls[0].forge_json()}
    return {"Sequence": [test.shrunk_from or len(calls), [call.forge_json() for call in calls]]}


def _kind(test: TestResult) -> dict[str, Any]:
    from statistics import mean, median  # imported on use, with decimal and fractions

    gases = test.gases or (0,)
    average = {"mean_gas": int(mean(gases)), "median_gas": int(median(gases))}
    match test.kind:
        case CaseKind.UNIT:
            return {"Unit": {"gas": test.gas}}
        case CaseKind.SYMBOLIC:
            return {"Symbolic": {"paths": test.runs, **({"depth": test.depth} if test.depth else {})}}
        case CaseKind.TABLE:
            return {"Table": {"runs": test.runs, **average}}
        case CaseKind.FUZZ:
            stipend = test.first_stipend
            first = {"gas": gases[0] + stipend, "stipend": stipend}
            return {"Fuzz": {"first_case": first, "runs": test.runs, **average, "failed_corpus_replays": 0}}
        case CaseKind.INVARIANT:
            return {"Invariant": _invariant(test)}


def _invariant(test: TestResult) -> dict[str, Any]:
    metrics = {
        f"{row.contract}.{row.function}": {"calls": row.calls, "reverts": row.reverts, "discards": row.discards}
        for row in test.metrics
    }
    return {
        "runs": test.runs,
        "calls": test.calls,
        "reverts": test.reverts,
        "metrics": metrics,
        "failed_corpus_replays": 0,
        "optimization_best_value": None if test.best is None else str(test.best),
    }


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
    from xml.sax.saxutils import escape  # it loads an HTTP client

    return escape("\n".join(printable(line, _MAX_TEXT) for line in text.split("\n")))


def _attribute(text: str) -> str:
    from xml.sax.saxutils import quoteattr

    return quoteattr(printable(text, _MAX_TEXT))
