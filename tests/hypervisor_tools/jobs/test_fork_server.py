"""Child processes load no modules from the working folder, since it may be an untrusted project."""

import os
import signal
import subprocess
import sys
from multiprocessing.connection import Pipe
from pathlib import Path
from types import FrameType

import pytest

from hypervisor_tools.jobs.fork_server import ForkServer, is_closed
from hypervisor_tools.jobs.workers import WorkerPool, _serve, load_nothing

PROGRAMS = {
    "hypervisor test": """
from hypervisor_tools.jobs.workers import Worker, prepare_workers
if __name__ == "__main__":
    prepare_workers()
    for _ in range(2):
        worker = Worker()
        worker.process.join(1)
        print(worker.process.is_alive())
        worker.end()
""",
    "hypervisor replay": """
from hypervisor_tools.jobs.run import run_all
if __name__ == "__main__":
    print(*run_all(abs, [-1, -2], 2, "numbers"), sep="\\n")
""",
}
MODULES = ("signal", "selectors", "socket", "struct", "multiprocessing", "hypervisor_tools", "random", "json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [("hypervisor test", "True\nTrue\n"), ("hypervisor replay", "1\n2\n")],
)
def test_module_of_the_working_folder_is_not_run(command: str, said: str, tmp_path: Path) -> None:
    program, project, ran = tmp_path / "program" / "main.py", tmp_path / "project", tmp_path / "ran"
    program.parent.mkdir()
    project.mkdir()
    program.write_text(PROGRAMS[command], encoding="utf-8")
    for name in MODULES:
        hostile = f"open({str(ran)!r}, 'a').write({name!r} + ' ')\nraise ImportError('of the project')\n"
        (project / f"{name}.py").write_text(hostile, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert not ran.exists(), ran.read_text(encoding="utf-8")
    assert (done.stdout, done.stderr, done.returncode) == (said, "", 0)


def test_server_ends_if_a_request_is_interrupted() -> None:
    """Its reply would otherwise be that to the next request: a status in place of the number of a process."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    server, (ours, theirs) = ForkServer(_serve, load_nothing), Pipe()
    before = signal.signal(signal.SIGALRM, interrupt)
    with ours, theirs:
        worker = server.fork(theirs)
        theirs.close()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            server.wait(worker)
        with pytest.raises(OSError):
            server.wait(worker)
    signal.signal(signal.SIGALRM, before)
    server.close()


def test_idle_worker_that_has_ended_leaves_no_process() -> None:
    pool = WorkerPool()
    with pool.worker() as idle:
        pass
    os.kill(idle.process.pid, signal.SIGKILL)
    assert is_closed(idle._pipe, 10)
    with pool.worker() as other:
        assert other is not idle
    with pytest.raises(ProcessLookupError):
        os.kill(idle.process.pid, 0)
    pool.close()
