"""Data that reports are made from: gas used by calls, and execution counts of instructions.

Workers send it to the parent as plain data, and the reports (`gas`, `coverage`) run no tests. The counts of `setUp` are
added once for each test, as if each test had run it. For coverage in pytest (`pytest_plugin`) the instructions on
networks are counted.

The code that each test executes selects the tests of a mutant. A test covers a mutant if it executed an instruction of
the changed node. If that node has no instructions, the innermost enclosing node with instructions counts.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmFrame
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, CallStarted, Detail, MessageEnded, MessageStarted, TraceEvent, Tracer
from hypervisor_tools.soltest.execution.discovery import TestFunction
from hypervisor_tools.soltest.trace.known_code import KnownCode
from localnet.calls.time_limit import OutOfTime

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress
    from hypervisor_tools.soltest.execution.discovery import TestFunction
    from localnet.network import Network

Place = tuple[str, str]
"""A contract's file and name; for a native actor, `""` and its name."""
Code = tuple[str, str, bool]
"""A contract's file and name, and True for its init code."""


@dataclass(slots=True)
class GasUse:
    """Gas by function signature of a contract, and the gas and init code size (bytes) of the last creation.

    The gas is None unless a test created the contract itself, the size unless any call did. `state` is the sum of
    state gas by function, without zeros.
    """

    functions: dict[str, list[int]] = field(default_factory=dict)
    deployment_gas: int | None = None
    deployment_size: int | None = None
    state: dict[str, int] = field(default_factory=dict)
    deployment_state: int = 0

    def count(self, signature: str, gas: int, state: int) -> None:
        """Add a call of a function."""
        self.functions.setdefault(signature, []).append(gas)
        if state:
            self.state[signature] = self.state.get(signature, 0) + state


