"""Tests under two sets of rules as text, as plain data and as JUnit XML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from hypervisor.text import printable
from hypervisor_tools.laboratory.compare.explanation import explanation_json, explanation_lines
from hypervisor_tools.laboratory.compare.project_tests import (
    EVENTS,
    GAS,
    OUTCOME,
    REASON,
    TestChange,
    TestComparison,
)
from hypervisor_tools.laboratory.compare.report import count_text
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult
from hypervisor_tools.soltest.report.report import junit

KINDS: Final = (OUTCOME, REASON, GAS, EVENTS)
_MAX_WORDS: Final = 1000


def impact_lines(found: TestComparison) -> Iterator[str]:
    """Yield the tests that differ, other outcomes first, then those with the largest difference of gas."""
    for change in sorted(found.changes, key=lambda change: (OUTCOME not in change.kinds, -abs(_gas(change)))):
        yield f"{change.suite} {change.test}: {', '.join(change.kinds)}"
        yield from (f"    {line}" for line in change_lines(change, found.labels))
        yield ""
    alike = len(found.tests) - len(found.changes)
    failing = f"; {found.failing} fail in both runs" if found.failing else ""
    kinds = ", ".join(
        f"{kind} {count}" for kind in KINDS if (count := sum(kind in each.kinds for each in found.changes))
    )
    differ = f"{len(found.changes)} differ{f' ({kinds})' if kinds else ''}"
    if found.changes:
        yield f"Fuzz seed: {found.seed:#x} (use `--fuzz-seed` to reproduce)"
    yield f"{' and '.join(found.labels)}: {count_text(alike, 'test')} alike, {differ}{failing}"


def change_lines(change: TestChange, labels: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of a test that differs."""
    for label, end, gas in zip(labels, change.ends, change.gas, strict=True):
        yield printable(f"{label}: {end}, gas {gas:,}", _MAX_WORDS)
    if change.gas[0] and _gas(change):
        share = 100 * _gas(change) / change.gas[0]
        state = change.explanation.state_gas
        yield f"gas {_gas(change):+,} ({share:+.1f} %){f', of which state gas {state:+,}' if state else ''}"
    if EVENTS in change.kinds:
        yield f"events: {change.events[0]} -> {change.events[1]}; first other one: {change.explanation.event}"
    yield from explanation_lines(change.explanation)


def _gas(change: TestChange) -> int:
    return change.gas[1] - change.gas[0]


def impact_json(found: TestComparison) -> dict[str, Any]:
    """Return the comparison as JSON data; gas in the unit of the rules."""
    return {
        "rules": list(found.labels),
        "tests": len(found.tests),
        "failing_on_both": found.failing,
        "seed": found.seed,
        "outcomes_differ": found.has_other_outcomes,
        "changes": [_change_json(change) for change in found.changes],
    }


def _change_json(change: TestChange) -> dict[str, Any]:
    return {
        "suite": change.suite,
        "test": change.test,
        "kinds": list(change.kinds),
        "ends": list(change.ends),
        "gas": list(change.gas),
        "events": list(change.events),
        **explanation_json(change.explanation),
    }


def impact_junit(found: TestComparison, suites: Sequence[SuiteResult], seconds: float) -> str:
    """Return JUnit XML of the tests of the second side: one with another outcome fails, and says why."""
    changes = {(change.suite, change.test): change for change in found.changes}
    shown = []
    for suite in suites:
        tests = []
        for test in suite.tests:
            change = changes.get((suite.name, test.signature))
            lines = () if change is None else tuple(change_lines(change, found.labels))
            fails = change is not None and OUTCOME in change.kinds
            reason = "; ".join(lines[:2]) if fails else None
            status = CaseStatus.FAILURE if fails else CaseStatus.SUCCESS
            tests.append(replace(test, status=status, reason=reason, logs=lines, counterexample=(), trace="", stack=()))
        shown.append(replace(suite, tests=tests))
    return junit(shown, seconds, verbosity=2)
