"""A debugging session of one message. Stepping back executes the message again, up to a known position.

An execution runs at full speed up to the requested position, so steps back are fast in long messages too. A plan
stops it at a known position, at the end of a step, or at a breakpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bridge.evm_steps import EvmStep
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.machine.profile import profile_actors
from hypervisor.machine.registry import NATIVE
from hypervisor_tools.debugger.breakpoints import Breakpoints, CallNames, Line, SourceLines
from hypervisor_tools.debugger.execution import (
    NEVER,
    PAUSED,
    Abandoned,
    DebuggedRun,
    End,
    MarkKind,
    MarkRecord,
    OpenCall,
    Plan,
    Position,
    StepListener,
    Stop,
    StopSite,
)
from hypervisor_tools.debugger.subjects import Subject


@dataclass(slots=True)
class RunTo:
    """Stops at a position that an earlier execution reached."""

    target: Position
    reason: str = "here"
    counts_gas: bool = False

    @property
    def first_mark(self) -> int:
        return self.target.mark

    def stop(self, listener: StepListener, site: StopSite) -> str | None:  # see `Plan`
        """Stop at the target, or at the first position after it."""
        target = self.target
        if target.number == 0:
            return self.reason if site.mark is not None and site.position.mark >= target.mark else None
        is_there = site.mark is None and site.call.number == target.call and site.position.number >= target.number
        return self.reason if is_there else None

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        is_before = call.number == self.target.call and number < self.target.number
        return self.target.number if is_before else NEVER


@dataclass(slots=True)
class RecordCounters:
    """Records the program counters of a call's instructions `first` to `last`, and stops at `last`."""

    call: int
    first: int
    last: int
    counters: list[int]
    counts_gas: bool = False
    first_mark: int = NEVER

    def stop(self, listener: StepListener, site: StopSite) -> str | None:
        number = site.position.number
        if site.mark is None and site.call.number == self.call and self.first <= number <= self.last:
            self.counters.append(site.counter)
            return "here" if number == self.last else None
        return None

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        return max(number + 1, self.first) if call.number == self.call and number < self.last else NEVER


class Step(Protocol):
    """A condition that ends a step."""

    def ends(self, site: StopSite, line: Line | None, previous: Line | None) -> bool:
        """Return True if the step ends at this site.

        `line` is the current source line (None if unknown); `previous` is the frame's previous source line.
        """

    def watches(self, call: OpenCall) -> bool:
        """Return True if the step may end at any instruction of the frame."""


class RunForward:
    """Runs until a breakpoint matches or a step ends."""

    def __init__(
        self, breakpoints: Breakpoints, sources: SourceLines, step: Step | None, started: StopSite | None
    ) -> None:
        """Create the plan; `started` is the site from which execution continues."""
        self.first_mark = 0
        self.counts_gas = any(each.kind == "gas" for each in breakpoints.all)
        self._breakpoints, self._sources, self._step = breakpoints, sources, step
        self._lines: dict[int, Line | None] = {}
        if started is not None and started.mark is None:
            self._lines[started.call.number] = self._line(started.call, started.counter)

    def stop(self, listener: StepListener, site: StopSite) -> str | None:
        call = site.call
        line = self._line(call, site.counter) if site.mark is None else None
        previous = self.previous_line(call)
        hit = self._breakpoints.hit(listener, site, self.previous_line)
        ends = self._step is not None and self._step.ends(site, line, previous)
        if line is not None:
            self._lines[call.number] = line
        if hit is not None:
            return f"breakpoint {hit.number}: {hit}"
        return "step" if ends else None

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        """Return the next instruction if the step or a breakpoint must see each instruction, else NEVER."""
        watched = self._step is not None and self._step.watches(call)
        return number + 1 if watched or self._breakpoints.wants_instructions(listener, call) else NEVER

    def previous_line(self, call: OpenCall) -> Line | None:
        if call.number not in self._lines:
            self._lines[call.number] = self._line(call, call.previous_counter) if call.previous_counter >= 0 else None
        return self._lines[call.number]

    def _line(self, call: OpenCall, counter: int) -> Line | None:
        return self._sources.of(call).line(counter)


