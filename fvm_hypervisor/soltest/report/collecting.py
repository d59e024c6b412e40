"""Execution counts of instructions for the coverage report: counted in a worker, sent to the parent.

The counts of `setUp` are added once for each test, as if each test had run it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmFrame, EvmStep
from fvm_hypervisor.soltest.collected import Code, SuiteCoverage
from fvm_hypervisor.soltest.execution.discovery import TestFunction
from fvm_hypervisor.soltest.trace.known_code import KnownCode
from hypervisor.tracing import CallEnded, CallStarted, RuntimeEvent, TraceEvent
from localnet.calls.time_limit import OutOfTime

MAX_COUNTED: Final = 10_000_000
"""Maximum number of instructions counted in one call (about 30 seconds); longer calls are usually endless loops."""
_PAST_END: Final = 33
"""Program counters past a code's end: the implicit STOP follows the missing data of a PUSH32 at the latest."""


class VisitTracer:
    """A `CounterTracer` that counts executed instructions by code, up to `limit` in one call."""

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

    def step(self, event: RuntimeEvent, /) -> None:
        """Count the instruction of a full step."""
        if isinstance(event, EvmStep) and event.pc < len(self._here):
            self._here[event.pc] += 1


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
