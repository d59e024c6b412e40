"""Child processes load no modules from the working folder, since it may be an untrusted project."""

import subprocess
import sys
from pathlib import Path

import pytest

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