@dataclass(slots=True)
class SuiteCoverage:
    """Collected data of one or more suites.

    `visits` counts executions by program counter; `cut` names the tests that exceeded the limit.
    """

    gas: dict[Place, GasUse] = field(default_factory=dict)
    visits: dict[Code, Counter[int]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def add(self, other: SuiteCoverage, times: int = 1) -> None:
        """Add the data of another suite, multiplied by `times`."""
        self.cut += other.cut
        for place, use in other.gas.items():
            mine = self.gas.setdefault(place, GasUse())
            if use.deployment_gas is not None:
                mine.deployment_gas, mine.deployment_state = use.deployment_gas, use.deployment_state
            if use.deployment_size is not None:
                mine.deployment_size = use.deployment_size
            for function, gas in use.functions.items():
                mine.functions.setdefault(function, []).extend(gas * times)
            for function, state in use.state.items():
                mine.state[function] = mine.state.get(function, 0) + state * times
        for code, visits in other.visits.items():
            counted = self.visits.setdefault(code, Counter())
            for counter, count in visits.items():
                counted[counter] += count * times


def merge(parts: Iterable[SuiteCoverage]) -> SuiteCoverage:
    """Return the combined data of several suites."""
    whole = SuiteCoverage()
    for part in parts:
        whole.add(part)
    return whole


MAX_COUNTED: Final = 10_000_000
"""Maximum number of instructions counted in one call (about 30 seconds); longer calls are usually endless loops."""
_PAST_END: Final = 33
"""Program counters past a code's end: the implicit STOP follows the missing data of a PUSH32 at the latest."""


class VisitTracer(Tracer):
    """A tracer that counts executed instructions by code, up to `limit` in one call."""

    detail, takes_record = Detail.COUNTERS, True

    def __init__(self, limit: int = MAX_COUNTED) -> None:
        self._limit = self._left = limit
        self.found: dict[tuple[bytes, bool], list[int]] = {}
        self._open: list[tuple[bool, list[int]]] = []
        self._here: list[int] = []

    def event(self, event: TraceEvent, /) -> None:
        """Track the code that is being executed."""
        match event:
            case CallStarted():
                if not self._open:
                    self._left = self._limit
                self._open.append((event.method == 1, []))
                self._here = []
            case EvmFrame() if self._open:
                creates, _ = self._open[-1]
                visits = self.found.get((event.code, creates))
                if visits is None:
                    visits = self.found[event.code, creates] = [0] * (len(event.code) + _PAST_END)
                self._open[-1], self._here = (creates, visits), visits
            case CallEnded() if self._open:
                self._open.pop()
                self._here = self._open[-1][1] if self._open else []
            case _:
                pass

    def visit(self, counter: int, /) -> None:
        """Count an instruction. Raises OutOfTime above the limit."""
        self._here[counter] += 1
        self._left -= 1
        if self._left < 0:
            self._open.clear()
            raise OutOfTime(f"after {self._limit} instructions")

    def visit_all(self, counters: array[int], /) -> None:
        """Count instructions. Raises OutOfTime above the limit."""
        here = self._here
        for counter in counters:
            here[counter] += 1
        self._left -= len(counters)
        if self._left < 0:
            self._open.clear()
            raise OutOfTime(f"after {self._limit} instructions")


class CoverageCollector:
    """Collects the counts of a suite: `set_up_tracer` once, `test_tracer` for each test, then `collect`."""

    def __init__(self, known: KnownCode) -> None:
        self._known = known
        self._tests = 0
        self._cut: list[str] = []
        self._set_up = VisitTracer()
        self._test = VisitTracer()

    def set_up_tracer(self) -> VisitTracer:
        """Return the tracer of the constructor and `setUp`."""
        self._tests, self._cut, self._set_up, self._test = 0, [], VisitTracer(), VisitTracer()
        return self._set_up

    def test_tracer(self, test: TestFunction, address: EthAddress) -> VisitTracer:
        """Return the tracer of a test with all its runs; all tests share one."""
        del test, address
        self._tests += 1
        return self._test

    def replay_tracer(self, test: TestFunction) -> None:
        """Return None: every run is counted, so none needs to be repeated."""
        del test

    def cut_short(self, name: str) -> None:
        """Record that the rest of a test runs without tracing; its counts so far are included."""
        self._cut.append(name)

    def collect(self) -> SuiteCoverage:
        """Return the counts of the suite."""
        whole = _plain(self._test, self._known)
        whole.cut += self._cut
        whole.add(_plain(self._set_up, self._known), self._tests)
        return whole


def _plain(tracer: VisitTracer, known: KnownCode) -> SuiteCoverage:
    visits: dict[Code, Counter[int]] = {}
    for (code, creates), counts in tracer.found.items():
        contract = known.find(code, creates)
        if contract is not None:
            counted = visits.setdefault((contract.artifact.file, contract.name, creates), Counter())
            counted.update({counter: count for counter, count in enumerate(counts) if count})
    return SuiteCoverage(visits=visits)


Row = tuple[bytes, bool, dict[int, int]]
"""Executed code, whether it is init code, and execution counts by program counter."""


class NetworkVisits:
    """Execution counts of all measured networks, as plain data that processes can exchange."""

    def __init__(self) -> None:
        self._counts: dict[tuple[bytes, bool], Counter[int]] = {}

    def watch(self, network: Network) -> None:
        """Count the instructions of a network's transactions and calls from now on."""
        machine = network.machine
        if not isinstance(machine.tracer, _MessageTracer):
            machine.tracer = _MessageTracer(lambda: machine.is_quiet, self._add)

    def rows(self) -> list[Row]:
        """Return the counts so far."""
        return [(code, creates, dict(counts)) for (code, creates), counts in self._counts.items()]

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Add the counts of another process."""
        for code, creates, counts in rows:
            self._counts.setdefault((code, creates), Counter()).update(counts)

    def collect(self, known: KnownCode) -> SuiteCoverage:
        """Return the counts by contract, without unknown code."""
        visits: dict[Code, Counter[int]] = {}
        for (code, creates), counts in self._counts.items():
            contract = known.find(code, creates)
            if contract is not None:
                visits.setdefault((contract.artifact.file, contract.name, creates), Counter()).update(counts)
        return SuiteCoverage(visits=visits)

    def _add(self, found: dict[tuple[bytes, bool], list[int]]) -> None:
        for key, visits in found.items():
            counts = self._counts.setdefault(key, Counter())
            for counter, count in enumerate(visits):
                if count:
                    counts[counter] += count


class _MessageTracer(Tracer):
    """A tracer that reports the counts of each message when it ends.

    A gas estimate is only counted if it fails, because a successful one is followed by the transaction. After its first
    success, an estimate executes the message again with less gas; these attempts are not counted either.
    """

    detail, takes_record = Detail.COUNTERS, True

    def __init__(
        self, is_estimate: Callable[[], bool], add: Callable[[dict[tuple[bytes, bool], list[int]]], None]
    ) -> None:
        self._is_estimate, self._add = is_estimate, add
        self._visits = VisitTracer(sys.maxsize)
        self._message: MessageStarted | None = None
        self._estimated: MessageStarted | None = None
        """The message of the last successful estimate."""

    def event(self, event: TraceEvent, /) -> None:
        """Track the current message and the code that it executes."""
        match event:
            case MessageStarted():
                self._visits, self._message = VisitTracer(sys.maxsize), event
            case MessageEnded():
                if not self._is_estimate():
                    self._estimated = None
                elif event.exit_code == ExitCode.OK:
                    self._estimated = self._message
                    return
                elif self._message == self._estimated:
                    return
                self._add(self._visits.found)
            case _:
                self._visits.event(event)

    def visit(self, counter: int, /) -> None:
        """Count an instruction."""
        self._visits.visit(counter)

    def visit_all(self, counters: array[int], /) -> None:
        """Count instructions."""
        self._visits.visit_all(counters)


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