@dataclass(slots=True)
class StepInto:
    """Step into: stops at the next source line, syscall, or start or end of any call.

    Stops at every instruction if the code has no source lines.
    """

    has_lines: Callable[[OpenCall], bool]
    by_instruction: bool = False

    def ends(self, site: StopSite, line: Line | None, previous: Line | None) -> bool:
        """End the step at every mark and at a new line."""
        if site.mark is not None or self.by_instruction or not self.has_lines(site.call):
            return True
        return line is not None and line != previous

    def watches(self, call: OpenCall) -> bool:  # see `Step`
        return True


class StepOver:
    """Step over: stops at the next line, syscall or end of the same call.

    Does not stop in internal functions or nested calls.
    """

    def __init__(
        self, call: int, sources: SourceLines, line: Line | None, *, by_instruction: bool = False, out: bool = False
    ) -> None:
        """Create the step from source line `line` (None if unknown).

        With `out`, step out of the current function or call.
        """
        self._call, self._sources, self._line = call, sources, line
        self._by_instruction, self._out = by_instruction, out
        self._depth = 0

    def ends(self, site: StopSite, line: Line | None, previous: Line | None) -> bool:  # see `Step`
        """End the step in the same call, in the function where it started or in one of its callers."""
        call = site.call
        if call.number != self._call:
            return False
        if site.mark is not None:
            return site.mark is MarkKind.RETURN or (site.mark is MarkKind.SYSCALL and not self._out)
        lines = self._sources.of(call)
        if self._by_instruction or not lines.places:
            return not self._out
        self._depth += lines.enters(call.previous_counter)
        if line is None or self._depth > 0:
            return False
        return self._depth < 0 or (line != self._line and not self._out)

    def watches(self, call: OpenCall) -> bool:
        """Return True for the step's own call."""
        return call.number == self._call and (not self._out or bool(self._sources.of(call).places))


class RecordHits:
    """Records the positions at which `forward` would stop, and stops at `end`."""

    def __init__(self, forward: RunForward, end: Position | None) -> None:
        """Create the plan; without `end` it runs to the end of the message."""
        self.first_mark = 0
        self.found: list[tuple[Position, str]] = []
        self.counts_gas = forward.counts_gas
        self._forward, self._end = forward, end

    def stop(self, listener: StepListener, site: StopSite) -> str | None:
        """Stop at `end`; before it, record each position at which `forward` would stop."""
        if self._end is not None and site.position >= self._end:
            return "here"
        reason = self._forward.stop(listener, site)
        if reason is not None:
            self.found.append((site.position, reason))
        return None

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        """Return the next instruction that `forward` wants, or that of `end` if it comes first."""
        wanted = self._forward.next_instruction(listener, call, number)
        if self._end is not None and call.number == self._end.call and number < self._end.number:
            return min(wanted, self._end.number)
        return wanted


class RecordWrites:
    """Records storage writes (SSTORE) up to `end`, and stops there. Drops the writes of calls that failed."""

    def __init__(self, end: Position) -> None:
        self.first_mark, self.counts_gas = end.mark, False
        self._end = RunTo(end)
        self._writes: list[tuple[int, int | None, int, int]] = []

    def stop(self, listener: StepListener, site: StopSite) -> str | None:
        """Stop at `end`; before it, record storage writes and drop those of failed calls."""
        call = site.call
        if self._end.stop(listener, site) is not None:
            return "here"
        if site.mark is None and call.evm is not None and call.read_step is not None:
            if call.evm.code[site.counter : site.counter + 1] == b"\x55":
                stack = call.read_step().stack
                self._writes.append((call.number, call.node.actor, stack[-1], stack[-2]))
        elif site.mark is MarkKind.RETURN and not call.node.succeeded:
            self._writes = [write for write in self._writes if write[0] < call.number]
        return None

    def next_instruction(self, listener: StepListener, call: OpenCall, number: int) -> int:
        """Report every instruction, since any may write."""
        return number + 1

    def of(self, actor: int | None) -> dict[int, int]:
        """Return the values written to an actor's slots."""
        return {key: word for _, whose, key, word in self._writes if whose == actor}


