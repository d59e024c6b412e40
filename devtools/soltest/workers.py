"""Suites over worker processes. A worker has one world; what a test does to it ends with the worker at the latest.

A test that takes longer than it may, or ends its process, is a failure with its name; the suite's other tests go on in
a new worker. Workers start fresh (`spawn`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic
from typing import Final

from devtools.soltest.artifact import Place
from devtools.soltest.discovery import Suite, TestFunction
from devtools.soltest.project import Project
from devtools.soltest.results import Kind, Status, SuiteResult, TestResult
from hypervisor.errors import HypervisorError, InvalidInput

_START: Final = 60.0
"""Seconds beyond a test's own that a new process may take for its first."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker needs: the project, its artifacts, and how tests are run. `timeout` in seconds for a test."""

    project: Project
    places: Sequence[Place]
    sources: Mapping[int, str]
    rules: str = "ethereum"
    network: int | None = None
    evm: str = "py-evm"
    bundle: str | None = None
    seed: int = 0
    timeout: float = 300.0
    verbosity: int = 0
    real_filecoin: bool = False
    report: str = ""
    """What is collected: `gas`, `coverage`, or nothing."""
    environment: Mapping[str, str] = field(default_factory=dict)


def run_suites(job: Job, suites: Sequence[Suite], workers: int, early: Worker | None = None) -> Iterator[SuiteResult]:
    """Results as suites end. `early`: a worker that was started while there was nothing to run; it is ended here.

    Raises InvalidInput where no world can be made as the job wants it.
    """
    todo = deque(sorted(suites, key=lambda suite: -len(suite.tests)))
    running: dict[Connection, Worker] = {}
    try:
        while todo or any(worker.suite for worker in running.values()):
            while todo and len(running) < min(workers, len(suites)):
                worker = early or Worker()
                early = None
                running[worker.pipe] = worker
            for worker in running.values():
                if todo and worker.suite is None:
                    worker.give(todo.popleft(), job)
            for worker in _ready(running, job.timeout):
                yield from _heard(worker, running, job)
    finally:
        for worker in running.values():
            worker.end()
        if early is not None:
            early.end()


def _ready(running: Mapping[Connection, Worker], timeout: float) -> list[Worker]:
    """Those that have something to say, and those whose time is over."""
    busy = [worker for worker in running.values() if worker.suite is not None]
    now = monotonic()
    rest = max(0.0, min((worker.since + timeout - now for worker in busy), default=0.0))
    heard = {running[pipe] for pipe in wait([worker.pipe for worker in busy], rest)}  # type: ignore[index]  # ours
    late = {worker for worker in busy if worker.since + timeout <= monotonic()}
    return [*heard, *(late - heard)]


def _heard(worker: Worker, running: dict[Connection, Worker], job: Job) -> Iterator[SuiteResult]:
    suite, now = worker.suite, monotonic()
    try:
        while suite is not None and worker.pipe.poll():
            kind, said = worker.pipe.recv()
            if kind == "progress":
                worker.progress = said
                continue
            worker.since = now
            if kind == "started":
                worker.test, worker.known, worker.progress = said, None, None
            elif kind == "known":
                worker.known = said
            elif kind == "refused":
                raise InvalidInput(said)
            elif kind == "test":
                worker.result.tests.append(said)
            elif kind == "collected":
                worker.result.collected.append(said)
            else:
                worker.result.duration += said
                yield worker.take()
                return
    except (EOFError, OSError):
        yield from _lost(worker, running, job, f"the test ended its process ({worker.exit_code()})")
        return
    if suite is not None and worker.since + job.timeout <= now:
        words = f"no end after {job.timeout:g} seconds: stopped (--timeout{_remedy(worker)})"
        yield from _lost(worker, running, job, words)


def _lost(worker: Worker, running: dict[Connection, Worker], job: Job, reason: str) -> Iterator[SuiteResult]:
    """Blame the test that ran; the rest of its suite goes to another worker, with what is known so far."""
    suite = worker.suite
    del running[worker.pipe]
    worker.end()
    if suite is None:
        return
    blamed = next((test for test in suite.tests if test.signature == worker.test), None)
    kind = Kind.UNIT if blamed is None else blamed.kind
    result = worker.result
    known = worker.known  # the test had ended: what is lost was to show why
    begun = worker.progress or TestResult(worker.test or "setUp()", kind, Status.FAILURE)
    result.tests.append(
        replace(begun, status=Status.FAILURE, reason=reason)
        if known is None
        else replace(known, stack=(f"unknown, the test was run once more for it: {reason}",))
    )
    done = {test.signature for test in result.tests}
    left: tuple[TestFunction, ...] = tuple(test for test in suite.tests if test.signature not in done)
    if left and blamed is not None:
        again = Worker()
        running[again.pipe] = again
        again.give(replace(suite, tests=left), job, result)
    else:
        yield result


def _remedy(worker: Worker) -> str:
    """What else a user may change where a test has many runs."""
    kind = None if worker.progress is None else worker.progress.kind
    if kind is Kind.INVARIANT:
        return ", or set invariant.timeout, or lower invariant.runs or invariant.depth, in foundry.toml"
    return ", or set fuzz.timeout, or lower fuzz.runs, in foundry.toml" if kind is Kind.FUZZ else ""


class Worker:
    """A process and what it is doing. It makes itself ready before it is given anything."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._is_new = True
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.suite: Suite | None = None
        self.test = ""
        self.known: TestResult | None = None
        self.progress: TestResult | None = None
        self.since = monotonic()
        self.result = SuiteResult("", "")

    def give(self, suite: Suite, job: Job, result: SuiteResult | None = None) -> None:
        """Let it run a suite, or what is left of one."""
        self.suite, self.test, self.known, self.progress, self.since = suite, "", None, None, monotonic()
        self.result = result or SuiteResult(suite.file, suite.contract)
        if self._is_new:
            self.since += _START
            self._is_new = False
            self.pipe.send(job)
        self.pipe.send(suite)

    def take(self) -> SuiteResult:
        """The suite's result; the worker is free."""
        self.suite = None
        return self.result

    def exit_code(self) -> str:
        """How the process ended."""
        self.process.join(5)
        return f"status {self.process.exitcode}"

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.join(5)
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    """A worker's life: one job, one world, suites until the pipe is closed."""
    from devtools.soltest.serving import Server

    try:
        server = Server(pipe.recv(), lambda kind, said: pipe.send((kind, said)))
        while True:
            suite: Suite = pipe.recv()
            server.run(suite)
    except EOFError:
        return
    except HypervisorError as error:  # of the world, not of a test: a bundle that is not there
        pipe.send(("refused", str(error)))
