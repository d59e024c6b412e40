"""Tests that never end: they are located, Ctrl-C stops them with a result, and no process remains."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hypervisor_tools.soltest.cheatcodes.failures import check_size
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.programs import end_programs, run_program
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.report.viewer import NO_LINES
from hypervisor_tools.soltest.run import session
from hypervisor_tools.soltest.run.workers import SuiteRun, run_suites
from tests.command import run
from tests.hypervisor_tools.soltest.contracts import LOOP, PASS, artifact, forge_out, write
from tests.hypervisor_tools.soltest.here import run_suite
from tests.hypervisor_tools.worker_processes import live_workers
from tests.patience import alarm_clock, slowness

SOURCE = """contract Endless {
    function testLoops() external {
        uint256 n = 1;
        while (true) n += 1;
    }
}
"""
WORK = "while (true) n += 1;"
TURN = ["6001", "01", "50", "6001"]
"""Body of the loop: it leaves a number on the stack."""


def looping(first: str = "testLoops()") -> dict[str, Any]:
    """Return a contract that loops, with the source spans of the loop's instructions only."""
    made = artifact({first: ["6001", "again:", *TURN, "@again", "56"]})
    code = bytes.fromhex(made["deployedBytecode"]["object"])
    before = [f"{SOURCE.index('uint256 n')}:13:0:-"] * len(code)
    loop = f"{SOURCE.index(WORK)}:{len(WORK)}:0:-"
    at = code.index(b"\x5b\x60\x01\x5b")  # the function's JUMPDEST, a PUSH1, the loop's JUMPDEST
    counters, instruction = 0, 0
    while counters < len(code):
        if counters >= at + 3:
            before[instruction] = loop
        opcode = code[counters]
        counters += 1 + (opcode - 0x5F if 0x60 <= opcode <= 0x7F else 0)
        instruction += 1
    made["deployedBytecode"]["sourceMap"] = ";".join(before[:instruction])
    return made


def job_of(folder: Path, contract: dict[str, Any], **settings: Any) -> Job:
    """Return the job of a project with one test contract, including its source."""
    write(folder / "artifacts", {"Endless": contract})
    (folder / "test").mkdir()
    (folder / "test" / "T.t.sol").write_text(SOURCE, encoding="utf-8")
    places = [ArtifactLocation("test/T.t.sol", "Endless", folder / "artifacts" / "Endless.json")]
    return Job(Project(folder), places, {"": {0: "test/T.t.sol"}}, Options(**settings), seed=1)


def results(job: Job) -> Iterator[SuiteResult]:
    suites, _ = find_suites(Artifacts(job.project.root, job.locations, job.sources), ["test/T.t.sol"], SuiteFilter())
    return run_suites(job, suites, 1)


@pytest.mark.slow
def test_slow_test_is_named_until_its_result_arrives(tmp_path: Path) -> None:
    limit = round(2.5 * slowness(), 1)  # long enough for the test to start and to be reported
    job = job_of(tmp_path, looping(), timeout=limit)
    suites, _ = find_suites(Artifacts(tmp_path, job.locations, job.sources), ["test/T.t.sol"], SuiteFilter())
    seen: list[Sequence[tuple[str, float]]] = []
    ((test,),) = (suite.tests for suite in run_suites(job, suites, 1, watch=lambda running: seen.append(running)))
    assert f"no end after {limit:g} seconds" in (test.reason or "")
    named = [running for running in seen if running]
    names = {name for running in named for name, _ in running}
    assert {"Endless.testLoops()"} <= names <= {"Endless.testLoops()", "Endless.setUp()"}  # the latter if slow
    assert all(seconds >= 1 for running in named for _, seconds in running)
    assert not seen[-1]


PLACE = ("Endless.testLoops (test/T.t.sol:4)",)


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_a_loop_that_uses_up_its_gas_is_shown_where_it_is(rules: str, tmp_path: Path) -> None:
    ((test,),) = (suite.tests for suite in results(job_of(tmp_path, looping(), evm="fast", rules=rules)))
    assert (test.reason, test.stack) == ("EvmError: OutOfGas", PLACE)


