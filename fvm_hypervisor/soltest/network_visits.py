"""Execution counts of the instructions on networks, for coverage in pytest (`pytest_plugin`)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fvm_hypervisor.soltest.collected import Code, SuiteCoverage
from fvm_hypervisor.soltest.report.collecting import VisitTracer
from fvm_hypervisor.soltest.trace.known_code import KnownCode
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import MessageEnded, MessageStarted, RuntimeEvent, TraceEvent

if TYPE_CHECKING:
    from localnet.network import Network

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


class _MessageTracer:
    """A `CounterTracer` that reports the counts of each message when it ends.

    A gas estimate is only counted if it fails, because a successful one is followed by the transaction. After its first
    success, an estimate executes the message again with less gas; these attempts are not counted either.
    """

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

    def step(self, event: RuntimeEvent, /) -> None:
        """Count the instruction of a full step."""
        self._visits.step(event)
