"""Time-limited executions on a thread that must not block for long, such as an event loop's."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from hypervisor.errors import LongExecution
from hypervisor.threads import LEVELS_PER_STACK

T = TypeVar("T")

SECONDS: Final = 0.002
"""Time limit of an execution: processor time of its thread, so that a busy machine does not change the outcome."""
_PAUSE: Final = 100
"""Length of the pause after a long execution, as a multiple of its time."""


class ShortMachine(Protocol):
    """A machine whose executions can be limited."""

    short: "ShortExecutions | None"


class ShortExecutions:
    """The limit of one thread's executions.

    While `machine.short` is set, the machine runs transfers, call trees whose frames use little gas inside an engine,
    and the code of runtimes that check the limit (`runs_short`). Other executions raise LongExecution, and have to run
    on another thread. The first execution, which loads the engine, raises it too, as do executions in the pause after a
    long one. The pause limits unsuccessful attempts to one percent of the thread's time.
    """

    def __init__(self) -> None:
        self._end = self._resume = 0.0
        self._is_first = True

    @property
    def pauses(self) -> bool:
        """True if an execution would be refused because a long one has just ended."""
        return time.monotonic() < self._resume

    def run(self, machine: ShortMachine, execute: Callable[[], T]) -> T:
        """Return the result of executions on a machine. Raises their errors, and LongExecution."""
        if self._is_first:
            self._is_first = False
            raise LongExecution("the first execution loads the engine")
        if self.pauses:
            raise LongExecution("a long execution has just ended")
        begun = time.thread_time()
        self._end = begun + SECONDS
        machine.short = self
        is_long = False
        try:
            return execute()
        except LongExecution:
            is_long = True
            raise
        finally:
            machine.short = None
            now = time.thread_time()
            if is_long or now > self._end:
                self._resume = time.monotonic() + _PAUSE * (now - begun)

    def check(self) -> None:
        """Raise LongExecution if the time limit is exceeded."""
        if time.thread_time() > self._end:
            raise LongExecution(f"the executions took longer than {SECONDS:g} s")

    def check_call(self, depth: int, runtime: object) -> None:
        """Raise LongExecution if a call is too deep for one stack, or its runtime does not check the limit."""
        if depth > LEVELS_PER_STACK or not _runs_short(type(runtime)):
            raise LongExecution("an actor's code may run for long")
        self.check()


_KINDS: Final[dict[type, bool]] = {}


def _runs_short(kind: type) -> bool:
    """Return True if a class of runtimes declares `runs_short`: its code checks the limit while it runs."""
    known = _KINDS.get(kind)
    if known is None:
        known = _KINDS[kind] = bool(getattr(kind, "runs_short", False))
    return known
