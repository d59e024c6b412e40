"""Localization of an endless loop: a test is traced for a limited number of instructions, then stopped."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, CallNode, TraceEvent
from hypervisor_tools.soltest.trace.frames import CounterFrameTracer, creates_others, is_native
from localnet.calls.time_limit import OutOfTime, TimeLimit

MAX_TRACED: Final = 400_000
"""Maximum number of traced instructions; several seconds in the plain engine."""
MAX_TRACED_SECONDS: Final = 10.0
"""Maximum time in seconds, including what runs before and native actors."""
_CLOCK: Final = 4096
"""Number of instructions between two checks of the time."""


class LoopTracer(CounterFrameTracer):
    """Stops execution (OutOfTime) after MAX_TRACED instructions; `cut` are the calls that were open.

    If `within`, the number of a frame, is set, only instructions of that frame and its callees count, and `cut` stays
    empty if the frame was not reached.
    """

    def __init__(self, rules: str, within: int | None = None, seconds: float = MAX_TRACED_SECONDS) -> None:
        super().__init__(rules)
        self._watching = TimeLimit(min(seconds, MAX_TRACED_SECONDS))
        self.cut: tuple[CallNode, ...] = ()
        self._within = within
        self._inside = within is None
        self._watched = self._seen = 0

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the frames. Raises OutOfTime."""
        super().event(event)
        if not isinstance(event, CallEnded):  # a call that ends is already unwinding
            self._check_deadline()

    def visit(self, counter: int, /) -> None:
        """Record the program counter in the innermost frame. Raises OutOfTime."""
        self._note(counter)
        self._count()

    def visit_all(self, counters: array[int], /) -> None:
        """Record program counters in the innermost frame. Raises OutOfTime."""
        for counter in counters:
            self.visit(counter)

    def _begin(self, frame: CallNode) -> None:
        super()._begin(frame)
        self._inside = self._inside or frame.number == self._within

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        if self._within is not None:
            self._inside = any(frame.number == self._within for frame in self._open)

    def _count(self) -> None:
        self._seen += 1
        self._watched += self._inside
        if self._watched > MAX_TRACED:
            self._stop()
        if self._seen % _CLOCK == 0:
            self._check_deadline()

    def _check_deadline(self) -> None:
        if self._watching.is_over:
            self._stop()

    def _stop(self) -> None:
        if self._inside and not self.cut:
            self.cut = tuple(frame for frame in self._open if not creates_others(frame))
        raise OutOfTime(f"after {self._watched} instructions")


def out_of_gas_frame(path: Sequence[CallNode]) -> CallNode | None:
    """Return the innermost frame on a failure's path if it is an untraced contract that ran out of gas, else None."""
    last = path[-1] if path else None
    if last is None or last.end is None or is_native(last) or last.counters:
        return None
    return last if last.end.exit_code == ExitCode.SYS_OUT_OF_GAS or "gas" in last.end.message + last.end.error else None
