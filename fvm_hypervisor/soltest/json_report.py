"""Test results as the JSON object of `--json`, in the form of forge's.

Suites are listed by `file:contract`, tests by signature; docs/solidity-tests.md describes the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import mean, median
from typing import Any, Final

from fvm_hypervisor.soltest.execution.results import CaseKind, SuiteResult, TestResult

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
    if test.kind is not CaseKind.INVARIANT:
        return {"Single": calls[0].forge_json()}
    return {"Sequence": [test.shrunk_from or len(calls), [call.forge_json() for call in calls]]}


def _kind(test: TestResult) -> dict[str, Any]:
    gases = test.gases or (0,)
    average = {"mean_gas": int(mean(gases)), "median_gas": int(median(gases))}
    match test.kind:
        case CaseKind.UNIT:
            return {"Unit": {"gas": test.gas}}
        case CaseKind.SYMBOLIC:
            return {"Symbolic": {"paths": test.runs}}
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
