"""One controlled execution of a message, on its own thread, which waits at each stop of its plan.

Either the executing thread or the inspecting thread runs, never both. So the inspected state does not change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from fvm_hypervisor.debugger.listener import Abandoned, Plan, StepListener, StopSite
from fvm_hypervisor.debugger.positions import MarkRecord
from hypervisor.errors import HypervisorError
from hypervisor.threads import large_stacks
from hypervisor.tracing import Tracer
from store.blockstore import StoreError


@dataclass(frozen=True, slots=True)
class Stop:
    """An execution that waits at a site, with the reason."""

    site: StopSite
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """A finished execution. `problem` is the reason if it could not continue."""

    exit_code: int | None
    gas_used: int
    problem: str = ""

    @property
    def text(self) -> str:
        """Return the outcome as text."""
        from hypervisor.exit_codes import exit_meaning

        if self.problem:
            return f"the message could not be executed to its end: {self.problem}"
        if self.exit_code is None:
            return "the message was not executed: it is not valid in this state"
        return f"the message has ended: exit {exit_meaning(self.exit_code)}, gas {self.gas_used:,}"


class DebuggedRun:
    """Runs `work` with a listener. The inspecting thread calls `resume` and `abandon`."""

    def __init__(self, work: Callable[[Tracer], None], plan: Plan, rate: int, record: MarkRecord | None = None) -> None:
        """Create the run.

        `rate` is milligas per engine gas; `record` holds the marks of earlier runs of the same message.
        """
        self.listener = StepListener(plan, self._wait, rate, record)
        self._work = work
        self._stops: SimpleQueue[Stop | End | BaseException] = SimpleQueue()
        self._plans: SimpleQueue[Plan | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="debugged message", daemon=True)

    def start(self) -> Stop | End:
        """Start, and run to the first stop."""
        with large_stacks():
            self._thread.start()
        return self._next()

    def resume(self, plan: Plan) -> Stop | End:
        """Continue from a stop to the next one."""
        self._plans.put(plan)
        return self._next()

    def interrupt(self, *, wanted: bool = True) -> None:
        """Request a stop at the next position, or cancel the request. May be called on any thread."""
        self.listener.interrupted = wanted

    def abandon(self) -> None:
        """End the execution, and wait for its thread."""
        self.listener.abandoned = True
        self._plans.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _next(self) -> Stop | End:
        while True:
            try:
                found = self._stops.get()
                break
            except KeyboardInterrupt:
                self.interrupt()
        if isinstance(found, BaseException):
            raise found
        return found

    # --- on the thread that executes --------------------------------------------------------------------------

    def _wait(self, site: StopSite, reason: str) -> Plan:
        self.listener.interrupted = False
        self._stops.put(Stop(site, reason))
        plan = self._plans.get()
        if plan is None or self.listener.abandoned:
            raise Abandoned("the execution was abandoned")
        return plan

    def _run(self) -> None:
        try:
            self._work(self.listener)
        except Abandoned:
            self._stops.put(End(None, 0, "the execution was abandoned"))
        except (HypervisorError, StoreError) as error:
            self._stops.put(End(None, 0, str(error)))
        except BaseException as defect:  # noqa: BLE001  # raised again by `resume`
            self._stops.put(defect)
        else:
            ended = self.listener.ended
            self._stops.put(End(None, 0) if ended is None else End(ended.exit_code, ended.gas_used))
