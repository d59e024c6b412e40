"""Suites as jobs: a thread drives the worker process that executes a suite.

A worker has one `TestExecutor`, whose state ends with it. A test that exceeds its time limit fails; a test that ends
its process is repeated once, and then fails. A test fails, too, if the runner itself raises an exception. The other
tests of its suite continue in a new worker. A job that ends at the first failure ends with SuiteLost instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any, Final

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_tools.jobs.executor import JobExecutor, completed
from hypervisor_tools.jobs.run import open_executor
from hypervisor_tools.jobs.workers import JobLost, Work, Worker, WorkerEnded, WorkerPool, dump, load, send_event
from hypervisor_tools.soltest.execution.discovery import Suite, TestFunction
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.fuzz.stored_failures import write_corpus_file
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.run.worker_modules import load_worker_modules

Watch = Callable[[Sequence[tuple[str, float]]], None]
REPORT_INTERVAL: Final = 1.0
"""Seconds after which a test is reported as running."""
_START_SECONDS: Final = 60.0
"""Additional seconds for the first test of a new process."""
_LOCATE_SECONDS: Final = 15.0
"""Seconds for a new process to locate the endless loop of a stopped test."""


class SuiteLost(Exception):  # an event rather than an error
    """Tests were stopped at a time limit, ended their process, or had an internal error."""


class _TimeLimit(Exception):  # an event rather than an error
    """A test exceeded its time limit."""


class _InternalError(Exception):  # an event rather than an error
    """The runner raised an exception, with this traceback, during a test."""


@dataclass(slots=True)
class SuiteWork:
    """Function of a worker: runs a suite, or locates the loop of a test, on the executor of a job."""

    job: Job

    def __call__(self, call: Any) -> Any:
        """Run a suite, and return its seconds; with the name of a test, return the stack where it loops."""
        from hypervisor_tools.soltest.run.serving import server_of

        server, (suite, name) = server_of(self.job, send_event), call
        return server.locate_loop(suite, name) if name else server.run(suite)


@dataclass(slots=True, eq=False)
class SuiteRun:
    """A suite that a worker executes, and its results so far. `until` is a time limit for all of its tests."""

    job: Job
    suite: Suite
    until: float = inf
    test: str = ""
    known: TestResult | None = None
    """Result of the test, which is repeated for its trace."""
    progress: TestResult | None = None
    """Interim result of the test."""
    since: float = field(default_factory=monotonic)
    """Time when the test began."""
    begun: float = field(default_factory=monotonic)
    """Time when the suite, or the rest of it, began."""
    is_locating: bool = False
    has_ended: bool = False
    result: SuiteResult = field(init=False)
    _files: list[tuple[str, bytes]] = field(default_factory=list)
    """New files of the test's corpus, which a repetition finds again."""
    _loop: str = ""
    """Test whose endless loop is to be located."""
    _repeated: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin without results."""
        self.result = SuiteResult(self.suite.file, self.suite.contract, warnings=list(self.suite.warnings))

    def run(self, pool: WorkerPool, work: Work[Any, Any]) -> SuiteResult:
        """Run all tests, in as many workers as needed. Raises SuiteLost, and HypervisorError of the executor."""
        while not self.has_ended:
            try:
                with pool.worker() as worker:
                    self._locate(worker, work)
                    self._run_rest(worker, work)
                    self.has_ended = True
            except WorkerEnded as ended:
                self.has_ended = self._replace(f"the test ended its process ({ended})", repeats=True)
            except _InternalError as error:
                lines = str(error).strip().splitlines()
                stack = tuple(line.strip() for line in lines if line.startswith("  File "))
                self.has_ended = self._replace(f"internal error of hypervisor: {lines[-1]}", stack=stack)
            except _TimeLimit:
                self.has_ended = self._replace(
                    f"no end after {self.job.options.timeout:g} seconds: stopped (--timeout{self._remedy()})",
                    timed_out=True,
                )
        return self.result

    def _locate(self, worker: Worker, work: Work[Any, Any]) -> None:
        """Add the stack at which a stopped test, the last one with a result, loops endlessly."""
        if not self._loop:
            return
        name, self._loop, self.is_locating = self._loop, "", True
        suite = self.suite if name in (test.signature for test in self.suite.tests) else self.suite._replace(tests=())
        limit = monotonic() + _LOCATE_SECONDS + _start_seconds(worker)
        worker.start(work, dump((suite, name)))
        while self.is_locating:
            message = worker.receive(max(0.0, limit - monotonic()))
            if message is None:
                raise _TimeLimit
            if message.kind == "done":
                self.result.tests[-1] = replace(self.result.tests[-1], stack=load(message.payload))
                self.is_locating = False
            elif message.kind == "failed":
                raise _failure(message.payload)

    def _run_rest(self, worker: Worker, work: Work[Any, Any]) -> None:
        left = self._remaining()
        if not left and self.result.tests:
            return
        self.test, self.known, self.progress = "", None, None
        self.since = self.begun = monotonic()
        limit = self.since + self.job.options.timeout + _start_seconds(worker)
        worker.start(work, dump((self.suite._replace(tests=left), "")))
        while True:
            message = worker.receive(max(0.0, min(limit, self.until) - monotonic()))
            if message is None:
                raise _TimeLimit
            kind, payload = message
            if kind == "progress":
                self.progress = payload
                continue
            if kind == "corpus":
                self._files.append(payload)
                continue
            self.since = monotonic()
            limit = self.since + self.job.options.timeout
            if kind == "started":
                self.test = payload
            elif kind == "known":
                self.known = payload
            elif kind == "test":
                self._add(payload)
                self.test, self.known, self.progress = "", None, None
            elif kind == "collected":
                self.result.collected.append(payload)
            elif kind == "failed":
                raise _failure(payload) if self.test and not self.job.options.ends_at_failure else payload
            else:
                self.result.duration += load(payload)
                return

    def _replace(
        self, reason: str, *, repeats: bool = False, timed_out: bool = False, stack: tuple[str, ...] = ()
    ) -> bool:
        """Fail the test that ran, or repeat it once with `repeats`; return True if the suite has ended."""
        if self.is_locating:
            self.is_locating = False
            return not self._remaining()
        seconds = monotonic() - self.begun
        self.result.duration += seconds
        name = self.test or "setUp()"
        if repeats and name not in self._repeated:
            self._repeated.add(name)  # perhaps not the test's doing
            self._files.clear()
            return False
        if self.job.options.ends_at_failure:
            if monotonic() >= self.until:
                reason = "the tests did not end in time"
            raise SuiteLost(f"{self.suite.contract}.{name}: {reason}")
        test = next((test for test in self.suite.tests if test.signature == self.test), None)
        kind = CaseKind.UNIT if test is None else test.kind
        known = self.known  # the test itself had ended; only its trace is lost
        begun = self.progress or TestResult(name, kind, CaseStatus.FAILURE)
        self._add(
            replace(begun, status=_stopped_status(kind), reason=reason, duration=self.test_seconds(), stack=stack)
            if known is None
            else replace(known, stack=(f"unknown: the repetition of the test failed: {reason}",))
        )
        if timed_out and known is None and kind is CaseKind.UNIT:
            self._loop = name
            return False
        return test is None or not self._remaining()

    def _add(self, test: TestResult) -> None:
        self.result.tests.append(test)
        self.result.corpus += self._files
        self._files.clear()

    def _remaining(self) -> tuple[TestFunction, ...]:
        """Return the tests that have no result; none after a failed `setUp`."""
        done = {test.signature for test in self.result.tests}
        if done - {test.signature for test in self.suite.tests}:
            return ()
        return tuple(test for test in self.suite.tests if test.signature not in done)

    def test_seconds(self) -> float:
        """Return the seconds that the current test has taken."""
        return max(0.0, monotonic() - self.since)

    def interrupted(self) -> SuiteResult:
        """Return the results so far, including that of the test that was running."""
        result, name = self.result, self.test or "setUp()"
        if not self.is_locating and not self.has_ended:
            kind = next((test.kind for test in self.suite.tests if test.signature == name), CaseKind.UNIT)
            begun = self.known or self.progress or TestResult(name, kind, CaseStatus.FAILURE)
            if self.known is None:
                begun = replace(begun, status=_stopped_status(begun.kind), reason="interrupted (Ctrl-C)")
            self._add(replace(begun, duration=self.test_seconds()))
            result.duration += monotonic() - self.begun
        return result

    def _remedy(self) -> str:
        """Return the settings to suggest for a test with many runs."""
        kind = None if self.progress is None else self.progress.kind
        if kind is CaseKind.INVARIANT:
            return ", or set invariant.timeout, or lower invariant.runs or invariant.depth, in foundry.toml"
        return ", or set fuzz.timeout, or lower fuzz.runs, in foundry.toml" if kind is CaseKind.FUZZ else ""


@dataclass(slots=True)
class SuiteDrive:
    """Runs suites of a job: the function that threads call for them. `running` has those of this process."""

    job: Job
    running: list[SuiteRun] = field(default_factory=list)

    def __call__(self, pool: WorkerPool, work: Work[Any, Any], item: bytes) -> bytes:
        """Run a suite, and return its result as bytes."""
        run = SuiteRun(self.job, load(item))
        self.running.append(run)
        try:
            return dump(run.run(pool, work))
        finally:
            self.running.remove(run)


def run_suites(
    job: Job, suites: Sequence[Suite], workers: int, watch: Watch | None = None, *, keeps_corpus: bool = False
) -> Generator[SuiteResult]:
    """Yield results as suites end, and after Ctrl-C those of interrupted suites.

    With `keeps_corpus`, new inputs of corpora stay in results and are not written, and only suites that end have one.

    `watch` is called each second with the tests that have been running for longer than that and their seconds, longest
    first; before each result and at the end with an empty list. Raises HypervisorError if the job's executor cannot be
    created, and, with `ends_at_failure`, SuiteLost, since a lost process says nothing about a test.
    """
    with open_executor(max(1, min(workers, len(suites))), load_worker_modules) as executor:
        for result in _run_on(executor, job, suites, watch or _ignore_progress, shows_interrupted=not keeps_corpus):
            if not keeps_corpus:
                _write_corpus(job.project, result)
            yield result


def _run_on(
    executor: JobExecutor, job: Job, suites: Sequence[Suite], report: Watch, *, shows_interrupted: bool
) -> Generator[SuiteResult]:
    drive = SuiteDrive(job)
    work: Work[Suite, SuiteResult] = Work.of(SuiteWork(job), drive)
    ordered = sorted(suites, key=lambda suite: -len(suite.tests))
    try:
        for _, result in completed(executor, work, ordered, _lost, lambda: report(_long(drive.running))):
            report(())
            yield result
    except KeyboardInterrupt:
        running = [*drive.running] if shows_interrupted else []
        executor.stop()
        report(())
        for run in running:
            yield run.interrupted()
        raise
    finally:
        report(())  # last, because it may raise


def _lost(suite: Suite, error: JobLost) -> SuiteResult:
    """Return the result of a suite that ended several workers."""
    tests = [TestResult(test.signature, test.kind, _stopped_status(test.kind), str(error)) for test in suite.tests]
    return SuiteResult(suite.file, suite.contract, tests, warnings=list(suite.warnings))


def _write_corpus(project: Project, result: SuiteResult) -> None:
    """Write the new files of a suite's corpora."""
    try:
        for path, data in result.corpus:
            if data:
                write_corpus_file(project.root, project.root / path, data)
    except InvalidInput as error:
        result.warnings.append(str(error))
    result.corpus.clear()


def _failure(error: BaseException) -> BaseException:
    """Return what to raise for an exception of a worker: one of the runner is an internal error."""
    is_known = isinstance(error, HypervisorError)
    return error if is_known else _InternalError("".join(getattr(error, "__notes__", ())) or repr(error))


def _start_seconds(worker: Worker) -> float:
    return _START_SECONDS if worker.is_new else 0.0


def _ignore_progress(_: Sequence[tuple[str, float]]) -> None:
    """Ignore progress, for callers without `watch`."""


def _long(running: Iterable[SuiteRun]) -> list[tuple[str, float]]:
    """Return the tests that have been running for longer than the interval of reports."""
    found = [(f"{run.suite.contract}.{run.test or 'setUp()'}", run.test_seconds()) for run in [*running]]
    return sorted(((name, seconds) for name, seconds in found if seconds >= REPORT_INTERVAL), key=lambda one: -one[1])


def _stopped_status(kind: CaseKind) -> CaseStatus:
    """Return the status of a test whose process was stopped."""
    return CaseStatus.UNDECIDED if kind is CaseKind.SYMBOLIC else CaseStatus.FAILURE