def storing(*end: str) -> list[str]:
    """Return a body that writes a slot 200,000 times, for 26 million gas, and ends with `end`."""
    return ["62030d40", "again:", "805f55", "60019003", "80", "@again", "57", *end]


@pytest.mark.slow
def test_a_long_failing_test_is_not_traced_by_instructions(tmp_path: Path) -> None:
    # it runs once more for its stack, with a tracer of calls and slots
    seconds: dict[CaseStatus, float] = {}
    for name, end in (("testPasses()", "00"), ("testReverts()", "5f5ffd")):
        (tmp_path / name).mkdir()
        job = job_of(tmp_path / name, artifact({name: storing(end)}), evm="fast")
        artifacts = Artifacts(job.project.root, job.locations, job.sources)
        (suite,), _ = find_suites(artifacts, ["test/T.t.sol"], SuiteFilter())
        begin = time.process_time()  # other processes may need the time of the clock
        (test,) = run_suite(job, artifacts, suite)
        seconds[test.status] = time.process_time() - begin
    assert (test.status, test.stack, test.note) == (CaseStatus.FAILURE, ("Endless.testReverts",), NO_LINES)
    assert seconds[CaseStatus.FAILURE] < 30 * seconds[CaseStatus.SUCCESS]  # a hundred times if instructions were traced


@pytest.mark.parametrize("name", ["testLoops()", "setUp()"])
@pytest.mark.oracle
def test_timed_out_loop_is_reported_with_its_location(name: str, tmp_path: Path) -> None:
    looped = looping(name)
    looped["abi"].append({**looped["abi"][0], "name": "testOther"})  # not in the code: it reverts
    (suite,) = results(job_of(tmp_path, looped, evm="py-evm", timeout=3.0))
    found = {test.signature: (test.reason, test.stack) for test in suite.tests}
    assert found.pop(name) == ("no end after 3 seconds: stopped (--timeout)", PLACE)
    assert list(found) == ([] if name == "setUp()" else ["testOther()"])


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_ctrl_c_stops_a_loop_and_names_it(evm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(tmp_path, artifact({"testAfter()": PASS, "testLoops()": LOOP}), evm=evm)
    pressed: list[float] = []
    made: list[SuiteRun] = []

    class Noted(SuiteRun):
        def __post_init__(self) -> None:
            super().__post_init__()
            made.append(self)

    monkeypatch.setattr("hypervisor_tools.soltest.run.workers.SuiteRun", Noted)
    before = live_workers()

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if made and made[0].test == "testLoops()" and not pressed:
            pressed.append(time.monotonic())
            raise KeyboardInterrupt

    ended: list[SuiteResult] = []
    with alarm_clock(ring):
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        with pytest.raises(KeyboardInterrupt):
            ended.extend(results(job))
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert time.monotonic() - pressed[0] < 5 * slowness()
    assert [(test.signature, test.status, test.reason) for test in ended[0].tests] == [
        ("testAfter()", CaseStatus.SUCCESS, None),
        ("testLoops()", CaseStatus.FAILURE, "interrupted (Ctrl-C)"),
    ]
    assert live_workers() <= before


def test_ctrl_c_is_status_130_with_the_results_so_far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\n')
    (tmp_path / "test").mkdir()
    text = "contract Endless { function testAfter() public {} function testLoops() public {} }"
    (tmp_path / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "test-failures").write_text("testLoops|testAfter|testGone", encoding="utf-8")
    forge_out(tmp_path, "test/T.t.sol", text, {"Endless": artifact({"testAfter()": PASS, "testLoops()": LOOP})})

    def interrupted(*_: object) -> Iterator[SuiteResult]:
        ends = {"testAfter()": CaseStatus.SUCCESS, "testStopped()": CaseStatus.FAILURE}
        tests = [TestResult(name, CaseKind.UNIT, status) for name, status in ends.items()]
        yield SuiteResult("test/T.t.sol", "Endless", tests)
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "run_suites", interrupted)
    found = run("test", str(tmp_path))
    assert found.exit_code == 130, found.output
    assert "[PASS] testAfter()" in found.stdout
    assert "interrupted: 1 tests have not been run" in found.stderr
    stored = (tmp_path / "cache" / "test-failures").read_text(encoding="utf-8")
    assert stored == "testStopped|testLoops"  # for --rerun: that testLoops failed before is still all that is known
    compared = run("test", str(tmp_path), "--compare", "osaka,amsterdam")
    assert (compared.exit_code, compared.stdout) == (130, "")
    assert "interrupted: no tests are compared" in compared.stderr


