"""Calls as deep as the network allows, whatever Python's own stack bears.

1,024 nested calls cross Python, ctypes and WASM. From Python 3.12 the frames of C code are counted for each thread and
no setting raises that limit; and a WASM guest may use 4 MiB of native stack a level. So code runs on threads with a
large stack, a fresh one every few levels, and the caller waits on a lock (an interrupted `Thread.join` marks a
running thread as finished on 3.11 and 3.12). The first level is off the caller's thread too: on the main thread a
signal handler may raise between any two instructions, inside a callback from WASM too.

Threads are parked and used again: starting one takes some 100 microseconds, waking one 15. A thread that has a large
stack already may `adopt`: what it executes begins on its own stack, and no other thread is woken.
"""

import os
import threading
import weakref
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

LEVELS_PER_STACK = 8
STACK_BYTES = 64 << 20
_LOOK_AROUND = 0.5  # seconds: a signal that comes just before the wait begins does not end it
_stack_size = threading.Lock()


def needs_fresh_stack(level: int) -> bool:
    """True at the levels of nested code where it must continue on another thread: 0, 8, 16, ..."""
    return level % LEVELS_PER_STACK == 0


@contextmanager
def large_stacks() -> Iterator[None]:
    """Threads that are started meanwhile get a large stack."""
    with _stack_size:
        before = threading.stack_size(STACK_BYTES)
        try:
            yield
        finally:
            threading.stack_size(before)


class ExecutionThread:
    """A thread with a large stack, on which executions begin one after the other. `interrupt` is for other threads."""

    __slots__ = ("_end", "_interrupted")

    def __init__(self) -> None:
        self._end: Callable[[], None] | None = None
        """What ends the execution that runs."""
        self._interrupted = False

    @property
    def is_executing(self) -> bool:
        """Whether an execution runs: it alone may be ended by `interrupt`, and by nothing that raises in its midst."""
        return self._end is not None

    def adopt(self) -> None:
        """Let executions of the calling thread begin on its own stack from now on."""
        _local.own = self

    def interrupt(self) -> None:
        """Let nothing begin any more, and what runs end: in this order, so that none slips through between."""
        self._interrupted = True
        end = self._end
        if end is not None:
            end()

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Execute on the calling thread, to which this belongs. Raises KeyboardInterrupt where that was interrupted."""
        _local.own = None  # an execution within this one begins on a stack of its own
        self._end = interrupted
        try:
            self._check()
            try:
                return work()
            finally:
                self._check()
        finally:
            self._end, _local.own = None, self

    def _check(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt


class _ThreadLocal(threading.local):
    """What holds for the calling thread."""

    own: ExecutionThread | None = None
    """The one that it has adopted, while no execution runs there."""


_local = _ThreadLocal()


class Stacks:
    """Parked threads with large stacks. Nothing of an execution stays in them."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._process = os.getpid()
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Run `work` on a stack of its own and return or raise what it does; MemoryError where there is none to be had.

        Where the waiting thread is interrupted (Ctrl-C), `interrupted` is called so that the work ends soon, and the
        interrupt is raised once it has. A thread with an `ExecutionThread` of its own runs the work itself.
        """
        own = _local.own
        if own is not None:
            return own.run(work, interrupted)
        job = _Job(work)
        interrupt = self._idle_worker().run(job, interrupted)
        try:
            if interrupt is not None:
                raise interrupt
            if job.error is not None:
                raise job.error
            result: T = job.result
            return result
        finally:
            del job, interrupt  # a kept traceback would hold every frame of the call in a cycle

    def on_one_thread(self, work: Callable[[], T]) -> T:
        """Run `work` on a stack of its own, as `run` does; what it runs in its turn, level by level, begins there.

        For several executions, each of which would wake a thread and wait for it. An interrupt ends the execution that
        runs, which raises KeyboardInterrupt in `work`, and so does each that would begin; it is raised once `work` has
        ended, however it did.
        """
        if _local.own is not None:
            return work()
        own = ExecutionThread()

        def on_own_stack() -> T:
            own.adopt()
            try:
                return work()
            finally:
                _local.own = None

        return self.run(on_own_stack, own.interrupt)

    def dismiss(self) -> None:
        """End the parked threads; the next run starts new ones."""
        workers, self._workers[:] = list(self._workers), []
        _dismiss(workers)

    def _idle_worker(self) -> "_Worker":
        if self._process != os.getpid():  # a forked process has the list without the threads
            self._workers.clear()
            self._process = os.getpid()
        for worker in self._workers:
            if worker.is_idle():
                return worker
        worker = _Worker()
        self._workers.append(worker)
        return worker


class _Job:
    """One piece of work, and what became of it. `taken` and `finished` are set by the worker, once."""

    __slots__ = ("done", "error", "finished", "result", "taken", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.taken = self.finished = False
        self.done = threading.Lock()
        self.done.acquire()


class _Worker:
    """One thread: it sleeps until it is given a job, and says when the job is done."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._job: _Job | None = None
        try:
            with large_stacks():
                start_new_thread(_live, (self._jobs,))  # `Thread.start` cannot bear an interrupt
        except RuntimeError as error:  # the process has a limit of its own, on memory or on threads
            raise MemoryError(f"no thread with a stack of {STACK_BYTES >> 20} MiB for a nested call: {error}") from None

    def is_idle(self) -> bool:
        return self._job is None or self._job.finished

    def run(self, job: _Job, interrupted: Callable[[], None]) -> BaseException | None:
        """Have the job done and return the interrupt that came meanwhile.

        An interrupt may come between any two instructions: so a job that was not taken is handed over again (the thread
        takes it once), and a finished job is waited for no more.
        """
        interrupt: BaseException | None = None
        while not job.finished:
            try:
                if interrupt is not None:
                    interrupted()
                if not job.taken:
                    self._job = job
                    self._jobs.put(job)
                job.done.acquire(timeout=_LOOK_AROUND)
            except BaseException as error:  # noqa: BLE001  # an interrupt may not leave the work unattended
                interrupt = error
        self._job = None
        return interrupt

    def dismiss(self) -> None:
        self._jobs.put(None)


def _live(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        if job.taken:
            continue
        job.taken = True
        try:
            job.result = job.work()
        except BaseException as error:  # noqa: BLE001  # carried over to the waiting thread
            job.error = error
        job.finished = True
        job.done.release()
        del job


def _dismiss(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.dismiss()
