"""A thread that executes requests one after the other, without blocking the event loop.

The thread has a large stack for deep calls, so a request changes threads once, and its response once. While no request
waits, it does background work (`localnet.chain.watching.Background`).

It works like a `ThreadPoolExecutor` with one thread, but a job without a result has no future. This halves the cost
of passing a job and its result between the event loop and the thread. The thread is a daemon, like those of
`hypervisor.threads`, so the process can exit without it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from opcode import opmap
from queue import SimpleQueue
from typing import Any, Final, TypeVar
from weakref import WeakSet, WeakValueDictionary

from hypervisor.threads import ExecutionThread, large_stacks
from localnet.chain.watching import Preempted
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.node import NotInline

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)


class SerialThread:
    """One thread with a large stack. `begin` is called on it before its first job."""

    def __init__(self, name: str, begin: Callable[[], None]) -> None:
        self._jobs = SimpleQueue[Callable[[], None] | None]()
        self._ended = False
        self._putting = threading.Lock()
        """Lock held while a job is queued, so that no job follows the final one."""
        self._thread = threading.Thread(target=self._live, args=(begin,), name=name, daemon=True)
        with large_stacks():
            self._thread.start()

    def put(self, job: Callable[[], None]) -> None:
        """Queue a job that does not raise. Raises RuntimeError once the thread is stopping."""
        with self._putting:
            if self._ended:
                raise RuntimeError(f"the thread {self._thread.name} has ended: it accepts no more jobs")
            self._jobs.put(job)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Submit work and return its future. Raises RuntimeError once the thread is stopping."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  # carried over to the waiting thread
                future.set_exception(error)

        self.put(job)
        return future

    def end(self, wait: bool = True) -> None:
        """Accept no more jobs, and with `wait` wait for the queued ones."""
        with self._putting:
            if not self._ended:
                self._ended = True
                self._jobs.put(None)
        if wait:
            self._thread.join()

    def _live(self, begin: Callable[[], None]) -> None:
        begin()
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:  # noqa: BLE001  # the next job may be a client's
                _LOG.exception("a job of the thread %s failed", self._thread.name)
            del job  # releases the objects that the job refers to


MAX_LATER: Final = 100
"""Maximum number of queued background jobs; above it, the oldest is dropped."""

Done = Callable[[Any, BaseException | None], None]
"""Function that is called with the result and None, or with None and the error."""

_LAST_WORK: Final = 1.0
"""Seconds that background jobs have to finish at shutdown."""
_YIELDING: Final = 0.25
"""Seconds after which background work that does not yield is interrupted."""

_AGAIN: Final = 0.01
"""Seconds between two attempts to interrupt the running job."""
_LOCKING: Final = frozenset(("<frozen importlib._bootstrap>", logging.Handler.handle.__code__.co_filename))
"""Files of standard library functions that take process-wide locks without `with`."""
_DEFERRING: Final = _LOCKING | frozenset(each.__init__.__code__.co_filename for each in (WeakSet, WeakValueDictionary))
"""These files, and those of callbacks that remove dead weak references."""
_LOAD_SPECIAL: Final = opmap.get("LOAD_SPECIAL")
"""The instruction before the call of `__enter__` in a `with` statement, from Python 3.14 on."""


class RequestThread:
    """Runs functions one after the other on its own thread."""

    def __init__(self, name: str = "network", after: Callable[[], None] | None = None) -> None:
        """Create the thread; `after` is called on it after each function, before the result is returned."""
        self._after = after
        self._execution = ExecutionThread()
        self._thread = SerialThread(name, self._execution.adopt)
        self._working: int | None = None
        """The thread's number while it works."""
        self._raising = threading.Lock()
        """Lock that prevents an interrupt while a job ends."""
        self._ending = self._stopping = False
        self._in_background = False
        """True if the current work is background work."""
        self.seconds = 0.0
        """Time of all work."""
        self._waiting = 0
        """Requests that are not answered yet."""
        self._counting = threading.Lock()
        self._scheduled = False
        """True if the thread is about to look for background work."""
        self._later: deque[Callable[[], None]] = deque(maxlen=MAX_LATER)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return the result of `work`. Raises RpcError -32000 if it was stopped."""
        return await self.start(work)

    def start(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Return the future of `run`. The caller may settle it earlier; the work continues."""
        response: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.call(work, partial(_settle, response), response.done)
        return response

    def call(self, work: Callable[[], Any], done: Done, is_cancelled: Callable[[], bool] | None = None) -> None:
        """Execute `work`, and then call `done` on the event loop.

        Neither happens if `is_cancelled` returns True when the thread reaches the work.

        `done` gets the result and None, or None and the error: RpcError -32000 if the work was stopped. Raises
        RuntimeError once the thread is stopping.
        """
        loop = asyncio.get_running_loop()
        with self._counting:
            self._waiting += 1
        try:
            self._thread.put(partial(self._execute, loop, work, done, is_cancelled))
        except BaseException:
            self._count_answered()
            raise

    def run_here(self, work: Callable[[], T]) -> T:
        """Execute short `work` on the calling thread, the event loop's, and return its result.

        Raises NotInline if other work runs or waits, or the thread ends. `interrupt` must not be called meanwhile: it
        is called on the event loop.
        """
        with self._counting:
            if self._waiting or self._scheduled or self._stopping or self._ending:
                raise NotInline
            self._waiting = 1
            self._scheduled = True  # background work waits for the end of this
        try:
            return self._do(work)
        finally:
            self._count_answered()
            with self._counting:
                self._schedule()

    def interrupt(self) -> None:
        """Abort the running function, and accept no more; an aborted message has no effect."""
        self._ending = True
        self._execution.interrupt()  # removes the remaining gas, and raises after the actor has ended
        with self._raising:
            working = self._working
            if working is None or self._execution.is_executing:
                return
            waits = _defers_interrupt(working)
            if not waits:
                # Works like Ctrl-C on the main thread. No actor can start after this point.
                self._working = None  # only once, since the job then ends
                raised = ctypes.py_object(KeyboardInterrupt)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(working), raised)
        if waits:
            again = threading.Timer(_AGAIN, self.interrupt)
            again.daemon = True
            again.start()

    def give_up(self, then: Callable[[], None]) -> None:
        """Abort the running function and end the thread, which finally calls `then`."""
        self._stopping = True
        self._thread.put(then)
        self._thread.end(wait=False)
        self.interrupt()

    @property
    def is_busy(self) -> bool:
        """True if a request is unfinished, even if its client has disconnected."""
        return bool(self._waiting)

    @property
    def waiting(self) -> int:
        """Number of requests that are not answered yet."""
        return self._waiting

    def later(self, work: Callable[[], None]) -> None:
        """Queue background work for when no request waits. If it raises Preempted, it is restarted later.

        Any thread may call it.
        """
        self._later.append(work)
        with self._counting:
            if not self._scheduled:
                self._schedule()

    def should_yield(self) -> bool:
        """Return True if a request is waiting, or the node is stopping."""
        return bool(self._waiting) or self._ending

    def stop(self) -> None:
        """Finish the running request, drop queued ones, and work on background jobs for a moment."""
        if self._stopping:
            self._thread.end()
            return
        self._stopping = True
        end = time.monotonic() + _LAST_WORK
        last = self._thread.submit(partial(self._finish, end))
        wait([last], _LAST_WORK)
        if not last.done() and self._in_background:
            self._ending = True
            wait([last], _YIELDING)
            if not last.done() and self._in_background:
                self.interrupt()
        self._thread.end()

    def _finish(self, end: float) -> None:
        while self._later and time.monotonic() < end and self._do_next():
            pass
        self._later.clear()

    def _do_later(self) -> None:
        if not self._waiting and not self._stopping:
            self._do_next()
        with self._counting:
            self._schedule()

    def _schedule(self) -> None:
        """Let the thread look for background work after the queued requests, if there is any."""
        self._scheduled = bool(self._later) and not self._ending and not self._stopping
        if self._scheduled:
            self._thread.put(self._do_later)

    def _do_next(self) -> bool:
        """Run the oldest background job; return False if it was preempted, which keeps it in the queue."""
        if not self._later or self._ending:
            return False
        work = self._later.popleft()
        try:
            self._in_background = True
            self._do(work)
        except Preempted:
            self._later.appendleft(work)
            return False
        except KeyboardInterrupt:
            return False
        finally:
            self._in_background = False
        return True

    def _count_answered(self) -> None:
        with self._counting:
            self._waiting -= 1

    def _execute(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], Any],
        done: Done,
        is_cancelled: Callable[[], bool] | None,
    ) -> None:
        """Execute a request unless its client has disconnected, and notify the event loop."""
        settle: Callable[[], None] | None = None
        try:
            if is_cancelled is None or not is_cancelled():
                if self._stopping:
                    raise KeyboardInterrupt
                settle = partial(done, self._do(work), None)
        except KeyboardInterrupt:
            settle = partial(done, None, RpcError(SERVER_ERROR, "the node is stopping"))
        except BaseException as error:  # noqa: BLE001  # carried over to the event loop
            settle = partial(done, None, error)
        finally:
            self._count_answered()
        if settle is not None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle)

    def _do(self, work: Callable[[], T]) -> T:
        if self._ending:
            raise KeyboardInterrupt
        began = time.monotonic()
        try:
            self._working = threading.get_ident()
            return work()
        finally:
            self.seconds += time.monotonic() - began
            try:
                with self._raising:
                    self._working = None
                if self._ending:
                    _let_interrupt_arrive()
            finally:
                if self._after is not None:
                    self._after()


