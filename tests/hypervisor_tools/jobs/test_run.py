"""Jobs on worker processes: results, and lost workers."""

import os
import signal
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.jobs.run import run_all
from hypervisor_tools.jobs.workers import JobLost
from tests.hypervisor_tools.worker_processes import live_workers


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


@pytest.mark.slow
def test_lost_job_is_repeated_then_skipped(tmp_path: Path) -> None:
    for times, third in ((1, 6), (2, -1)):
        folder = tmp_path / str(times)
        folder.mkdir()
        work = partial(end_process, folder=Path(os.path.relpath(folder)), times=times)
        found = run_all(work, range(8), 2, "numbers", lost=lambda _item, _error: -1)
        assert list(found) == [0, 2, 4, third, 8, 10, 12, 14]
    (tmp_path / "3").mkdir()
    with pytest.raises(JobLost, match=r"its worker process ended 2 times \(status -9\)"):
        list(run_all(partial(end_process, folder=tmp_path / "3", times=2), range(8), 2, "numbers"))


@pytest.mark.slow
def test_workers_end_with_an_error_or_an_interrupted_reader() -> None:
    before = live_workers()
    with pytest.raises(InvalidInput, match=r"^\d is refused$"):
        list(run_all(refuse, range(8), 2, "numbers"))
    with closing(run_all(abs, range(100), 2, "numbers")) as running:  # type: ignore[type-var]  # a generator
        assert next(running) == 0
    assert live_workers() <= before