def test_a_program_that_a_test_runs_ends_with_its_worker() -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_program, ["sleep", "50"], Path(), {"PATH": "/usr/bin:/bin"}, check_size)
        begin = time.monotonic()
        while not running.done() and time.monotonic() - begin < 20:
            end_programs()
            time.sleep(0.05)
        assert running.result(0).returncode == -signal.SIGKILL


ALONE = """
import sys, time
from pathlib import Path
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.jobs.workers import dump
from hypervisor_tools.jobs.workers import Work, Worker
from hypervisor_tools.soltest.run.workers import SuiteWork
from tests.hypervisor_tools.soltest.contracts import LOOP, artifact
from tests.hypervisor_tools.soltest.trace.test_endless import job_of
if __name__ == "__main__":
    job, worker = job_of(Path(sys.argv[1]), artifact({"testLoops()": LOOP}), evm="py-evm"), Worker()
    artifacts = Artifacts(job.project.root, job.locations, job.sources)
    suite = find_suites(artifacts, ["test/T.t.sol"], SuiteFilter())[0][0]
    worker.start(Work.of(SuiteWork(job)), dump((suite, "")))
    while worker.receive() != ("started", "testLoops()"):
        pass
    print(worker.process.pid, flush=True)
    time.sleep(100)
"""


@pytest.mark.slow
def test_a_worker_ends_where_its_parent_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ALONE, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(Path.cwd())}) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert _runs(worker)
        parent.kill()
    begin = time.monotonic()
    while _runs(worker) and time.monotonic() - begin < 20:
        time.sleep(0.05)
    assert not _runs(worker)


STOPPED = """
import os, signal, socket, sys
from multiprocessing import Pipe
from pathlib import Path
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.jobs.workers import dump
from hypervisor_tools.jobs.workers import Work, _serve
from hypervisor_tools.soltest.run.workers import SuiteWork

class Stopping:
    found = 0
    def find_spec(self, name, path=None, target=None):
        Stopping.found += 1
        if Stopping.found == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGTERM)

ours, theirs = Pipe()
work = Work.of(SuiteWork(Job(Project(Path()), [], {})))
ours.send({})
ours.send((work.data, dump((None, ""))))
sys.meta_path.insert(0, Stopping())
socket.socket(fileno=os.dup(ours.fileno())).shutdown(socket.SHUT_WR)  # no further calls; the parent has not ended
_serve(theirs)
print(Stopping.found)
"""


def _stop_at(module: int) -> tuple[int, str, str]:
    command = [sys.executable, "-c", STOPPED, str(module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def modules() -> int:
    """Return how many modules a worker looks for, which differs by Python version."""
    status, found, errors = _stop_at(0)
    assert (status, errors) == (0, "")
    return int(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [0.0, 0.5, *(pytest.param(more, marks=pytest.mark.oracle) for more in (0.25, 0.75, 1))]
)
def test_worker_stopped_during_imports_exits_silently(modules: int, part: float) -> None:
    assert modules > 100
    assert _stop_at(max(1, int(part * modules))) == (1, "", "")


PRESSED = """
import os, signal, time
from hypervisor_tools.jobs.workers import Worker
if __name__ == "__main__":
    for _ in range(2):  # with the process that forks them, and from it
        worker = Worker()
        for _ in range(500):
            os.kill(worker.process.pid, signal.SIGINT)
            time.sleep(0.001)
        print(worker.process.is_alive())
        worker.end()
"""


@pytest.mark.slow
def test_ctrl_c_at_the_start_of_a_worker_is_the_parents_alone(tmp_path: Path) -> None:
    script = tmp_path / "pressed.py"
    script.write_text(PRESSED, encoding="utf-8")
    command, environment = [sys.executable, str(script)], {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nTrue\n", "")


def _runs(process: int) -> bool:
    """Return True if a process exists; an unreaped zombie does not count."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
