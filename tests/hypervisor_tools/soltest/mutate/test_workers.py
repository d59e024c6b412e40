"""Workers that run several mutants in turn, and end at the first failure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread, Timer
from time import monotonic
from typing import Any
from unittest.mock import patch

import pytest

from hypervisor_tools.jobs.workers import Stopped, Work, WorkerPool
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter, TestFunction, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.fuzz.stored_failures import failure_file
from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.mutate.results import MutantResult, MutantStatus
from hypervisor_tools.soltest.mutate.run import MutantDrive, MutantTests
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.run.run_test import ContractRunner
from hypervisor_tools.soltest.run.workers import SuiteLost, SuiteRun, SuiteWork, run_suites
from tests.hypervisor_tools.soltest.contracts import FAIL, LOOP, PASS, artifact, write
from tests.hypervisor_tools.worker_processes import live_workers


def call_of(cheatcode: str) -> list[str]:
    """Return the body of a test that calls a cheatcode with empty texts and zeros, and passes."""
    address = "7109709ecfa91a80626ff3989d68f67f5b1dd12d"
    types = cheatcode[cheatcode.index("(") + 1 : -1].split(",")
    texts = [f"608060{4 + 32 * index:02x}52" for index, kind in enumerate(types) if kind == "string"]  # at offset 128
    return [f"63{selector(cheatcode).hex()}60e01b5f52", *texts, f"5f5f60a45f5f73{address}5af15000"]


def job_of(folder: Path, functions: Mapping[str, Sequence[str]], **options: object) -> tuple[Job, list[Suite]]:
    place = ArtifactLocation("test/T.t.sol", "T", write(folder, {"T": artifact(functions)}) / "T.json")
    suites, _ = find_suites(Artifacts(folder, [place], {}), ["test/T.t.sol"], SuiteFilter())
    return replace(Job(Project(folder, gas_limit=1 << 40), [place], {}), options=Options(**options)), suites  # type: ignore[arg-type]  # by name


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    """Yield a pool that tests share, because starting a worker takes a second."""
    made = WorkerPool()
    yield made
    made.close()


def run_in(pool: WorkerPool, job: Job, suites: Sequence[Suite]) -> SuiteResult:
    """Return the result of the only suite."""
    (suite,) = suites
    return SuiteRun(job, suite).run(pool, Work.of(SuiteWork(job)))


@pytest.mark.slow
def test_a_worker_runs_the_code_of_each_job(tmp_path: Path) -> None:
    pool, before = WorkerPool(), live_workers()
    processes, statuses = [], []
    for name, body in (("good", PASS), ("bad", FAIL), ("fine", PASS)):
        job, suites = job_of(tmp_path / name, {"testA()": body})
        statuses.append(run_in(pool, job, suites).tests[0].status)
        processes.append([*(live_workers() - before)])
    assert statuses == [CaseStatus.SUCCESS, CaseStatus.FAILURE, CaseStatus.SUCCESS]
    assert len(processes[0]) == 1
    assert processes == [processes[0]] * 3
    processes[0][0].kill()
    processes[0][0].join(5)
    assert run_in(pool, job, suites).tests[0].status is CaseStatus.SUCCESS  # in a new one
    pool.close()
    assert live_workers() <= before


@pytest.mark.slow
def test_a_suite_ends_at_its_first_failure_without_a_stack(tmp_path: Path) -> None:
    job, suites = job_of(tmp_path, {"testA()": PASS, "testB()": FAIL, "testC()": FAIL}, ends_at_failure=True)
    (result,) = run_suites(job, suites, 1)
    assert [test.signature for test in result.tests] == ["testA()", "testB()"]
    assert result.tests[-1].stack == ()


@pytest.mark.slow
def test_tests_are_stopped_at_the_time_limit_and_after_an_interruption(tmp_path: Path) -> None:
    job, suites = job_of(tmp_path, {"testA()": LOOP}, ends_at_failure=True)
    pool, work = WorkerPool(), Work.of(SuiteWork(job))
    begin, processes = monotonic(), live_workers()
    with pytest.raises(SuiteLost, match="did not end in time"):
        SuiteRun(job, suites[0], monotonic() + 2).run(pool, work)
    stopper = Timer(2, pool.stop)
    stopper.start()
    with pytest.raises(Stopped):
        SuiteRun(job, suites[0]).run(pool, work)
    stopper.join()
    assert monotonic() - begin < 40
    assert live_workers() <= processes  # a stopped worker is not used again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cheatcode", "kinds"),
    [
        ("readFile(string)", {"files"}),
        ("exists(string)", {"files"}),
        ("parseJsonUint(string,string)", set()),
        ("loadAllocs(string)", {"files"}),
        ("projectRoot()", {"files"}),
        ("getDeployment(string)", {"files"}),
        ("envOr(string,uint256)", {"environment variables"}),
        ("envExists(string)", {"environment variables"}),
        ("setEnv(string,string)", set()),
        ("createFork(string)", {"nodes"}),
        ("createSelectFork(string,uint256)", {"nodes"}),
        ("rpc(string,string,string)", {"nodes"}),
        ("rpcUrl(string)", {"environment variables"}),
        ("unixTime()", {"the clock"}),
        ("getBlockTimestamp()", set()),
    ],
)
def test_data_from_outside_is_reported(tmp_path: Path, pool: WorkerPool, cheatcode: str, kinds: set[str]) -> None:
    job, suites = job_of(tmp_path, {"testA()": call_of(cheatcode)}, report="inputs")
    result = run_in(pool, job, suites)
    assert result.tests[0].status is CaseStatus.SUCCESS
    assert result.collected == [kinds]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "kinds"), [({}, set()), ({"timeout": 60}, {"time limits"}), ({"corpus_dir": "corpus"}, {"files"})]
)
def test_settings_that_make_results_vary_are_reported(
    tmp_path: Path, pool: WorkerPool, settings: dict[str, Any], kinds: set[str]
) -> None:
    job, suites = job_of(tmp_path, {"testA(uint256)": PASS}, report="inputs")
    project = replace(job.project, fuzz=replace(job.project.fuzz, runs=2, **settings))
    result = run_in(pool, replace(job, project=project), suites)
    assert result.tests[0].status is CaseStatus.SUCCESS
    assert result.collected == [kinds]


@dataclass
class BrokenWork:
    """The work of a worker whose runner has a defect in `testB()`."""

    job: Job

    def __call__(self, call: tuple[Suite, str]) -> object:
        """Run a suite with the defect."""
        unit = ContractRunner._unit

        def broken(runner: ContractRunner, stage: SuiteStage, test: TestFunction) -> TestResult:
            if test.name == "testB":
                raise KeyError("missing")
            return unit(runner, stage, test)

        with patch.object(ContractRunner, "_unit", broken):
            return SuiteWork(self.job)(call)


@pytest.mark.slow
def test_internal_error_fails_only_its_test(tmp_path: Path, pool: WorkerPool) -> None:
    job, (suite,) = job_of(tmp_path, {"testA()": PASS, "testB()": PASS, "testC()": PASS})
    result = SuiteRun(job, suite).run(pool, Work.of(BrokenWork(job)))
    found = {test.signature: test for test in result.tests}
    assert [test.status for test in result.tests] == [CaseStatus.SUCCESS, CaseStatus.FAILURE, CaseStatus.SUCCESS]
    assert found["testB()"].reason == "internal error of hypervisor: KeyError: 'missing'"
    assert any("in broken" in line for line in found["testB()"].stack)


class UnchangedCode:
    """A compiler of mutants that leaves the project's code as it is."""

    def compile(self, *_: object) -> dict[str, Any]:
        """Return no changed sources."""
        return {}


