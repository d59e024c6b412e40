"""Runs many independent cases over worker processes, in order, with a bar on a terminal.

Workers start fresh (`spawn`): each opens its own stores and takes compiled modules from the disk cache. With Dask
(https://distributed.dask.org, the extra `dask`) they may be on other machines, which need the same program and files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Final, TypeVar

from hypervisor.errors import InvalidInput

T = TypeVar("T")
R = TypeVar("R")

LOCAL: Final = "local"
_TIMEOUT: Final = 10


def run_all(
    work: Callable[[T], R], items: Sequence[T], workers: int, what: str, scheduler: str | None = None
) -> Iterator[R]:
    """`work` on each item, results in the items' order. `work` and items must be picklable where `workers` > 1.

    `scheduler` is the address of Dask's, which then says how many workers there are; `local` starts one here. Raises
    InvalidInput where Dask is not installed or its scheduler does not answer.
    """
    if scheduler is not None:
        yield from _progress(_on_dask(work, items, workers, scheduler), len(items), what)
        return
    if workers <= 1 or len(items) <= 1:
        yield from _progress(map(work, items), len(items), what)
        return
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
        yield from _progress(pool.map(work, items, chunksize=_chunk(len(items), workers)), len(items), what)


def _on_dask(work: Callable[[T], R], items: Sequence[T], workers: int, scheduler: str) -> Iterator[R]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InvalidInput("Dask is not installed: pip install 'fvm-hypervisor[dask]'") from None
    with ExitStack() as stack:
        try:
            if scheduler == LOCAL:
                cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
                client = stack.enter_context(Client(stack.enter_context(cluster)))  # type: ignore[no-untyped-call]
            else:
                client = stack.enter_context(Client(scheduler, timeout=_TIMEOUT))  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise InvalidInput(f"no scheduler of Dask answers at {scheduler}: {error}") from None
        for future in client.map(work, items, pure=False):
            yield future.result()
            future.release()


def _chunk(count: int, workers: int) -> int:
    """Small, since files differ a thousandfold in size and the large ones may stand side by side."""
    return max(1, min(16, count // (workers * 32)))


def _progress(results: Iterator[R], total: int, what: str) -> Iterator[R]:
    """The same results; where standard error is a terminal, with a bar on it."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, description=what, total=total, console=console, transient=True)
