"""A tracer that tracks the open calls of an execution and lets a plan decide at each position whether to stop.

A position is an instruction of a contract or a mark: the start or end of a call, or a syscall. A plan selects the
instructions that it checks in each frame; all others run at the engine's full speed. At a stop, `wait` is called,
which returns the next plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.evm_steps import EvmFault, EvmFrame, EvmStep
from fvm_hypervisor.debugger.positions import NOTHING, ExecutionMark, MarkKind, MarkRecord, Position, RunningCall
from hypervisor.errors import HypervisorError
from hypervisor.tracing import (
    CallEnded,
    CallNode,
    CallStarted,
    DebugLog,
    Dispatched,
    EventEmitted,
    GasCharged,
    MessageEnded,
    RuntimeEvent,
    SyscallEntered,
    SyscallLeft,
    TraceEvent,
)

NEVER: Final = 1 << 60
"""An instruction number that no frame reaches."""
EXIT_SYSCALL: Final = "vm::exit"
PAUSED: Final = "paused"
"""Reason of a stop requested by the user while the message ran."""
_MAX_LOGS: Final = 1_000


class Abandoned(HypervisorError):
    """Raised to end an abandoned execution. Nothing between the tracer and the end of the message handles it."""


@dataclass(slots=True)
class OpenCall:
    """A call that is running or ending. Charges in `node` are in milligas."""

    number: int
    node: CallNode
    used_before: int
    """Milligas used by the message before this call."""
    evm: EvmFrame | None = None
    started: int = 0
    """Number of instructions known to have started."""
    counter: int = -1
    """Program counter of the latest known instruction."""
    previous_counter: int = -1
    """Program counter of the previous instruction, if known."""
    read_step: Callable[[], EvmStep] | None = None
    """Returns the instruction that is about to run."""
    fault: str = ""
    syscall: SyscallEntered | None = None
    """Syscall that is being executed."""
    result: SyscallLeft | None = None
    """Result of the last completed syscall."""
    returned: SyscallEntered | None = None
    """Last completed syscall, with its arguments."""
    exited: bool = False
    """True if the actor has called `vm::exit`."""
    next_reported: int = 1
    """Number of the next instruction to pass to the plan, for engines that report every instruction."""


@dataclass(frozen=True, slots=True)
class StopSite:
    """A position where an execution can stop."""

    position: Position
    call: OpenCall
    mark: MarkKind | None = None
    """Kind of the mark; None before an instruction."""
    counter: int = 0


class Plan(Protocol):
    """A plan that decides where to stop next."""

    @property
    def first_mark(self) -> int:
        """Number of the first mark from which the plan checks syscalls."""

    @property
    def counts_gas(self) -> bool:
        """Return True if the plan needs the gas used at the previous position."""

    def stop(self, listener: StepListener, site: StopSite) -> str | None:
        """Return the reason to stop here, or None to continue."""

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        """Return the number of the next instruction of a frame to report, after instruction `number`."""


class StepListener:
    """A tracer of one execution. `wait` is called on the executing thread."""

    def __init__(
        self, plan: Plan, wait: Callable[[StopSite, str], Plan], rate: int, record: MarkRecord | None = None
    ) -> None:
        """Create the tracer. `rate` is milligas per engine gas; `record` holds earlier marks and is extended."""
        self.plan = plan
        self._rate = rate
        self.record = record or MarkRecord()
        self.marks = 0
        """Number of the latest mark."""
        self._calls_begun = 0
        self.calls: list[OpenCall] = []
        self.used = 0
        """Milligas charged so far."""
        self.used_before = 0
        """Milligas used by the message at the previous position."""
        self.limit = 0
        """Milligas used by the message at which its first call runs out of gas."""
        self.logs: list[DebugLog] = []
        self.ended: MessageEnded | None = None
        self.interrupted = False
        """True if another thread requested a stop at the next position."""
        self.abandoned = False
        """True if another thread requested the end of the execution."""
        self._wait = wait

    # --- the tracer -------------------------------------------------------------------------------------------

    def event(self, event: TraceEvent, /) -> None:
        """Handle an event. Raises Abandoned."""
        if self.abandoned:
            if isinstance(event, CallEnded):  # calls also end when the execution is abandoned
                return
            raise Abandoned("the execution was abandoned")
        if type(event) is GasCharged:  # the most frequent event
            self._charge(event)
            return
        match event:
            case SyscallEntered() if self.calls:
                call = self.calls[-1]
                call.syscall, call.result = event, None
                call.exited = event.name == EXIT_SYSCALL
                self._mark(MarkKind.SYSCALL, call)
            case SyscallLeft() if self.calls:
                call = self.calls[-1]
                call.returned, call.result, call.syscall = call.syscall, event, None
            case CallStarted():
                self._start(event)
            case CallEnded() if self.calls:
                self._end(event)
            case Dispatched() if self.calls:
                node = self.calls[-1].node
                node.actor, node.code, node.runtime, node.delegated = (
                    event.actor, event.code, event.runtime, event.delegated,
                )  # fmt: skip
            case EvmFrame() if self.calls:
                self.calls[-1].evm = event
            case EventEmitted() if self.calls:
                self.calls[-1].node.events.append(event)
            case DebugLog():
                self.logs.append(event)
                del self.logs[:-_MAX_LOGS]
            case MessageEnded():
                self.ended = event
            case _:
                pass

    def step(self, event: RuntimeEvent, /) -> None:
        """Handle a fault, or an instruction of an engine that reports every instruction."""
        if not self.calls or self.abandoned:
            return
        call = self.calls[-1]
        match event:
            case EvmFault():
                call.fault = event.reason
            case EvmStep():
                number = call.started + 1
                if number < call.next_reported:
                    call.started = number
                else:
                    call.next_reported = number + 1 + self.pause(number, event.pc, lambda: event)
            case _:
                pass

    def pause(self, number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Handle an instruction and return the number of following instructions to skip. Raises Abandoned."""
        call = self.calls[-1]
        call.started, call.previous_counter, call.counter = number, call.counter, counter
        call.read_step = _cached_step(read_step)
        self._consult_plan(StopSite(Position(self.marks, number, call.number), call, None, counter))
        call.read_step = None
        return max(0, self.plan.next_instruction(self, call, number) - number - 1)

    def frame_stopped(self, number: int, counter: int, /) -> None:
        """Record a frame's position when it ends or waits."""
        if self.calls:
            self.calls[-1].started, self.calls[-1].counter = number, counter

    # --- calls ------------------------------------------------------------------------------------------------

    def _charge(self, event: GasCharged) -> None:
        self.used += event.milligas
        if self.calls:
            charges = self.calls[-1].node.charges
            charges[event.name] = charges.pop(event.name, 0) + event.milligas

    def _start(self, event: CallStarted) -> None:
        if not self.calls:
            self.limit = self.used + event.gas_available
        parent = self.calls[-1] if self.calls else None
        call = OpenCall(self._calls_begun, CallNode(event), self.used)
        self._calls_begun += 1
        if parent is not None:
            parent.node.calls.append(call.node)
        self.calls.append(call)
        self.marks += 1
        if self.marks > len(self.record.marks):
            before = NOTHING if parent is None else RunningCall(parent.number, parent.started)
            mark = ExecutionMark(MarkKind.CALL, call.number, before, RunningCall(call.number))
            self.record.add(mark, -1 if parent is None else parent.number)
        self._consult_plan_at_mark(MarkKind.CALL, call)

    def _end(self, event: CallEnded) -> None:
        call = self.calls[-1]
        call.node.end, call.syscall = event, None
        outer = self.calls[-2] if len(self.calls) > 1 else None
        self.marks += 1
        if self.marks > len(self.record.marks):
            after = NOTHING if outer is None else RunningCall(outer.number, outer.started)
            self.record.add(ExecutionMark(MarkKind.RETURN, call.number, RunningCall(call.number, call.started), after))
        try:
            self._consult_plan_at_mark(MarkKind.RETURN, call)
        finally:
            self.calls.pop()
            if outer is not None:
                outer.next_reported = outer.started + 1

    def _mark(self, kind: MarkKind, call: OpenCall) -> None:
        self.marks += 1
        if self.marks > len(self.record.marks):
            here = RunningCall(call.number, call.started)
            self.record.add(ExecutionMark(kind, call.number, here, here))
        if self.marks >= self.plan.first_mark or self.interrupted:
            self._consult_plan_at_mark(kind, call)

    def _consult_plan_at_mark(self, kind: MarkKind, call: OpenCall) -> None:
        self._consult_plan(StopSite(Position(self.marks, 0, call.number), call, kind))

    def used_at(self, site: StopSite) -> int:
        """Return the milligas used by the message at a position, including unsettled gas of the contract's frame."""
        call = site.call
        if site.mark is not None or call.read_step is None:
            return self.used
        available = call.node.start.gas_available - (self.used - call.used_before)
        return self.used + max(0, available // self._rate - call.read_step().gas) * self._rate

    def _consult_plan(self, site: StopSite) -> None:
        if self.abandoned:
            raise Abandoned("the execution was abandoned")
        reason = PAUSED if self.interrupted else self.plan.stop(self, site)
        if reason is not None:
            self.plan = self._wait(site, reason)
        if self.plan.counts_gas:
            self.used_before = max(self.used_before, self.used_at(site))


def _cached_step(read_step: Callable[[], RuntimeEvent]) -> Callable[[], EvmStep]:
    """Cache the data of an instruction on first use, since the next instruction overwrites it."""
    known: list[EvmStep] = []

    def cached() -> EvmStep:
        if not known:
            step = read_step()
            assert isinstance(step, EvmStep), "`read_step` returned an event that is not an EvmStep"
            known.append(step)
        return known[0]

    return cached