_FIRST = Position(1)
_WINDOW, _MAX_WINDOW = 1 << 12, 1 << 18
"""Initial and maximum number of instructions recorded per execution while searching backwards for a line."""


class Interrupted(InvalidInput):
    """Raised when a command that executes the message again was paused before it found its result."""

    def __init__(self) -> None:
        super().__init__("interrupted before the command finished")


class Session:
    """The commands of the debugger. A command that is not possible at the current position raises InvalidInput."""

    def __init__(self, subject: Subject, sources: SourceLines | None = None) -> None:
        self.subject = subject
        self.sources = sources or SourceLines()
        self.names = CallNames(subject.machine, self.sources)
        self.breakpoints = Breakpoints(self.names, self.sources)
        self.state: Stop | End = End(None, 0)
        """Current position."""
        self.record = MarkRecord()
        """Marks of all executions; each execution extends them when it gets further than the ones before."""
        self._execution: DebuggedRun | None = None
        self._is_closed = False
        self._instructions: dict[tuple[int, int], EvmStep] = {}
        self._stepped_over: dict[Position, Position] = {}
        """Mapping from the end of a step over calls to its start, to step back without executing the calls' lines."""

    def start(self) -> Stop | End:
        """Start over, and stop at the call of the message."""
        return self._run_again(RunTo(_FIRST, "the message begins"))

    def step(self, *, by_instruction: bool = False) -> Stop | End:
        """Step to the next line, syscall, or call boundary, into nested calls."""
        return self._forward(StepInto(lambda call: bool(self.sources.of(call).places), by_instruction))

    def over(self, *, by_instruction: bool = False) -> Stop | End:
        """Step to the next line or syscall, skipping nested calls."""
        before = self.site.position
        state = self._forward(self._over(by_instruction=by_instruction))
        if isinstance(state, Stop) and state.reason == "step" and not by_instruction:
            self._stepped_over[state.site.position] = before
        return state

    def out(self) -> Stop | End:
        """Step to the end of the function or call."""
        return self._forward(self._over(out=True))

    def resume(self) -> Stop | End:
        """Continue to the next breakpoint, or to the end of the message."""
        return self._forward(None)

    def _over(self, *, by_instruction: bool = False, out: bool = False) -> StepOver:
        """Return a step that stays in the current call, or in the caller of a call that ends."""
        call, calls = self.site.call, self.listener.calls
        if call.node.end is not None and len(calls) > 1:
            call = calls[-2]
        line = self.sources.of(call).line(call.counter)
        return StepOver(call.number, self.sources, line, by_instruction=by_instruction, out=out)

    def _forward(self, step: Step | None) -> Stop | End:
        site = self.site
        return self._resume(RunForward(self.breakpoints, self.sources, step, site))

    def back(self, *, into: bool = False, by_instruction: bool = False) -> Stop | End:
        """Step back to the previous line or syscall; with `into`, also into calls."""
        with self._undo_move_on_pause():
            return self._step_back(into=into, by_instruction=by_instruction)
        return self.state

    def _step_back(self, *, into: bool, by_instruction: bool) -> Stop | End:
        if isinstance(self.state, End):
            return self._to_last_mark()
        position = self.site.position
        if not into and not by_instruction and position in self._stepped_over:
            return self.go_to(self._stepped_over[position])
        lines = self.sources.of(self.site.call)
        if position.number and lines.places and not by_instruction:
            return self._back_by_line(position)
        before = self.record.before(position) if into else self.record.over_before(position)
        if before is None:
            raise InvalidInput("cannot step back: this is the start of the message")
        return self._go_to_line_start(before, by_instruction=by_instruction)

    def reverse(self) -> Stop | End:
        """Continue backwards to the previous breakpoint, or to the start of the message."""
        with self._undo_move_on_pause():
            return self._reverse()
        return self.state

    def _reverse(self) -> Stop | End:
        end = self.site.position if isinstance(self.state, Stop) else None
        hits = RecordHits(RunForward(self.breakpoints, self.sources, None, None), end)
        counts = [point.hits for point in self.breakpoints.all]
        try:
            self._run_again(hits)
        finally:
            for point, count in zip(self.breakpoints.all, counts, strict=True):
                point.hits = count
        if not hits.found:
            return self.go_to(_FIRST, "the message begins")
        return self.go_to(*hits.found[-1])

    def go_to(self, position: Position, reason: str = "back") -> Stop | End:
        """Go to a position that an execution has reached."""
        plan = RunTo(position, reason)
        if self._execution is None or isinstance(self.state, End) or self.site.position > position:
            return self._run_again(plan)
        if self.site.position < position:
            return self._resume(plan)
        self.state = Stop(self.site, reason)
        return self.state

    def _to_last_mark(self) -> Stop | End:
        if not self.record.marks:
            raise InvalidInput("cannot step back: the message has no call")
        return self.go_to(self.record.of_mark(len(self.record.marks)))

    def _go_to_line_start(self, position: Position, *, by_instruction: bool) -> Stop | End:
        stopped = self.go_to(position)
        if by_instruction or isinstance(stopped, End) or not position.number:
            return stopped
        lines = self.sources.of(stopped.site.call)
        return self._back_by_line(position, is_within=True) if lines.places else stopped

    def _back_by_line(self, position: Position, *, is_within: bool = False) -> Stop | End:
        """Go to the start of the line; from there, to the previous line in the function or its callers.

        With `is_within`, `position` may be inside the target line.
        """
        call, number, depth = position.call, position.number, 0
        lines = self.sources.of(self.site.call)
        wanted = lines.line(self.site.counter)
        is_within = is_within and wanted is not None
        found = number if is_within else 0
        first, window, counters = number, _WINDOW, list[int]()
        while number > 1:
            number -= 1
            if number < first:
                first, window = max(1, first - window), min(4 * window, _MAX_WINDOW)
                counters = self._counters(call, first, number)
            counter = counters[number - first]
            depth -= lines.enters(counter)
            line = lines.line(counter)
            if line is None or (depth > 0 and wanted is not None):
                continue  # code without a line: the first line found is the previous one
            if line == wanted and depth == 0:
                found, is_within = number, True
            elif is_within:
                break
            else:
                wanted, found, is_within, depth = line, number, True, 0
        if found:
            return self.go_to(self.record.of_instruction(call, found, position.mark))
        return self.go_to(self.record.of_mark(self.record.begins[call]))

    def _counters(self, call: int, first: int, last: int) -> list[int]:
        plan = RecordCounters(call, first, last, [])
        self._run_again(plan)
        return plan.counters

    @property
    def site(self) -> StopSite:
        """Return the current stop site. Raises InvalidInput at the end of the message."""
        self.check_open()
        assert isinstance(self.state, Stop)
        return self.state.site

    def check_open(self) -> None:
        """Raise InvalidInput at the message's end."""
        if isinstance(self.state, End):
            raise InvalidInput(f"{self.state.text}: step back or restart")

    @property
    def listener(self) -> StepListener:
        if self._execution is None:
            raise InvalidInput("no execution is running: start the message first")
        return self._execution.listener

    def instruction(self, call: OpenCall) -> EvmStep | None:
        """Return the current instruction of a contract's frame; None for any other call.

        For a caller, this is the call instruction; the message is executed again to read it.
        """
        if call.evm is None or not call.started:
            return None
        if call.read_step is not None:
            return call.read_step()
        key = call.number, call.started
        if key not in self._instructions:
            with self._restore_position():
                self._run_again(RunTo(self.record.of_instruction(*key, self.site.position.mark)))
                caller = self.site.call
                if caller.read_step is None:
                    raise Fatal("re-execution did not reach an instruction that an earlier execution reached")
                self._instructions[key] = caller.read_step()
        return self._instructions[key]

    def written_words(self, call: OpenCall) -> dict[int, int]:
        """Return the storage words that the contract of a call has written so far in this message, by slot."""
        position, actor = self.site.position, call.node.actor
        plan = RecordWrites(position)
        with self._restore_position():
            self._run_again(plan)
            self._check_position(position)
        return plan.of(actor)

    def functions(self, call: OpenCall) -> list[str]:
        """Return the functions on a native actor's stack, innermost first, as names or, without names, numbers.

        The message is executed again with modules that record their call stack.
        """
        machine, position = self.subject.machine, self.site.position
        native = [one.number for one in self.listener.calls if one.node.runtime == NATIVE]
        if call.number not in native or call.node.end is not None:
            return []
        with self._restore_position():
            self.close()
            with profile_actors(machine) as recorder:
                try:
                    self._run_again(RunTo(position))
                    at = native.index(call.number)
                    read = recorder.open[at].functions if at < len(recorder.open) else None
                    found = [] if read is None else read()
                finally:
                    self.close()
        return found

    @contextmanager
    def _restore_position(self) -> Iterator[None]:
        """Restore the current position and stop reason after the block, even if a pause ends the block.

        A pause while the position is being restored leaves the message at the pause.
        """
        site, reason = self.site, self.state.reason if isinstance(self.state, Stop) else ""
        try:
            yield
        except Interrupted:
            self.go_to(site.position, reason)
            raise
        self.go_to(site.position, reason)

    @contextmanager
    def _undo_move_on_pause(self) -> Iterator[None]:
        """Undo a move backwards that a pause interrupts; a move that began at the message's end stays at the pause."""
        before = self.state
        try:
            yield
        except Interrupted:
            if isinstance(before, Stop):
                self.go_to(before.site.position, before.reason)
                raise

    def _run_again(self, plan: Plan) -> Stop | End:
        self._check()
        before = self._execution
        if before is not None:
            before.abandon()
        self._execution = DebuggedRun(self.subject.run, plan, self.subject.rate, self.record)
        if before is not None and before.listener.interrupted:  # interrupted between two executions of a command
            self._execution.interrupt()
        self._check()  # again: `abort` may have aborted only the previous execution
        self.state = self._execution.start()
        return self._check_arrival(plan)

    def _resume(self, plan: Plan) -> Stop | End:
        if self._execution is None or isinstance(self.state, End):
            raise InvalidInput("no execution is running: start the message first")
        self._check()
        self.state = self._execution.resume(plan)
        return self._check_arrival(plan)

    def _check_arrival(self, plan: Plan) -> Stop | End:
        self._check()
        target = plan.target if isinstance(plan, RunTo) else None
        if isinstance(self.state, Stop) and self.state.reason == PAUSED and not isinstance(plan, RunForward):
            if not isinstance(plan, RunTo) or self.state.site.position != plan.target:
                raise Interrupted
            self.state = Stop(self.state.site, plan.reason)  # paused exactly at the target
        if target is not None and target != _FIRST:
            self._check_position(target)
        return self.state

    def _check_position(self, position: Position) -> None:
        """Raise Fatal if re-execution did not reach `position`, which means that it is not deterministic."""
        if isinstance(self.state, End) or self.state.site.position != position:
            raise Fatal(f"re-execution did not reach position {position}: {self.state}")

    def interrupt(self) -> None:
        """Pause the execution at its next position. May be called on any thread."""
        if self._execution is not None:
            self._execution.interrupt()

    def forget_pause(self) -> None:
        """Cancel a pause whose command is already done. May be called on any thread."""
        if self._execution is not None:
            self._execution.interrupt(wanted=False)

    def abort(self) -> None:
        """Abort the execution, and start no further one. May be called on any thread."""
        self._is_closed = True
        execution = self._execution
        if execution is not None:
            execution.listener.abandoned = True

    def _check(self) -> None:
        if self._is_closed:
            raise Abandoned("the debugger is closed")

    def close(self) -> None:
        """End the execution, and wait for its thread."""
        if self._execution is not None:
            self._execution.abandon()
            self._execution = None
