"""Time limit of a re-execution, and its cancellation when a request waits for the network.

A tracer checks both at each event. Engines charge gas in batches, so loops produce events too. The limit is in
processor time of the threads that execute, so that neither other programs nor a compiler in the background shorten it.
Waiting counts only against a second limit in wall time, ten times as long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from hypervisor.errors import HypervisorError
from hypervisor.tracing import CallEnded, TraceEvent, Tracer
from localnet.chain.watching import Preempted

SHORTEST: Final = 1.0
"""Minimum time limit in seconds for a re-execution."""
_WALL: Final = 10
"""Limit in wall time as a multiple of that in processor time."""


class OutOfTime(HypervisorError):
    """Raised if a re-execution exceeds its limit of seconds or instructions.

    The message is a suffix such as `after 1.0 s`.

    It is handled only at the message's end.
    """


def explanation_seconds(run: float) -> float:
    """Return the time limit in seconds for re-executing work of `run` seconds: twice that, at least `SHORTEST`."""
    return max(SHORTEST, 2 * run)


def _never() -> bool:
    return False


class TimeLimit:
    """A time limit for work that may be restarted: the time of all attempts counts."""

    def __init__(self, seconds: float, should_yield: Callable[[], bool] = _never) -> None:
        """Create a limit. If `should_yield` returns True, the work stops, to restart later."""
        self.seconds = seconds
        self._rest, self._wall_rest = seconds, _WALL * seconds
        self._wall = time.monotonic()
        self._processor: dict[int, float] = {}
        self._should_yield = should_yield

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time inside the block, and not the time before it."""
        self._wall = time.monotonic()
        self._processor.clear()
        try:
            yield
        finally:
            self._count()

    def _count(self) -> None:
        """Count the time since the last look, and the processor time since the last look on this thread."""
        wall, processor, thread = time.monotonic(), time.thread_time(), threading.get_ident()
        self._wall_rest -= wall - self._wall
        before = self._processor.get(thread, processor)
        self._rest -= processor - before if processor >= before else processor  # else another thread has the number
        self._wall, self._processor[thread] = wall, processor

    @property
    def is_over(self) -> bool:
        """Return True if the time limit is exceeded."""
        self._count()
        return self._rest < 0 or self._wall_rest < 0

    def check(self) -> None:
        """Raise OutOfTime if the time limit is exceeded, Preempted if the work must yield."""
        if self.is_over:
            raise OutOfTime(f"after {self.seconds:.1f} s")
        if self._should_yield():
            raise Preempted("interrupted by a waiting request")

    def on(self, tracer: Tracer | None) -> Tracer:
        """Return a tracer that passes on all events except instructions, and checks the limit with each."""
        return _TimedTracer(self, tracer)


class _TimedTracer(Tracer):
    def __init__(self, limit: TimeLimit, tracer: Tracer | None) -> None:
        self._limit, self._tracer = limit, tracer
        self.takes_record = tracer is None or tracer.takes_record

    def event(self, event: TraceEvent, /) -> None:
        if self._tracer is not None:
            self._tracer.event(event)
        if not isinstance(event, CallEnded):  # calls also end when the limit aborts them
            self._limit.check()
