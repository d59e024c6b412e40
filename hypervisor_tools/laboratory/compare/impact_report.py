"""Tests under two sets of rules as text, as plain data and as JUnit XML."""

from __future__ import annotations

from collections import Counter
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


def impact_lines(found: TestComparison, *, in_full: bool = False) -> Iterator[str]:
    """Yield the tests that end otherwise, and sums of the others by contract and by cause.

    `in_full` yields the others, too.
    """
    changes = sorted(found.changes, key=lambda change: (OUTCOME not in change.kinds, -abs(_gas(change))))
    for change in changes:
        if in_full or OUTCOME in change.kinds or REASON in change.kinds:
            yield f"{change.suite} {change.test}: {', '.join(change.kinds)}"
            yield from (f"    {line}" for line in change_lines(change, found.labels))
            yield ""
    for title, lines in (
        ("gas by contract", _contract_lines(found)),
        ("gas by cause", _cause_lines(found)),
        ("events by the first that differs", _event_lines(found)),
    ):
        shown = list(lines)
        if shown:
            yield f"{title}:"
            yield from (f"  {line}" for line in shown)
            yield ""
    if changes:
        yield f"Fuzz seed: {found.seed:#x} (use `--fuzz-seed` to reproduce)"
    yield f"{' and '.join(found.labels)}: {_sum_text(found)}"


def _sum_text(found: TestComparison) -> str:
    count = {kind: sum(kind in change.kinds for change in found.changes) for kind in KINDS}
    parts = [f"{count[OUTCOME] or 'no'} other {'outcome' if count[OUTCOME] == 1 else 'outcomes'}"]
    parts += [f"{count[kind]:,} with other {kind}" for kind in (REASON, GAS, EVENTS) if count[kind]]
    if found.failing:
        parts.append(f"{found.failing:,} fail in both runs")
    return f"{count_text(len(found.tests), 'test')}, {', '.join(parts)}"


def _costs_other_gas(change: TestChange) -> bool:
    """Return True for a test that ends alike with other gas."""
    return GAS in change.kinds and OUTCOME not in change.kinds


def _contract_lines(found: TestComparison) -> Iterator[str]:
    """Yield the gas of each contract's tests that end alike with other gas, largest difference first."""
    number = Counter(suite for suite, _ in found.tests)
    sums: dict[str, list[TestChange]] = {}
    for change in found.changes:
        if _costs_other_gas(change):
            sums.setdefault(change.suite, []).append(change)
    for suite, changes in sorted(sums.items(), key=lambda item: -abs(sum(map(_gas, item[1])))):
        before, more = sum(change.gas[0] for change in changes), sum(map(_gas, changes))
        share = f" ({100 * more / before:+.1f} %)" if before else ""
        yield f"{suite}: {more:+,}{share} in {len(changes):,} of {count_text(number[suite], 'test')}"


def _cause_lines(found: TestComparison) -> Iterator[str]:
    """Yield the gas of each set of proposals, with the test that it changes most, largest difference first."""
    sums: dict[str, list[tuple[int, TestChange]]] = {}
    for change in filter(_costs_other_gas, found.changes):
        for cause, gas in _causes(change).items():
            sums.setdefault(cause, []).append((gas, change))
    for cause, parts in sorted(sums.items(), key=lambda item: -abs(sum(gas for gas, _ in item[1]))):
        most, change = max(parts, key=lambda part: abs(part[0]))
        total = f"{sum(gas for gas, _ in parts):+,} in {count_text(len(parts), 'test')}"
        name = f"{change.suite.rpartition(':')[2]}.{change.test}"
        yield f"{cause}: {total}{f', most in {name} ({most:+,})' if len(parts) > 1 else f', {name}'}"


def _causes(change: TestChange) -> dict[str, int]:
    """Return the difference of a test's gas by the proposals that explain it."""
    sums: dict[str, int] = {}
    for row in change.explanation.rows:
        sources = dict.fromkeys(source for each in row.changes for source in each.sources)
        if sources:
            cause = ", ".join(sources)
            sums[cause] = sums.get(cause, 0) + row.gas[1] - row.gas[0]
    return sums or {"not explained": _gas(change)}


def _event_lines(found: TestComparison) -> Iterator[str]:
    """Yield the number of tests by the first event that differs."""
    count = Counter(change.explanation.event for change in found.changes if EVENTS in change.kinds)
    yield from (f"{event}: {count_text(tests, 'test')}" for event, tests in count.most_common())


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
