"""What listens in a worker while tests run, for reports over all of them; what comes of it goes to the parent.

What `setUp` did counts for each test, as if each had run it: each begins with it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from bridge.evm_steps import EvmFrame, EvmStep
from fvm_hypervisor.soltest.collected import Code, GasUse, Place, SuiteCoverage
from fvm_hypervisor.soltest.frames import CallFrame, FrameTracer
from fvm_hypervisor.soltest.known_code import KnownCode
from fvm_hypervisor.soltest.stack_trace import function_name
from fvm_hypervisor.soltest.trace_text import Names
from hypervisor.tracing import CallEnded, CallStarted, RuntimeEvent, TraceEvent, Tracer
from localnet.calls.time_limit import OutOfTime

MOST_COUNTED: Final = 10_000_000
"""Instructions of one call that are counted for coverage: half a minute's, and no end is the usual reason for more."""


class GasTracer(FrameTracer):
    """Keeps the gas of what a test contract calls itself, and of each actor that anybody calls."""

    def __init__(self, rules: str, names: Names) -> None:
        super().__init__(rules)
        self.found: dict[Place, GasUse] = {}
        self._names = names

    def _end(self, event: CallEnded) -> None:
        frame = self._open[-1]
        super()._end(event)
        outer = [above for above in self._open if not above.creates_others]
        by_test = outer == self._open[:1] and bool(outer)
        if not frame.creates_others and not frame.is_unpaid and (frame.is_actors or (by_test and not frame.is_native)):
            self._note(frame)
        frame.items.clear()
        if not self._open:
            self.roots.clear()

    def _note(self, frame: CallFrame) -> None:
        if frame.is_native:
            method = self._names.method(frame)
            use = self.found.setdefault(("", self._names.actor(frame)), GasUse())
            use.functions.setdefault(method, []).append(frame.gas_used)
            return
        contract = self._names.known.of(frame)
        if contract is None or frame.is_delegated:
            return
        use = self.found.setdefault((contract.artifact.file, contract.name), GasUse())
        if frame.creates:
            use.deployments.append((frame.gas_used, len(frame.code)))
        else:
            use.functions.setdefault(function_name(frame, contract), []).append(frame.gas_used)


class VisitTracer:
    """A `PlaceTracer` that counts the instructions of every code; of one call no more than `MOST_COUNTED`."""

    def __init__(self) -> None:
        self._left = MOST_COUNTED
        self.found: dict[tuple[bytes, bool], list[int]] = {}
        self._open: list[tuple[bool, list[int]]] = []
        self._here: list[int] = []

    def event(self, event: TraceEvent, /) -> None:
        """Keep track of the code whose instructions come."""
        match event:
            case CallStarted():
                if not self._open:
                    self._left = MOST_COUNTED
                self._open.append((event.method == 1, []))
                self._here = []
            case EvmFrame() if self._open:
                creates, _ = self._open[-1]
                visits = self.found.get((event.code, creates))
                if visits is None:
                    visits = self.found[event.code, creates] = [0] * (len(event.code) + 1)
                self._open[-1], self._here = (creates, visits), visits
            case CallEnded() if self._open:
                self._open.pop()
                self._here = self._open[-1][1] if self._open else []
            case _:
                pass

    def place(self, counter: int, /) -> None:
        """Count an instruction. Raises OutOfTime."""
        self._here[counter] += 1
        self._left -= 1
        if self._left < 0:
            self._open.clear()
            raise OutOfTime(f"after {MOST_COUNTED} instructions")

    def step(self, event: RuntimeEvent, /) -> None:
        """The same by a whole step."""
        if isinstance(event, EvmStep) and event.pc < len(self._here):
            self._here[event.pc] += 1


class CoverageCollector:
    """What a suite's tests do, for reports: `set_up_tracer` once, `test_tracer` for each test, then `collected`."""

    def __init__(self, names: Names, rules: str, *, gas: bool) -> None:
        self._names, self._rules, self._gas = names, rules, gas
        self._tests = 0
        self._cut: list[str] = []
        self._set_up = self._new()
        self._test = self._new()

    def _new(self) -> GasTracer | VisitTracer:
        return GasTracer(self._rules, self._names) if self._gas else VisitTracer()

    def set_up_tracer(self) -> Tracer:
        """Who listens to the constructor and `setUp`."""
        self._tests, self._cut, self._set_up, self._test = 0, [], self._new(), self._new()
        return self._set_up

    def test_tracer(self) -> Tracer:
        """Who listens to a test, with all its runs."""
        self._tests += 1
        return self._test

    def cut_short(self, name: str) -> None:
        """What is run to its end without a listener; what it did before is counted."""
        self._cut.append(name)

    def collected(self) -> SuiteCoverage:
        """Of the suite."""
        whole = _plain(self._test, self._names.known)
        whole.cut += self._cut
        whole.add(_plain(self._set_up, self._names.known), self._tests)
        return whole


def _plain(tracer: GasTracer | VisitTracer, known: KnownCode) -> SuiteCoverage:
    if isinstance(tracer, GasTracer):
        return SuiteCoverage(gas=tracer.found)
    visits: dict[Code, Counter[int]] = {}
    for (code, creates), counts in tracer.found.items():
        contract = known.find(code, creates)
        if contract is not None:
            counted = visits.setdefault((contract.artifact.file, contract.name, creates), Counter())
            counted.update({counter: count for counter, count in enumerate(counts) if count})
    return SuiteCoverage(visits=visits)
