"""Calls as deep as the network allows, whatever Python's own stack bears.

1,024 nested calls cross Python, ctypes and WASM. From Python 3.12 the frames of C code are counted for each thread and
no setting raises that limit; and a WASM guest may use 4 MiB of native stack a level. So code runs on threads with a
large stack, a fresh one every few levels, and whoever asked waits on a lock (an interrupted `Thread.join` marks a
running thread as finished on 3.11 and 3.12). The first level is off the caller's thread too: on the main thread a
signal handler may raise between any two instructions, inside a callback from WASM too.

Threads are parked and used again: starting one takes some 100 microseconds, waking one 15.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LEVELS_PER_STACK = 8
STACK_BYTES = 64 << 20
_stack_size = threading.Lock()


def needs_fresh_stack(level: int) -> bool:
    """True at the levels of nested code where it must continue on another thread: 0, 8, 16, ..."""
    return level % LEVELS_PER_STACK == 0


class Stacks:
    """Parked threads with large stacks. Nothing of an execution stays in them."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        weakref.finalize(self, _dismiss, self._idle)

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Run `work` on a stack of its own and return or raise what it does.

        Where the waiting thread is interrupted (Ctrl-C), `interrupted` is called so that the work ends soon, and the
        interrupt is raised once it has.
        """
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            result: T = worker.run(work, interrupted)
        finally:
            self._idle.append(worker)
        return result


class _Worker:
    """One thread: it sleeps until it is given work, and reports when the work is done."""

    def __init__(self) -> None:
        self._work: Callable[[], Any] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        with _stack_size:
            before = threading.stack_size(STACK_BYTES)
            try:
                threading.Thread(target=self._live, name="hypervisor-call", daemon=True).start()
            finally:
                threading.stack_size(before)

    def run(self, work: Callable[[], Any], interrupted: Callable[[], None]) -> Any:
        self._work = work
        self._go.release()
        interrupt = self._wait(interrupted)
        result, error = self._result, self._error
        self._result = self._error = None
        try:
            if interrupt is not None:
                raise interrupt
            if error is not None:
                raise error
            return result
        finally:
            del error, interrupt  # a kept traceback would hold every frame of the call in a cycle

    def dismiss(self) -> None:
        self._work = None
        self._go.release()

    def _wait(self, interrupted: Callable[[], None]) -> BaseException | None:
        interrupt: BaseException | None = None
        while True:
            try:
                self._done.acquire()
                return interrupt
            except BaseException as error:  # noqa: BLE001  # an interrupt may not leave the work unattended
                interrupt = error
                interrupted()

    def _live(self) -> None:
        while True:
            self._go.acquire()
            work, self._work = self._work, None
            if work is None:
                return
            try:
                self._result = work()
            except BaseException as error:  # noqa: BLE001  # carried over to the waiting thread
                self._error = error
            del work
            self._done.release()


def _dismiss(idle: list[_Worker]) -> None:
    for worker in idle:
        worker.dismiss()
