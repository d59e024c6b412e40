"""One controlled execution of a message, on its own thread, which waits at each stop of its plan.

A position is an instruction of a contract, or a mark: the start or the end of a call, or a syscall. Marks are numbered
from 1. Instructions are numbered from 1 in each contract frame; the numbering continues across marks. Both numbers are
identical whenever the message is executed again.

The tracer (`Listener`) tracks the open calls and lets a plan decide at each position whether to stop. A plan selects
the instructions that it checks in each frame; all others run at the engine's full speed. Either the executing thread or
the inspecting thread runs, never both. So the inspected state does not change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from queue import SimpleQueue
from typing import Final, Protocol

from bridge.evm_steps import EvmFault, EvmFrame, EvmStep, evm_frame
from hypervisor.errors import HypervisorError
from hypervisor.threads import large_stacks
from hypervisor.tracing import (
    CallEnded,
    CallNode,
    CallTrees,
    DebugLog,
    Detail,
    GasCharged,
    RuntimeEvent,
    SyscallEntered,
    SyscallLeft,
    TraceEvent,
    Tracer,
)
from store.blockstore import StoreError


class MarkKind(Enum):
    """Kind of event that a mark records."""

    CALL = "call"
    RETURN = "return"
    SYSCALL = "syscall"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position after mark `mark`, just before instruction `number` of the call's frame.

    With `number` 0, the mark itself.
    """

    mark: int
    number: int = 0
    call: int = field(default=0, compare=False)
    """Number of the running call; calls are numbered from 0 in the order in which they start."""


@dataclass(frozen=True, slots=True)
class RunningCall:
    """The running call and how many of its instructions have started.

    `call` is -1 before the first call and after the last.
    """

    call: int = -1
    started: int = 0


NOTHING: Final = RunningCall()


@dataclass(frozen=True, slots=True)
class ExecutionMark:
    """A mark, with the running call before and after it. At a RETURN mark, `call` is the call that ends."""

    kind: MarkKind
    call: int
    before: RunningCall
    after: RunningCall


class MarkRecord:
    """The marks of an execution so far."""

    def __init__(self) -> None:
        self.marks: list[ExecutionMark] = []
        self.parents: list[int] = []
        """The caller of each call; -1 for the first one."""
        self.begins: list[int] = []
        """Number of the mark at which each call starts."""

    def add(self, mark: ExecutionMark, parent: int = -1) -> None:
        self.marks.append(mark)
        if mark.kind is MarkKind.CALL:
            self.parents.append(parent)
            self.begins.append(len(self.marks))

    def at(self, mark: int) -> ExecutionMark:
        """Return the mark with a number, starting at 1."""
        return self.marks[mark - 1]

    def before(self, position: Position) -> Position | None:
        """Return the position one step before `position`, in any call; None at the first mark."""
        if position.number:
            after = self.at(position.mark).after
            if after.call != position.call or position.number - 1 > after.started:
                return Position(position.mark, position.number - 1, position.call)
            return self.of_mark(position.mark)
        if position.mark <= 1:
            return None
        running, previous = self.at(position.mark).before, self.at(position.mark - 1).after
        if running.started > (previous.started if previous.call == running.call else 0):
            return Position(position.mark - 1, running.started, running.call)
        return self.of_mark(position.mark - 1)

    def of_mark(self, mark: int) -> Position:
        return Position(mark, 0, self.at(mark).call)

    def over_before(self, position: Position) -> Position | None:
        """Return the reverse step-over target: the previous position in the same call.

        At the call's start, the position in its caller.
        """
        if position.number > 1:
            return self.of_instruction(position.call, position.number - 1, position.mark)
        if position.number == 1:
            return self.of_mark(self.begins[position.call])
        here = self.at(position.mark)
        if here.kind is MarkKind.CALL:
            return self.caller(position.call)
        if here.before.started:
            return self.of_instruction(position.call, here.before.started, position.mark - 1)
        return self._own_mark(position.call, position.mark)

    def _own_mark(self, call: int, before: int) -> Position:
        """Return the newest mark of a call before mark `before`: a syscall or the call's start."""
        marks = range(before - 1, self.begins[call] - 1, -1)
        return self.of_mark(next(mark for mark in marks if self.at(mark).call == call))

    def caller(self, call: int) -> Position | None:
        """Return the position of the instruction or syscall that made the call; None for the message itself."""
        start = self.begins[call]
        made = self.at(start).before
        if made.call < 0:
            return None
        if made.started:
            return self.of_instruction(made.call, made.started, start - 1)
        return self._own_mark(made.call, start)

    def of_instruction(self, call: int, number: int, latest: int) -> Position:
        """Return the position of a call's instruction. Searches its mark backwards from mark `latest`."""
        for mark in range(latest, self.begins[call], -1):
            after = self.at(mark).after
            if after.call == call and after.started < number:
                return Position(mark, number, call)
        return Position(self.begins[call], number, call)


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
    """The state of a recorded call that is running or ending."""

    node: CallNode
    used_before: int
    """Milligas used by the message before this call."""
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

    @property
    def number(self) -> int:
        return self.node.number

    @property
    def evm(self) -> EvmFrame | None:
        return evm_frame(self.node)


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


