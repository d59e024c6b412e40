"""Runs independent cases on worker processes, in order, with a progress bar on a terminal.

Workers are spawned: each opens its own stores and loads compiled modules from the disk cache. With Dask
(https://distributed.dask.org, the extra `dask`) they may run on other machines, which need the same program and
files.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from threading import Thread, current_thread, main_thread
from typing import TYPE_CHECKING, Final, TypeVar, cast

from fvm_hypervisor.child_processes import safe_module_path, when_parent_ends
from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")

LOCAL: Final = "local"
_TIMEOUT: Final = 10
_INTERVAL: Final = 2
"""Seconds between two checks for workers."""
_PATIENCE: Final = 30
"""Seconds after which a scheduler without workers is an error."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def run_all(
    work: Callable[[T], R], items: Sequence[T], workers: int, what: str, scheduler: str | None = None
) -> Iterator[R]:
    """Call `work` on each item, and yield the results in order. With several workers, both must be picklable.

    `scheduler` is the address of a Dask scheduler, which determines the number of workers; `local` starts one. Raises
    InvalidInput if Dask is not installed or its scheduler does not respond.
    """
    if scheduler is not None:
        yield from _progress(_on_dask(work, items, workers, scheduler), len(items), what)
        return
    if workers <= 1 or len(items) <= 1:
        yield from _progress(map(work, items), len(items), what)
        return
    with safe_module_path():
        pool = ProcessPoolExecutor(
            min(workers, len(items)), mp_context=get_context("spawn"), initializer=when_parent_ends, initargs=(_end,)
        )
    with pool, _ended_early(pool):
        with _deferred_interrupts(), safe_module_path():
            # a small chunk size: files differ a thousandfold in size, and large ones may be adjacent
            results = pool.map(work, items, chunksize=max(1, min(16, len(items) // (workers * 32))))
        yield from _progress(results, len(items), what)


def _end() -> None:
    os._exit(1)


@contextmanager
def _deferred_interrupts() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM until the end of the block, because a process that is being started would lose its work.

    Processes started in this block ignore Ctrl-C. This process ends them.
    """
    if current_thread() is not main_thread():  # only the main thread receives signals
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda which, _: came.append(which)) for number in _ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _ended_early(pool: ProcessPoolExecutor) -> Iterator[None]:
    """End the worker processes if the caller stops reading their results."""
    try:
        yield
    except BaseException:  # Ctrl-C here, or while the caller reads the results
        processes = list((pool._processes or {}).values())
        manager = cast("Thread | None", pool._executor_manager_thread)
        pool.shutdown(
            wait=False, cancel_futures=True
        )  # first, since CPython 3.11 sets no exception on a cancelled future
        for process in processes:
            process.terminate()
        if manager is not None:
            manager.join()
        raise


def _on_dask(work: Callable[[T], R], items: Sequence[T], workers: int, scheduler: str) -> Iterator[R]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InvalidInput("Dask is not installed: pip install 'fvm-hypervisor[dask]'") from None
    with ExitStack() as stack:
        try:
            if scheduler == LOCAL:
                with safe_module_path():
                    cluster = LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        dashboard_address=None,
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # otherwise port 8787, used by others
                    )
                client = stack.enter_context(Client(stack.enter_context(cluster)))
            else:
                client = stack.enter_context(Client(scheduler, timeout=_TIMEOUT))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"no Dask scheduler responds at {scheduler}: {error}") from None
        for future in client.map(work, items, pure=False):
            yield _dask_result(client, future, scheduler)
            future.release()


def _dask_result(client: Client, future: Future[R], scheduler: str) -> R:
    """Wait for a result. Raises InvalidInput if the scheduler has no workers for a while, or ends."""
    from distributed import CancelledError, KilledWorker

    seen = time.monotonic()
    while True:
        try:
            return future.result(timeout=_INTERVAL)
        except TimeoutError:
            if future.done():  # raised by the work itself
                raise
        except CancelledError:
            raise InvalidInput(
                f"the Dask scheduler {scheduler} ended: start it and its workers again, or omit --dask"
            ) from None
        except KilledWorker as error:
            raise InvalidInput(f"the workers of the Dask scheduler {scheduler} ended repeatedly: {error}") from None
        if client.scheduler_info()["workers"]:
            seen = time.monotonic()
        elif time.monotonic() - seen > _PATIENCE:
            raise InvalidInput(
                f"the Dask scheduler {scheduler} has had no worker for {_PATIENCE:g} s: start workers, or omit --dask"
            )


def _progress(results: Iterator[R], total: int, what: str) -> Iterator[R]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, description=what, total=total, console=console, transient=True)
