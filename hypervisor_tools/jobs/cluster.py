"""Jobs on a Dask cluster (https://distributed.dask.org, the extra `dask`).

A task of Dask drives a worker process of its own machine, as a thread does here: a job cannot end Dask's worker. What
jobs share is a task of its own, named by its digest, which Dask sends to each worker once, and again after a loss.
"""

from __future__ import annotations

import time
import warnings
from asyncio import run_coroutine_threadsafe
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast, runtime_checkable
from uuid import uuid4

from hypervisor.errors import InvalidInput
from hypervisor_tools.jobs.executor import ClusterUnavailable, stopped_early
from hypervisor_tools.jobs.pickles import dump, load, unpack
from hypervisor_tools.jobs.workers import JobLost, Work, WorkerPool

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

T = TypeVar("T")
R = TypeVar("R")

LOCAL: Final = "local"
"""Address that stands for a new cluster on this machine."""
_TIMEOUT: Final = 10
_INTERVAL: Final = 1.0
"""Seconds between two counts of the workers."""
_PATIENCE: Final = 30
"""Seconds after which a scheduler without workers is an error."""


@runtime_checkable
class Closing(Protocol):
    """A function that drives workers, and has processes of its own."""

    def close(self) -> None:
        """End them."""


class DaskExecutor:
    """Runs jobs on the workers of a cluster."""

    def __init__(self, client: Client, scheduler: str) -> None:
        self._client = client
        self._scheduler = scheduler
        self._owner = uuid4().hex
        self._seen = self._checked = time.monotonic()
        self.workers = self._count()
        self._shared: dict[Work[Any, Any], list[DaskFuture[Any]]] = {}
        self._running: set[DaskFuture[Any]] = set()

    @property
    def sends_files(self) -> bool:
        """True unless the cluster is on this machine."""
        return self._scheduler != LOCAL

    def submit(self, work: Work[T, R], item: T) -> Future[bytes]:
        """Start a job."""
        archive = work.archive
        if work not in self._shared:
            sent = dump(replace(work, archive=None), archive)
            parts = [("work", sha256(sent).hexdigest(), sent)]
            if archive is not None:
                parts.append(("files", archive.digest, archive.data))
            self._shared[work] = [
                self._client.submit(_identity, (digest, data), key=f"{kind}-{digest}") for kind, digest, data in parts
            ]
        started = self._client.submit(_run_here, dump(item, archive), self._owner, *self._shared[work], pure=False)
        result: Future[bytes] = Future()
        self._running.add(started)
        loop: Any = self._client.loop
        fetched = run_coroutine_threadsafe(self._fetch(started), loop.asyncio_loop)
        fetched.add_done_callback(lambda ended: self._take(started, ended, result))
        return result

    async def _fetch(self, started: DaskFuture[Any]) -> bytes:
        """Return the result of a task, which another machine may have to repeat first."""
        return cast("bytes", await self._client.gather(started, asynchronous=True))

    def _take(self, started: DaskFuture[Any], fetched: Future[bytes], result: Future[bytes]) -> None:
        """Set the result of a task that ended."""
        from distributed import KilledWorker

        self._running.discard(started)
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(fetched.result())
        except KilledWorker as error:
            result.set_exception(JobLost(f"the workers of the Dask scheduler {self._scheduler} ended: {error}"))
        except CancelledError:  # with the scheduler
            result.set_exception(self._ended())
        except BaseException as error:  # noqa: BLE001  # raised again where the job was submitted
            result.set_exception(error)

    def _ended(self) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"the Dask scheduler {self._scheduler} ended: start it and its workers again, or omit --dask"
        )

    def check(self) -> None:
        """Raise ClusterUnavailable if the scheduler has ended, or has had no workers for a while."""
        if self._client.status not in {"running", "connecting"}:
            raise self._ended()
        now = time.monotonic()
        if now - self._checked < _INTERVAL:
            return
        self._checked, self.workers = now, self._count()
        if self.workers:
            self._seen = now
        elif now - self._seen > _PATIENCE:
            raise ClusterUnavailable(
                f"the Dask scheduler {self._scheduler} has had no worker for {_PATIENCE:g} s: start workers, or "
                "omit --dask"
            )

    def _count(self) -> int:
        """Return the number of jobs that the cluster runs at a time."""
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(int(worker["nthreads"]) for worker in known.values())

    def stop(self) -> None:
        """Cancel all jobs, and end their worker processes."""
        if self._client.status == "running":
            self._client.cancel(list(self._running))
            self._client.run(_stop_here, self._owner, on_error="ignore")

    def close(self) -> None:
        """End idle worker processes, and remove what only this run needs."""
        if self._client.status == "running":
            self._client.run(_close_here, self._owner, on_error="ignore")


