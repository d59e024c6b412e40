"""Jobs of a command: on worker processes, or on a Dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hypervisor_tools.jobs.executor import JobExecutor, LocalExecutor, completed, in_order, stopped_early
from hypervisor_tools.jobs.fork_server import Load
from hypervisor_tools.jobs.pickles import Archive
from hypervisor_tools.jobs.workers import JobLost, Work, WorkerPool, load_nothing, prepare_workers

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def open_executor(workers: int, dask: str | None = None, load: Load = load_nothing) -> Iterator[JobExecutor]:
    """Yield an executor: `workers` processes, or the Dask cluster with the scheduler's address; `local` starts one.

    `load` loads what processes need before they start. If the block raises, its jobs are stopped. Raises InvalidInput
    if Dask is not installed or its scheduler does not respond.
    """
    if dask is not None:
        from hypervisor_tools.jobs.cluster import open_cluster

        with open_cluster(workers, dask) as cluster:
            yield cluster
        return
    prepare_workers(load)  # before there are threads
    executor = LocalExecutor(workers, WorkerPool())
    try:
        with stopped_early(executor):
            yield executor
    finally:
        executor.close()


def run_all(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    what: str,
    dask: str | None = None,
    *,
    files: Sequence[Path] = (),
    lost: Callable[[T, JobLost], R] | None = None,
) -> Iterator[R]:
    """Call `work` on each item, and yield the results in order, as `run_each` does."""
    return in_order(run_each(work, items, workers, what, dask, files=files, lost=lost))


def run_each(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    what: str,
    dask: str | None = None,
    *,
    files: Sequence[Path] = (),
    lost: Callable[[T, JobLost], R] | None = None,
) -> Iterator[tuple[int, R]]:
    """Call `work` on each item, and yield the number and the result of each as it ends.

    With several workers, both must be picklable. `dask` is the address of a Dask scheduler, which determines the number
    of workers. `files` are the files and folders that the jobs read. `lost` returns the result of a job that ended
    several workers; without it, JobLost is raised.
    """
    if dask is None and (workers <= 1 or len(items) <= 1):
        yield from _progress(enumerate(map(work, items)), len(items), what)
        return
    with open_executor(workers if dask is not None else min(workers, len(items)), dask) as executor:
        shared = Work.of(work, archive=Archive.of(files) if executor.sends_files else None)
        yield from _progress(completed(executor, shared, items, lost), len(items), what)


def _progress(results: Iterator[R], total: int, what: str) -> Iterator[R]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, what, total, console=Console(stderr=True), transient=True)