def result_of(pool: WorkerPool, job: Job, suites: Sequence[Suite], folder: Path) -> MutantResult:
    """Return the result of a mutant with the project's own code."""
    mutant = Mutant("src/A.sol", "A", "literal", 0, "1", "0", 1, 1, ())
    drive = MutantDrive(UnchangedCode(), job, Artifacts(folder, job.locations, {}))  # type: ignore[arg-type]  # a stand-in
    return drive.result(MutantTests(pool, folder / "made", 60.0), mutant, suites)


@pytest.mark.slow
def test_a_lost_process_is_not_a_failing_test(tmp_path: Path) -> None:
    job, suites = job_of(tmp_path, {"testA()": LOOP, "testB()": FAIL})
    before, ended = live_workers(), Event()

    def kill() -> None:
        while not ended.wait(0.05):
            for process in live_workers() - before:
                process.kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    found = result_of(WorkerPool(), job, suites, tmp_path)
    ended.set()
    killer.join()
    assert found.status is MutantStatus.TIMED_OUT
    assert "the test ended its process (status -9)" in found.detail
    assert not found.is_stable


@pytest.mark.slow
def test_stored_failures_are_not_replayed_on_mutants(tmp_path: Path, pool: WorkerPool) -> None:
    fails_for_one_number = ["60043563deadbeef14", "@bad", "5700", "bad:", "5f5ffd"]
    job, suites = job_of(tmp_path, {"testA(uint256)": fails_for_one_number})
    fuzz = replace(job.project.fuzz, runs=1, dictionary_weight=0, seed=1)
    job = replace(job, project=replace(job.project, fuzz=fuzz))
    file = failure_file(job.project, CaseKind.FUZZ, "T", "testA(uint256)")
    file.parent.mkdir(parents=True)
    calldata = f"0x{selector('testA(uint256)').hex()}{0xDEADBEEF:064x}"
    file.write_text(f'{{"calldata": "{calldata}"}}', encoding="utf-8")
    (result,) = run_suites(job, suites, 1)
    assert result.tests[0].status is CaseStatus.FAILURE
    assert result_of(pool, job, suites, tmp_path).status is MutantStatus.SURVIVED
