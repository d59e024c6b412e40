"""Where a test is that does not end: watched for the instructions of a moment, then left."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time
from typing import Final

from fvm_hypervisor.soltest.frames import CallFrame, PlacedFrameTracer
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, RuntimeEvent, TraceEvent
from localnet.calls.time_limit import OutOfTime, TimeLimit

MOST_WATCHED: Final = 400_000
"""Instructions, some seconds of the plain engine."""
LONGEST_WATCHED: Final = 10.0
"""Seconds: what comes before, and what native actors do."""
_CLOCK: Final = 4096
"""Instructions between two looks at the clock."""


class LoopTracer(PlacedFrameTracer):
    """Ends what it listens to (OutOfTime) after N instructions; `cut` are then the calls that were open.

    With `within`, the number of a frame, only its instructions count, with those of all under it, and `cut` is empty
    where it was never reached.
    """

    def __init__(self, rules: str, within: int | None = None, seconds: float = LONGEST_WATCHED) -> None:
        super().__init__(rules)
        self._watching = TimeLimit(min(seconds, LONGEST_WATCHED), clock=process_time)
        self.cut: tuple[CallFrame, ...] = ()
        self._within = within
        self._inside = within is None
        self._watched = self._seen = 0

    def event(self, event: TraceEvent, /) -> None:
        """Put an event in its place. Raises OutOfTime."""
        super().event(event)
        if not isinstance(event, CallEnded):  # what unwinds is on its end already
            self._look_at_clock()

    def place(self, counter: int, /) -> None:
        """Keep where the innermost frame is. Raises OutOfTime."""
        self._note(counter)
        self._count()

    def step(self, event: RuntimeEvent, /) -> None:
        """The same by a whole step."""
        super().step(event)
        self._count()

    def _begin(self, frame: CallFrame) -> None:
        super()._begin(frame)
        self._inside = self._inside or frame.number == self._within

    def _end(self, event: CallEnded) -> None:
        super()._end(event)
        if self._within is not None:
            self._inside = any(frame.number == self._within for frame in self._open)

    def _count(self) -> None:
        self._seen += 1
        self._watched += self._inside
        if self._watched > MOST_WATCHED:
            self._stop()
        if self._seen % _CLOCK == 0:
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        if self._watching.is_over:
            self._stop()

    def _stop(self) -> None:
        if self._inside and not self.cut:
            self.cut = tuple(frame for frame in self._open if not frame.creates_others)
        raise OutOfTime(f"after {self._watched} instructions")


def used_up(path: Sequence[CallFrame]) -> CallFrame | None:
    """The innermost call of those that explain a failure, if it is a contract's that used up its gas unwatched."""
    last = path[-1] if path else None
    if last is None or last.end is None or last.is_native or last.counters:
        return None
    return last if last.end.exit_code == ExitCode.SYS_OUT_OF_GAS or "gas" in last.end.message + last.end.error else None
