"""Jobs of a command, on worker processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from hypervisor_tools.jobs.executor import JobExecutor, completed, in_order
from hypervisor_tools.jobs.fork_server import Load
from hypervisor_tools.jobs.workers import JobLost, Work, load_nothing, prepare_workers

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def open_executor(workers: int, load: Load = load_nothing) -> Iterator[JobExecutor]:
    """Yield an executor, whose jobs are stopped if the block raises. `load` loads what processes need in advance."""
    prepare_workers(load)  # before there are threads
    executor = JobExecutor(workers)
    try:
        yield executor
    except BaseException:  # Ctrl-C, or an error of the caller
        executor.stop()
        raise
    finally:
        executor.close()


def run_all(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    what: str,
    *,
    lost: Callable[[T, JobLost], R] | None = None,
) -> Iterator[R]:
    """Call `work` on each item, and yield the results in order, as `run_each` does."""
    return in_order(run_each(work, items, workers, what, lost=lost))


def run_each(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    what: str,
    *,
    lost: Callable[[T, JobLost], R] | None = None,
) -> Iterator[tuple[int, R]]:
    """Call `work` on each item, and yield the number and the result of each as it ends.

    With several workers, both must be picklable. `lost` returns the result of a job that ended several workers; without
    it, JobLost is raised.
    """
    if workers <= 1 or len(items) <= 1:
        yield from _progress(enumerate(map(work, items)), len(items), what)
        return
    with open_executor(min(workers, len(items))) as executor:
        yield from _progress(completed(executor, Work.of(work), items, lost), len(items), what)


def _progress(results: Iterator[R], total: int, what: str) -> Iterator[R]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, what, total, console=Console(stderr=True), transient=True)
