"""Deep call nesting, independent of the size of Python's own stack.

1,024 nested calls cross Python, ctypes and WASM. From Python 3.12 on, C frames are counted per thread against a fixed
limit, and a WASM guest may use 4 MiB of native stack per level. Therefore code runs on threads with a large stack, a
new one every few levels, and the caller waits on a lock (an interrupted `Thread.join` marks a running thread as
finished on 3.11 and 3.12). The first level runs on another thread too: on the main thread a signal handler may raise
between any two instructions, even inside a callback from WASM.

Threads are pooled: starting one takes about 100 microseconds, waking one 15. A thread that already has a large stack
may `adopt`: its executions begin on its own stack, without another thread.
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
_WAIT = 0.5  # seconds; a signal just before the wait begins does not end the wait
_stack_size = threading.Lock()


def needs_fresh_stack(level: int) -> bool:
    """Return True for nesting levels that must continue on another thread: 0, 8, 16, ..."""
    return level % LEVELS_PER_STACK == 0


@contextmanager
def large_stacks() -> Iterator[None]:
    """Give a large stack to threads started in this context."""
    with _stack_size:
        before = threading.stack_size(STACK_BYTES)
        try:
            yield
        finally:
            threading.stack_size(before)


class ExecutionThread:
    """A thread with a large stack that runs executions sequentially. `interrupt` is for other threads."""

    __slots__ = ("_end", "_interrupted")

    def __init__(self) -> None:
        self._end: Callable[[], None] | None = None
        """Callback that ends the running execution."""
        self._interrupted = False

    @property
    def is_executing(self) -> bool:
        """True if an execution is running; only `interrupt` may end it."""
        return self._end is not None

    def adopt(self) -> None:
        """Let executions of the calling thread begin on its own stack."""
        _local.own = self

    def interrupt(self) -> None:
        """Prevent new executions, then end the running one, in this order to avoid a race."""
        self._interrupted = True
        end = self._end
        if end is not None:
            end()

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Execute on the calling thread, which owns this object. Raises KeyboardInterrupt if interrupted."""
        _local.own = None  # a nested execution needs a separate stack
        self._end = interrupted
        try:
            if self._interrupted:
                raise KeyboardInterrupt
            try:
                return work()
            finally:
                if self._interrupted:
                    raise KeyboardInterrupt
        finally:
            self._end, _local.own = None, self


class _ThreadLocal(threading.local):
    """Data of the calling thread."""

    own: ExecutionThread | None = None
    """The adopted `ExecutionThread`, while no execution runs on it."""
    request: int = 0
    """Number of the thread that waits for this thread's job, directly or indirectly; 0 outside of jobs."""


_local = _ThreadLocal()


def request_thread() -> int:
    """Return the number of the thread whose work the calling thread continues on another stack, or its own."""
    return _local.request or threading.get_ident()


class Stacks:
    """A pool of threads with large stacks."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._process = os.getpid()
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Run `work` on a separate stack, and return its result or raise its error.

        If the waiting thread is interrupted (Ctrl-C), calls `interrupted` so that the work ends soon, and raises the
        interrupt afterwards. A thread with its own `ExecutionThread` runs the work itself. Raises MemoryError if no
        thread can start.
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
            del job, interrupt  # avoid a reference cycle that keeps all frames of the call alive

    def on_one_thread(self, work: Callable[[], T]) -> T:
        """Run `work` like `run`, with all its executions on that thread's stack.

        Avoids waking a thread per execution. An interrupt ends the running execution, which raises KeyboardInterrupt in
        `work`, as does each later one; it is raised again once `work` has ended.
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
        """End the pooled threads; the next run starts new ones."""
        workers, self._workers[:] = list(self._workers), []
        _dismiss(workers)

    def _idle_worker(self) -> "_Worker":
        if self._process != os.getpid():  # a forked process inherits the list but not the threads
            self._workers.clear()
            self._process = os.getpid()
        for worker in self._workers:
            if worker.is_idle():
                return worker
        worker = _Worker()
        self._workers.append(worker)
        return worker


class _Job:
    """A unit of work and its result. `taken` and `finished` are set once, by the worker."""

    __slots__ = ("done", "error", "finished", "request", "result", "taken", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.request = request_thread()
        self.result: Any = None
        self.error: BaseException | None = None
        self.taken = self.finished = False
        self.done = threading.Lock()
        self.done.acquire()


class _Worker:
    """A thread that waits for jobs and signals their completion."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._job: _Job | None = None
        try:
            with large_stacks():
                start_new_thread(_run_jobs, (self._jobs,))  # unlike `Thread.start`, this is safe to interrupt
        except RuntimeError as error:  # a limit of the process on memory or threads
            raise MemoryError(
                f"cannot start a thread with a stack of {STACK_BYTES >> 20} MiB for a nested call: {error}"
            ) from None

    def is_idle(self) -> bool:
        return self._job is None or self._job.finished

    def run(self, job: _Job, interrupted: Callable[[], None]) -> BaseException | None:
        """Run the job on this thread, and return an interrupt that occurred meanwhile.

        An interrupt may occur between any two instructions. Therefore a job that was not taken is queued again (the
        thread takes it once), and a finished job is not waited for.
        """
        interrupt: BaseException | None = None
        while not job.finished:
            try:
                if interrupt is not None:
                    interrupted()
                if not job.taken:
                    self._job = job
                    self._jobs.put(job)
                job.done.acquire(timeout=_WAIT)
            except BaseException as error:  # noqa: BLE001  # keep waiting for the work after an interrupt
                interrupt = error
        self._job = None
        return interrupt

    def dismiss(self) -> None:
        self._jobs.put(None)


def _run_jobs(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        if job.taken:
            continue
        job.taken = True
        _local.request = job.request
        try:
            job.result = job.work()
        except BaseException as error:  # noqa: BLE001  # raised again in the waiting thread
            job.error = error
        job.finished = True
        job.done.release()
        del job


def _dismiss(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.dismiss()
