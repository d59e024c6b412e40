"""Time slices for traced executions, so that they share the interpreter with short requests and can be cancelled.

The interpreter lock lets one thread run at a time, and a tracer that handles each instruction rarely releases it. Of
the executions that have run for some time, one proceeds per slice, and it yields while short requests wait.

Cancellation happens here too. An engine charges gas in batches, and the next batch can be seconds away.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import CallEnded, Detail, RuntimeEvent, TraceEvent, Tracer
from localnet.rules.parts import rules_of

_STEPS: Final = 64
"""Number of events between two checks for waiting executions (less than a millisecond of instructions)."""
_NAP: Final = 0.001
"""Length of a pause for shorter executions in seconds."""
_NAPS: Final = 10
"""Maximum number of consecutive waits, so that a stream of short requests cannot stop a trace."""
_WAIT: Final = 0.005
"""Interval in seconds at which a waiting execution checks for its turn."""
_TURN: Final = 0.1
"""Length of a time slice in seconds."""
SHORT_EXECUTION: Final = 0.05
"""Duration in seconds up to which an execution is short: it waits for no slice, and longer ones yield to it."""


class Ended(HypervisorError):
    """Raised to end the execution of an abandoned query. Nothing between here and the end of the message handles it."""


class Turns:
    """A queue of the node's tracing threads; `others_wait` returns True if a shorter request is waiting.

    A thread may be interrupted between any two instructions, also while it passes on its slice. So a slice is
    identified by its owner, and an execution that has ended always leaves the queue.
    """

    def __init__(self, others_wait: Callable[[], bool]) -> None:
        self.others_wait = others_wait
        self._paces: deque[Pace] = deque()
        """The pace whose turn it is, followed by those that wait."""

    def take(self, pace: Pace) -> bool:
        """Return True if it is the pace's turn; otherwise it stays in the queue."""
        if pace not in self._paces:
            self._paces.append(pace)
        return self._paces[0] is pace

    def leave(self, pace: Pace) -> None:
        """End this execution's slice, if it has one, without waiting for another."""
        if pace in self._paces:
            self._paces.remove(pace)

    @property
    def is_free(self) -> bool:
        """Return True if the queue is empty."""
        return not self._paces


class Pace:
    """Time slices of one thread's executions. Any thread may call `end`; the executing thread calls the rest."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._left = _STEPS
        self._ended = False
        self._since = 0.0
        self.began = time.monotonic()
        """Start time of the thread's current execution."""
        self.has_turn = False

    def keep(self) -> None:
        """Apply this pace to later traced executions of the calling thread."""
        _local.pace = self

    def end(self) -> None:
        """End the traced execution at its next event."""
        self._ended = True

    def checkpoint(self) -> None:
        """Wait for a slice, and yield to waiting executions. Raises Ended."""
        self._left -= 1
        if self._left > 0 and not self._ended:
            return
        self._left = _STEPS
        now = time.monotonic()
        if now > self.began + SHORT_EXECUTION:
            if self.has_turn and now > self._since + _TURN:
                self.pass_on()
            if not self.has_turn:
                self._take_turn()
            self._yield_to_others()
        if self._ended:
            raise Ended("the query was cancelled")

    def _yield_to_others(self) -> None:
        for _ in range(_NAPS):
            if self._ended or not self._turns.others_wait():
                break
            time.sleep(_NAP)

    def _take_turn(self) -> None:
        while not self._ended and not self.has_turn:
            self.has_turn = self._turns.take(self)
            if not self.has_turn:
                time.sleep(_WAIT)
        self._since = time.monotonic()

    def pass_on(self) -> None:
        """Pass the slice to another thread; called by finished and, repeatedly, by abandoned threads."""
        self._turns.leave(self)
        self.has_turn = False


class _ThreadLocal(threading.local):
    pace: Pace | None = None


_local = _ThreadLocal()


def with_pace(machine: Hypervisor, tracer: Tracer) -> Tracer:
    """Return the tracer wrapped by the rules' adapter, and by the calling thread's pace if it has one."""
    pace, tracer = _local.pace, rules_of(machine).calls.adapt_tracer(tracer)
    if pace is None:
        return tracer
    return _PacedTracer(pace, tracer)


def traced(machine: Hypervisor, tracer: Tracer | None) -> AbstractContextManager[None]:
    """Let a tracer, if there is one, record executions of the machine (`with_pace`)."""
    return machine.traced(None if tracer is None else with_pace(machine, tracer))


class _PacedTracer(Tracer):
    def __init__(self, pace: Pace, tracer: Tracer) -> None:
        self._checkpoint, self._tracer = pace.checkpoint, tracer
        self.takes_record = tracer.takes_record
        self.detail = Detail.STEPS if tracer.detail else Detail.NONE

    def event(self, event: TraceEvent, /) -> None:
        self._tracer.event(event)
        if not isinstance(event, CallEnded):  # calls also end when the pace aborts them
            self._checkpoint()

    def step(self, event: RuntimeEvent, /) -> None:
        self._tracer.step(event)
        self._checkpoint()
