"""Independent jobs: a function called with each of many items, on worker processes.

A limited number of jobs is submitted at a time. A job whose worker process ended is repeated. If it ends another one,
it is lost: its caller reports that, and the other jobs continue.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Final, TypeVar

from hypervisor_tools.jobs.workers import JobLost, Work, WorkerPool, dump, load

T = TypeVar("T")
R = TypeVar("R")

_INTERVAL: Final = 1.0
"""Seconds between two calls of `tick`."""
_OUTSTANDING: Final = 2
"""Number of submitted jobs per worker."""


class JobExecutor:
    """Runs jobs on worker processes of this machine, each driven by a thread."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = WorkerPool()
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, work: Work[T, R], item: T) -> Future[bytes]:
        """Start a job; its result is pickled, its exception JobLost or that of the call."""
        return self._threads.submit(work.drive, self._pool, work, dump(item))

    def stop(self) -> None:
        """Cancel all jobs, and end their workers."""
        self._pool.stop()
        self._threads.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Wait for all jobs, and end the workers."""
        self._threads.shutdown()
        self._pool.close()


def completed(
    executor: JobExecutor,
    work: Work[T, R],
    items: Iterable[T],
    lost: Callable[[T, JobLost], R] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, R]]:
    """Yield the number and the result of each job as it ends. `tick` is called about once a second.

    `lost` returns the result of a job that ended several workers, otherwise JobLost is raised.
    """
    todo = enumerate(items)
    running: dict[Future[bytes], tuple[int, T]] = {}
    try:
        while True:
            for number, item in islice(todo, executor.workers * _OUTSTANDING - len(running)):
                running[executor.submit(work, item)] = number, item
            if not running:
                return
            done, _ = wait(running, _INTERVAL, FIRST_COMPLETED)
            tick()
            for future in done:
                number, item = running.pop(future)
                try:
                    yield number, load(future.result())
                except JobLost as error:
                    if lost is None:
                        raise
                    yield number, lost(item, error)
    finally:
        for future in running:
            future.cancel()


def in_order(results: Iterable[tuple[int, R]]) -> Iterator[R]:
    """Yield results in the order of their numbers."""
    waiting: dict[int, R] = {}
    following = 0
    for number, result in results:
        waiting[number] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1
