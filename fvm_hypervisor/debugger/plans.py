"""Plans that stop an execution at a known position, at the end of a step, or at a breakpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fvm_hypervisor.debugger.breakpoints import Breakpoints
from fvm_hypervisor.debugger.listener import NEVER, OpenCall, StepListener, StopSite
from fvm_hypervisor.debugger.positions import MarkKind, Position
from fvm_hypervisor.debugger.sources import Line, SourceLines


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
