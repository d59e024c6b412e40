"""A thread that executes one job after the other, used by `RequestThread`.

It works like a `ThreadPoolExecutor` with one thread, but a job without a result has no future. This halves the cost
of passing a job and its result between the event loop and the thread. The thread is a daemon, like those of
`hypervisor.threads`, so the process can exit without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

from hypervisor.threads import large_stacks

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