def _settle(response: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if response.done():
        return
    if error is None:
        response.set_result(result)
    else:
        response.set_exception(error)


def _defers_interrupt(thread: int) -> bool:
    """Return True if a thread is importing, logging, in a finalizer, or entering a `with` statement.

    An interrupted import or log would leave Python's locks for it acquired, and block every other thread
    (importlib/_bootstrap.py, `_ModuleLockManager`; `logging.Handler`). Python ignores exceptions of `__del__` and of
    callbacks of weak references and of the garbage collector, so the interrupt would be lost. From Python 3.14 on, an
    exception may also come between the call of a lock's `__enter__` and the statement that releases the lock.
    """
    frame = sys._current_frames().get(thread)
    if frame is not None and frame.f_lasti > 0 and frame.f_code.co_code[frame.f_lasti - 2] == _LOAD_SPECIAL:
        return True
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code.co_filename in _DEFERRING or code.co_name == "__del__" or code in callbacks:
            return True
        frame = frame.f_back
    return False


def _let_interrupt_arrive() -> None:
    """Receive an exception that `interrupt` raised as the job ended, since it would end the thread later.

    It arrives between two iterations of a loop, if at all. Cancelling it would leave CPython 3.11 with a pending flag,
    which hangs a profiled program (Python/ceval.c, `eval_frame_handle_pending`).
    """
    with suppress(KeyboardInterrupt):
        for _ in range(100):
            pass
