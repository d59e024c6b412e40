"""Code that each test executes: collected in a worker, and searched for the tests of a mutant.

A test covers a mutant if it executed an instruction of the changed node. If that node has no instructions, the
innermost enclosing node with instructions counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvm_hypervisor.soltest.report.collecting import VisitTracer
from fvm_hypervisor.soltest.trace.known_code import KnownCode

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress
    from fvm_hypervisor.soltest.execution.discovery import TestFunction

Spans = dict[str, set[tuple[int, int]]]
"""First bytes and ends of instructions' source spans, by file."""
TestName = tuple[str, str, str]
"""A test's file, contract and signature."""


@dataclass(frozen=True, slots=True)
class SuiteCoverageByTest:
    """The spans that each test of a suite executed, by signature, and those of `setUp`.

    `incomplete` names the tests (or `setUp()`) whose trace was cut off.
    """

    tests: dict[str, Spans]
    set_up: Spans
    incomplete: frozenset[str]


class CoverageByTestCollector:
    """A `run_test.CaseCollector` of the executed spans by test."""

    def __init__(self, known: KnownCode) -> None:
        self._known = known
        self._cut: set[str] = set()
        self._set_up = VisitTracer()
        self._tests: dict[str, VisitTracer] = {}

    def set_up_tracer(self) -> VisitTracer:
        """Return the tracer of the constructor and `setUp`."""
        self._cut, self._set_up, self._tests = set(), VisitTracer(), {}
        return self._set_up

    def test_tracer(self, test: TestFunction, address: EthAddress) -> VisitTracer:
        """Return the tracer of a test with all its runs."""
        del address
        tracer = self._tests[test.signature] = VisitTracer()
        return tracer

    def replay_tracer(self, test: TestFunction) -> None:
        """Return None: every run is traced, so none needs to be repeated."""
        del test

    def cut_short(self, name: str) -> None:
        """Record that the rest of a test runs without tracing."""
        self._cut.add(name)

    def collect(self) -> SuiteCoverageByTest:
        """Return the spans of the suite."""
        tests = {name: self._spans(tracer) for name, tracer in self._tests.items()}
        return SuiteCoverageByTest(tests, self._spans(self._set_up), frozenset(self._cut))

    def _spans(self, tracer: VisitTracer) -> Spans:
        found: Spans = {}
        for (code, creates), counts in tracer.found.items():
            contract = self._known.find(code, creates)
            if contract is None:
                continue
            for counter, place in (contract.creation_places if creates else contract.runtime_places).items():
                if place.file and counter < len(counts) and counts[counter]:
                    found.setdefault(place.file, set()).add((place.start, place.start + place.length))
        return found


def code_spans(known: KnownCode) -> Spans:
    """Return the spans of all instructions of a project."""
    found: Spans = {}
    for contract in known.contracts:
        for places in (contract.creation_places, contract.runtime_places):
            for place in places.values():
                if place.file:
                    found.setdefault(place.file, set()).add((place.start, place.start + place.length))
    return found


@dataclass(slots=True)
class CoverageIndex:
    """The tests that cover a span: `code` has the spans of all code, `by_test` those that each test executed.

    Tests in `untraced` are assumed to cover everything.
    """

    code: Spans
    by_test: dict[TestName, Spans] = field(default_factory=dict)
    untraced: set[TestName] = field(default_factory=set)

    def add(self, file: str, contract: str, signatures: Iterable[str], found: Sequence[SuiteCoverageByTest]) -> None:
        """Add the tests of a suite."""
        for signature in signatures:
            name = file, contract, signature
            parts = [part for part in found if signature in part.tests]
            if not parts or any({signature, "setUp()"} & part.incomplete for part in parts):
                self.untraced.add(name)
            for part in parts:
                for spans in (part.tests[signature], part.set_up):
                    _add(self.by_test.setdefault(name, {}), spans)

    def tests(self, file: str, enclosing: Sequence[tuple[int, int]]) -> set[TestName]:
        """Return the tests that cover the first of these spans that has instructions."""
        inside: set[tuple[int, int]] = set()
        for start, end in enclosing:
            inside = {one for one in self.code.get(file, ()) if start <= one[0] and one[1] <= end}
            if inside:
                break
        return self.untraced | {
            name for name, spans in self.by_test.items() if not inside.isdisjoint(spans.get(file, ()))
        }


def _add(spans: Spans, other: Mapping[str, set[tuple[int, int]]]) -> None:
    for file, found in other.items():
        spans.setdefault(file, set()).update(found)