class StepListener(CallTrees):
    """A tracer of one execution, which records its calls. `wait` is called on the executing thread."""

    detail = Detail.PAUSES

    def __init__(
        self, plan: Plan, wait: Callable[[StopSite, str], Plan], rate: int, record: MarkRecord | None = None
    ) -> None:
        """Create the tracer. `rate` is milligas per engine gas; `record` holds earlier marks and is extended."""
        super().__init__()
        self.takes_record = False
        self.plan = plan
        self._rate = rate
        self.record = record or MarkRecord()
        self.marks = 0
        """Number of the latest mark."""
        self.calls: list[OpenCall] = []
        self.used = 0
        """Milligas charged so far."""
        self.used_before = 0
        """Milligas used by the message at the previous position."""
        self.limit = 0
        """Milligas used by the message at which its first call runs out of gas."""
        self.logs: list[DebugLog] = []
        self.interrupted = False
        """True if another thread requested a stop at the next position."""
        self.abandoned = False
        """True if another thread requested the end of the execution."""
        self._wait = wait

    def event(self, event: TraceEvent, /) -> None:
        """Handle an event. Raises Abandoned."""
        if self.abandoned:
            if isinstance(event, CallEnded):  # calls also end when the execution is abandoned
                return
            raise Abandoned("the execution was abandoned")
        match event:
            case GasCharged():
                self.used += event.milligas
                super().event(event)
            case SyscallEntered() if self.calls:
                call = self.calls[-1]
                call.syscall, call.result = event, None
                call.exited = event.name == EXIT_SYSCALL
                self._mark(MarkKind.SYSCALL, call)
            case SyscallLeft() if self.calls:
                call = self.calls[-1]
                call.returned, call.result, call.syscall = call.syscall, event, None
            case DebugLog():
                self.logs.append(event)
                del self.logs[:-_MAX_LOGS]
            case _:
                super().event(event)

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
                    call.started, call.counter = number, event.pc
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

    def _begin(self, node: CallNode) -> None:
        super()._begin(node)
        if not self.calls:
            self.limit = self.used + node.start.gas_available
        parent = self.calls[-1] if self.calls else None
        call = OpenCall(node, self.used)
        self.calls.append(call)
        self.marks += 1
        if self.marks > len(self.record.marks):
            before = NOTHING if parent is None else RunningCall(parent.number, parent.started)
            mark = ExecutionMark(MarkKind.CALL, call.number, before, RunningCall(call.number))
            self.record.add(mark, -1 if parent is None else parent.number)
        self._consult_plan_at_mark(MarkKind.CALL, call)

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        call = self.calls[-1]
        call.syscall = None
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
            self._stops.put(End(ended[-1].exit_code, ended[-1].gas_used) if ended else End(None, 0))
