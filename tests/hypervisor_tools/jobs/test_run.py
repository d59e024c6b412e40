"""Jobs on worker processes and on a Dask cluster: results, lost workers, sent files."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.jobs import cluster
from hypervisor_tools.jobs.executor import LocalExecutor, completed
from hypervisor_tools.jobs.run import run_all
from hypervisor_tools.jobs.workers import JobLost, Work, WorkerPool
from tests.hypervisor_tools.worker_processes import live_workers


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Yield the address of a scheduler with two workers."""
    from distributed import LocalCluster

    dashboard = {"dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_kwargs=dashboard) as made:
        yield made.scheduler_address


def end_process(item: int, folder: Path, times: int) -> int:
    """Double a number; for 3, kill the process the first `times` times."""
    if item == 3:
        seen = len(list(folder.iterdir()))
        if seen < times:
            (folder / str(seen)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def refuse(item: int) -> int:
    """Raise InvalidInput."""
    raise InvalidInput(f"{item} is refused")


def content(file: Path) -> tuple[str, str]:
    """Return the path of a file and its text."""
    return str(file), file.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("dask", [None, "scheduler"])
def test_lost_job_is_repeated_then_skipped(dask: str | None, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    address = None if dask is None else request.getfixturevalue(dask)
    for times, third in ((1, 6), (2, -1)):
        folder = tmp_path / str(times)
        folder.mkdir()
        work = partial(end_process, folder=Path(os.path.relpath(folder)), times=times)
        found = run_all(work, range(8), 2, "numbers", address, lost=lambda _item, _error: -1)
        assert list(found) == [0, 2, 4, third, 8, 10, 12, 14]
    (tmp_path / "3").mkdir()
    with pytest.raises(JobLost, match=r"its worker process ended 2 times \(status -9\)"):
        list(run_all(partial(end_process, folder=tmp_path / "3", times=2), range(8), 2, "numbers", address))


@pytest.mark.slow
def test_workers_end_with_an_error_or_an_interrupted_reader() -> None:
    before = live_workers()
    with pytest.raises(InvalidInput, match=r"^\d is refused$"):
        list(run_all(refuse, range(8), 2, "numbers"))
    with closing(run_all(abs, range(100), 2, "numbers")) as running:  # type: ignore[type-var]  # a generator
        assert next(running) == 0
    assert live_workers() <= before


@pytest.mark.slow
def test_jobs_end_on_fewer_workers_than_they_began_on() -> None:
    executor = LocalExecutor(4, WorkerPool())

    def lose_workers() -> None:
        executor.workers = 1

    work: Work[int, int] = Work.of(abs)
    found = completed(executor, work, range(20), tick=lose_workers)
    assert sorted(found) == [(number, number) for number in range(20)]
    executor.close()


@pytest.mark.slow
def test_files_are_sent_to_the_workers_of_a_cluster(scheduler: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    files = [tmp_path / "one" / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text(file.name, encoding="utf-8")
    found = list(run_all(content, files, 2, "files", scheduler, files=[tmp_path / "one", files[1]]))
    assert [text for _, text in found] == ["a.txt", "b.txt"]
    assert not {path for path, _ in found} & {*map(str, files)}
    assert not any(Path(path).exists() for path, _ in found)  # removed at the end of the run


@pytest.mark.slow
def test_result_that_cannot_be_fetched_is_an_error(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    async def fail(*_: object) -> None:
        raise OSError("the connection is broken")

    monkeypatch.setattr(Client, "_gather_remote", fail)
    with pytest.raises(OSError, match="the connection is broken"):
        list(run_all(str, [1, 2], 2, "numbers", scheduler))


@pytest.mark.slow
def test_scheduler_without_workers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "_PATIENCE", 0.2)
    dashboard = {"dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None, scheduler_kwargs=dashboard) as made,
        pytest.raises(InvalidInput, match=r"has had no worker for 0\.2 s: start workers, or omit --dask"),
    ):
        list(run_all(str, [1, 2], 1, "numbers", made.scheduler_address))


@pytest.mark.slow
def test_workers_of_a_local_cluster_do_not_pause_for_the_memory_of_their_common_process() -> None:
    from distributed import default_client

    with cluster.open_cluster(2, cluster.LOCAL):
        found = default_client().scheduler_info(n_workers=-1)["workers"]
    assert [worker["memory_limit"] for worker in found.values()] == [0, 0], "0 stands for no limit"


@pytest.mark.slow
def test_scheduler_that_does_not_respond_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_TIMEOUT", 1)
    with pytest.raises(InvalidInput, match=r"no Dask scheduler responds at tcp://127\.0\.0\.1:9"):
        list(run_all(str, [1, 2], 1, "numbers", "tcp://127.0.0.1:9"))
