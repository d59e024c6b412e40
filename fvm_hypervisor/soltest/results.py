"""What became of tests: plain data that goes between processes, and the documented JSON of `--json`.

The JSON is forge's as far as both have the same: suites by `file:contract`, tests by signature
(docs/solidity-tests.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from statistics import mean, median
from typing import Any


class CaseStatus(Enum):
    """How a test ended."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    SKIPPED = "Skipped"


class CaseKind(Enum):
    """Of what kind a test is."""

    UNIT = "unit"
    FUZZ = "fuzz"
    INVARIANT = "invariant"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class CounterExample:
    """A call that made a test fail: calldata, and how it reads. Of a sequence, also who called what."""

    calldata: bytes
    arguments: str
    sender: str = ""
    contract: str = ""
    address: str = ""
    signature: str = ""

    def text(self) -> str:
        """As forge writes it."""
        if self.contract:
            callee = f"[{self.contract}]{self.address}"
            return f"\t\tsender={self.sender} addr={callee} calldata={self.signature} args=[{self.arguments}]"
        return f"calldata=0x{self.calldata.hex()} args=[{self.arguments}]"

    def json(self) -> dict[str, str]:
        """The documented object."""
        found = {"calldata": f"0x{self.calldata.hex()}", "args": self.arguments}
        if not self.contract:
            return found
        called = {"contract": self.contract, "address": self.address, "signature": self.signature}
        return found | {"sender": self.sender} | called


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """How often an invariant test has called a function, and how often it reverted or refused its inputs."""

    contract: str
    function: str
    calls: int
    reverts: int
    discards: int


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test. Gas in the rules' own gas, `duration` in seconds; `trace` and `stack` are texts, empty if not asked."""

    __test__ = False  # for pytest, which takes the name for one of its own

    signature: str
    kind: CaseKind
    status: CaseStatus
    reason: str | None = None
    gas: int = 0
    gases: tuple[int, ...] = ()
    """Gas of each run of a fuzz test that passed, and of each row of a table test."""
    runs: int = 0
    calls: int = 0
    reverts: int = 0
    rejects: int = 0
    seed: int | None = None
    counterexample: tuple[CounterExample, ...] = ()
    last_run: tuple[CounterExample, ...] = ()
    """The calls of the last run of a test with several runs that passed."""
    shrunk_from: int = 0
    best: int | None = None
    """Largest value that an invariant test of type `int256` returned; its calls are the counterexample."""
    metrics: tuple[CallMetrics, ...] = ()
    edges: tuple[int, int, int] | None = None
    """Edges of code, edges with how often each was gone over, and inputs of the corpus, where they were asked for."""
    is_replayed: bool = False
    """Whether it is the failure of an earlier run, without a new search."""
    logs: tuple[str, ...] = ()
    measured: tuple[tuple[str, str, int], ...] = ()
    """Group, name and value of what it has measured."""
    trace: str = ""
    stack: tuple[str, ...] = ()
    note: str = ""
    """What the stack lacks, and why."""
    duration: float = 0.0

    def figures(self) -> str:
        """What it took, as forge writes it."""
        if self.kind in (CaseKind.FUZZ, CaseKind.TABLE):
            gases = self.gases or (0,)
            return f"(runs: {self.runs}, μ: {int(mean(gases))}, ~: {int(median(gases))})"
        if self.best is not None:
            return f"(best: {self.best}, runs: {self.runs}, calls: {self.calls})"
        if self.kind is CaseKind.INVARIANT:
            return f"(runs: {self.runs}, calls: {self.calls}, reverts: {self.reverts})"
        return f"(gas: {self.gas})"

    def json(self) -> dict[str, Any]:
        """The documented object."""
        kind: dict[str, Any] = {"Unit": {"gas": self.gas}}
        if self.kind in (CaseKind.FUZZ, CaseKind.TABLE):
            gases = self.gases or (0,)
            gas = {"runs": self.runs, "mean_gas": int(mean(gases)), "median_gas": int(median(gases))}
            kind = {self.kind.value.capitalize(): gas}
        elif self.kind is CaseKind.INVARIANT:
            metrics = {
                f"{row.contract}.{row.function}": {
                    "calls": row.calls, "reverts": row.reverts, "discards": row.discards,
                }
                for row in self.metrics
            }  # fmt: skip
            figures = {"runs": self.runs, "calls": self.calls, "reverts": self.reverts}
            best = None if self.best is None else str(self.best)
            kind = {"Invariant": figures | {"metrics": metrics, "optimization_best_value": best}}
        return {
            "status": self.status.value,
            "reason": self.reason,
            "counterexample": [found.json() for found in self.counterexample] or None,
            "decoded_logs": list(self.logs),
            "kind": kind,
            "seed": self.seed,
            "trace": self.trace or None,
            "stack": list(self.stack),
            "duration": self.duration,
        }


@dataclass(slots=True)
class SuiteResult:
    """The tests of one contract. `failure` is what kept all of them from running."""

    file: str
    contract: str
    tests: list[TestResult] = field(default_factory=list)
    duration: float = 0.0
    warnings: list[str] = field(default_factory=list)
    collected: list[Any] = field(default_factory=list)
    """What its tests did (`collecting.Collected`), for a report over all suites."""

    @property
    def name(self) -> str:
        """`file:contract`, by which it is known."""
        return f"{self.file}:{self.contract}"

    def count(self, status: CaseStatus) -> int:
        """How many of its tests ended so."""
        return sum(test.status is status for test in self.tests)

    def json(self) -> dict[str, Any]:
        """The documented object."""
        return {
            "duration": self.duration,
            "test_results": {test.signature: test.json() for test in self.tests},
            "warnings": self.warnings,
        }