@contextmanager
def open_cluster(workers: int, scheduler: str) -> Iterator[DaskExecutor]:
    """Yield an executor on a cluster: that of the scheduler, or a new one with `workers` on this machine."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InvalidInput("Dask is not installed: pip install 'fvm-hypervisor[dask]'") from None
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    with ExitStack() as stack:
        try:
            if scheduler == LOCAL:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=False,  # a task drives a process of its own, and Dask limits the start of others
                    memory_limit=None,  # a worker compares its share with the memory of this whole process
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # otherwise port 8787, used by others
                )
                client = stack.enter_context(Client(stack.enter_context(cluster)))
            else:
                client = stack.enter_context(Client(scheduler, timeout=_TIMEOUT))
        except (OSError, ValueError) as error:
            raise ClusterUnavailable(f"no Dask scheduler responds at {scheduler}: {error}") from None
        executor = DaskExecutor(client, scheduler)
        try:
            with stopped_early(executor):
                yield executor
        finally:
            executor.close()


# --- on a machine of the cluster ------------------------------------------------------------------------------------

_lock: Final = Lock()
_folders: Final[dict[str, Path]] = {}
_works: Final[dict[str, Work[Any, Any]]] = {}
_owners: Final[dict[str, set[str]]] = {}
"""Runs that use a folder or a work, by its digest."""


@cache
def _pool() -> WorkerPool:
    return WorkerPool()


@cache
def _unpacked() -> TemporaryDirectory[str]:
    """Return the folder of unpacked archives, which this process removes at its end."""
    return TemporaryDirectory(prefix="hypervisor-files-")


def _identity(value: object) -> object:
    return value


def _run_here(item: bytes, owner: str, shared: tuple[str, bytes], *archives: tuple[str, bytes]) -> bytes:
    """Run a job on this machine."""
    folders: Mapping[str, str] = {digest: str(_folder(digest, data)) for digest, data in archives}
    digest, data = shared
    with _lock:
        for used in (digest, *folders):
            _owners.setdefault(used, set()).add(owner)
        if digest not in _works:
            _works[digest] = load(data, folders)
        work = _works[digest]
    return work.drive(_pool(), work, item, owner, folders)


def _folder(digest: str, data: bytes) -> Path:
    """Return the folder of an archive's files, which are unpacked when it is first used."""
    with _lock:
        if digest not in _folders:
            folder = Path(_unpacked().name) / digest
            unpack(data, folder)
            _folders[digest] = folder
        return _folders[digest]


def _stop_here(owner: str) -> None:
    _pool().stop(owner)


def _close_here(owner: str) -> None:
    """End idle processes, and remove the files of runs that have ended."""
    _pool().close()
    with _lock:
        for digest in [digest for digest, owners in _owners.items() if owners <= {owner}]:
            del _owners[digest]
            work, folder = _works.pop(digest, None), _folders.pop(digest, None)
            if work is not None and isinstance(work.drive, Closing):
                work.drive.close()
            if folder is not None:
                rmtree(folder, ignore_errors=True)
        for owners in _owners.values():
            owners.discard(owner)
