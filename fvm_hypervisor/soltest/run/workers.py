"""Worker processes of a run, and the suites that they execute.

Each worker has one `TestExecutor`, whose state ends with the worker. A test that exceeds its time limit or ends its
process fails; the other tests of its suite continue in a new worker. A job that ends at the first failure ends with
WorkerLost instead.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Final

from fvm_hypervisor.jobs.fork_server import start_without_interrupt, when_parent_ends
from fvm_hypervisor.soltest.execution.discovery import Suite, TestFunction
from fvm_hypervisor.soltest.execution.job import Job
from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.programs import end_programs
from hypervisor.errors import HypervisorError, InvalidInput

Watch = Callable[[Sequence[tuple[str, float]]], None]
REPORT_INTERVAL: Final = 1.0
"""Seconds after which a test is reported as running, and between two reports."""
_START_SECONDS: Final = 60.0
"""Additional seconds for the first test of a new process."""
_EXIT_SECONDS: Final = 1.0
"""Seconds for a process to end its programs."""
_LOCATE_SECONDS: Final = 15.0
"""Seconds for a new process to locate the endless loop of a stopped test."""


def run_suites(
    job: Job, suites: Sequence[Suite], workers: int, watch: Watch | None = None, idle: list[SuiteWorker] | None = None
) -> Generator[SuiteResult]:
    """Yield results as suites end.

    `watch` is called each second with the tests that have been running for longer than that and their seconds, longest
    first; before each result and at the end with an empty list. Workers in `idle` are used before new ones, and those
    that are idle at the end are added to it. Raises InvalidInput if the job's executor cannot be created, and, with
    `ends_at_failure`, WorkerLost, since a lost process says nothing about a test.
    """
    todo = deque(sorted(suites, key=lambda suite: -len(suite.tests)))
    running: dict[Connection, SuiteWorker] = {}
    report, interval = (_ignore_progress, inf) if watch is None else (watch, REPORT_INTERVAL)
    try:
        while todo or any(worker.suite for worker in running.values()):
            while todo and len(running) < min(workers, len(suites)):
                worker = _idle_or_new_worker(idle)
                running[worker.pipe] = worker
            for worker in running.values():
                if todo and worker.suite is None:
                    worker.start_suite(todo.popleft(), job)
            for worker in _ready(running, job.options.timeout, interval):
                for result in _handle_messages(worker, running, job):
                    report(())
                    yield result
            report(_long(running.values()))
    except KeyboardInterrupt:
        for worker in running.values():
            worker.end()
        report(())
        yield from _partial_results(running.values())
        raise
    finally:
        if idle is not None:
            idle += [running.pop(worker.pipe) for worker in list(running.values()) if worker.suite is None]
        for worker in running.values():
            worker.stop()
        for worker in running.values():
            worker.end()
        report(())  # last, because it may raise


def _idle_or_new_worker(idle: list[SuiteWorker] | None) -> SuiteWorker:
    """Return an idle worker whose process is alive, or a new one."""
    while idle:
        worker = idle.pop()
        if worker.process.is_alive():
            return worker
        worker.end()
    return SuiteWorker()


def _ignore_progress(_: Sequence[tuple[str, float]]) -> None:
    """Ignore progress, for callers without `watch`."""


def _long(workers: Iterable[SuiteWorker]) -> list[tuple[str, float]]:
    """Return the tests that have been running for longer than a beat."""
    now = monotonic()
    busy = ((worker, worker.suite, now - worker.since) for worker in workers)
    found = [
        (f"{suite.contract}.{worker.test or 'setUp()'}", seconds)
        for worker, suite, seconds in busy
        if suite is not None and seconds >= REPORT_INTERVAL
    ]
    return sorted(found, key=lambda one: -one[1])


def _ready(running: Mapping[Connection, SuiteWorker], timeout: float, longest: float) -> list[SuiteWorker]:
    """Return the workers with messages and those past their time limit, after at most `longest` seconds."""
    busy = [worker for worker in running.values() if worker.suite is not None]
    now = monotonic()
    rest = max(0.0, min(longest, min((worker.deadline(timeout) - now for worker in busy), default=0.0)))
    ready = {running[pipe] for pipe in wait([worker.pipe for worker in busy], rest)}  # type: ignore[index]  # ours
    late = {worker for worker in busy if worker.deadline(timeout) <= monotonic()}
    return [*ready, *(late - ready)]


def _handle_messages(worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job) -> Iterator[SuiteResult]:
    suite, now = worker.suite, monotonic()
    try:
        while suite is not None and worker.pipe.poll():
            kind, payload = worker.pipe.recv()
            if kind == "progress":
                worker.progress = payload
                continue
            worker.since = now
            if kind == "started":
                worker.test, worker.known, worker.progress = payload, None, None
            elif kind == "known":
                worker.known = payload
            elif kind == "place":
                yield from _add_stack(worker, job, payload)
                return
            elif kind == "refused":
                raise InvalidInput(payload)
            elif kind == "test":
                worker.result.tests.append(payload)
            elif kind == "collected":
                worker.result.collected.append(payload)
            else:
                worker.result.duration += payload
                yield worker.finish()
                return
    except (EOFError, OSError):
        if worker.is_locating:
            yield from _continue_suite(worker, running, job)
            return
        yield from _replace_worker(worker, running, job, f"the test ended its process ({worker.exit_code()})")
        return
    if suite is not None and worker.deadline(job.options.timeout) <= now:
        if worker.is_locating:
            yield from _continue_suite(worker, running, job)
            return
        text = f"no end after {job.options.timeout:g} seconds: stopped (--timeout{_remedy(worker)})"
        yield from _replace_worker(worker, running, job, text, timed_out=True)


def _replace_worker(
    worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job, reason: str, *, timed_out: bool = False
) -> Iterator[SuiteResult]:
    """Fail the test that ran, and continue its suite in another worker with the results so far.

    That worker first locates the loop of a test that exceeded its time limit.
    """
    suite, seconds = worker.suite, worker.test_seconds()
    worker.result.duration += worker.suite_seconds()
    del running[worker.pipe]
    worker.end()
    if suite is None:
        return
    if job.options.ends_at_failure:
        raise WorkerLost(f"{suite.contract}.{worker.test or 'setUp()'}: {reason}")
    running_test = next((test for test in suite.tests if test.signature == worker.test), None)
    kind = CaseKind.UNIT if running_test is None else running_test.kind
    result = worker.result
    known = worker.known  # the test itself had ended; only its trace is lost
    begun = worker.progress or TestResult(worker.test or "setUp()", kind, CaseStatus.FAILURE)
    result.tests.append(
        replace(begun, status=_stopped_status(kind), reason=reason, duration=seconds)
        if known is None
        else replace(known, stack=(f"unknown: the repetition of the test failed: {reason}",))
    )
    searches_loop = timed_out and known is None and kind is CaseKind.UNIT
    left = _remaining(suite, result) if running_test is not None else ()
    if not left and not searches_loop:
        yield result
        return
    again = SuiteWorker()
    running[again.pipe] = again
    if searches_loop:
        again.locate_loop(
            suite if running_test is not None else suite._replace(tests=()), worker.test or "setUp()", job, result
        )
    else:
        again.start_suite(suite._replace(tests=left), job, result)


def _stopped_status(kind: CaseKind) -> CaseStatus:
    """Return the status of a test whose process was stopped."""
    return CaseStatus.UNDECIDED if kind is CaseKind.SYMBOLIC else CaseStatus.FAILURE


def _add_stack(worker: SuiteWorker, job: Job, stack: tuple[str, ...]) -> Iterator[SuiteResult]:
    """Add the stack of the stopped test, and continue its suite."""
    suite, result = worker.suite, worker.result
    assert suite is not None
    result.tests[-1] = replace(result.tests[-1], stack=stack)
    worker.is_locating = False
    left = _remaining(suite, result)
    if left:
        worker.start_suite(suite._replace(tests=left), job, result)
    else:
        yield worker.finish()


def _continue_suite(worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job) -> Iterator[SuiteResult]:
    """Continue the suite of a stopped test, whose loop was not located, in another worker."""
    suite, result = worker.suite, worker.result
    assert suite is not None
    del running[worker.pipe]
    worker.end()
    left = _remaining(suite, result)
    if left:
        again = SuiteWorker()
        running[again.pipe] = again
        again.start_suite(suite._replace(tests=left), job, result)
    else:
        yield result


def _remaining(suite: Suite, result: SuiteResult) -> tuple[TestFunction, ...]:
    """Return the tests of a suite that have no result."""
    done = {test.signature for test in result.tests}
    return tuple(test for test in suite.tests if test.signature not in done)


def _partial_results(workers: Iterable[SuiteWorker]) -> Iterator[SuiteResult]:
    """Yield partial results of suites whose workers were stopped: completed tests, and those that were running."""
    for worker in workers:
        if worker.suite is None:
            continue
        result, test = worker.result, worker.test or "setUp()"
        if not worker.is_locating:
            kind = next((known.kind for known in worker.suite.tests if known.signature == test), CaseKind.UNIT)
            begun = worker.known or worker.progress or TestResult(test, kind, CaseStatus.FAILURE)
            if worker.known is None:
                begun = replace(begun, status=_stopped_status(begun.kind), reason="interrupted (Ctrl-C)")
            result.tests.append(replace(begun, duration=worker.test_seconds()))
            result.duration += worker.suite_seconds()
        yield result


def _remedy(worker: SuiteWorker) -> str:
    """Return the settings to suggest for a test with many runs."""
    kind = None if worker.progress is None else worker.progress.kind
    if kind is CaseKind.INVARIANT:
        return ", or set invariant.timeout, or lower invariant.runs or invariant.depth, in foundry.toml"
    return ", or set fuzz.timeout, or lower fuzz.runs, in foundry.toml" if kind is CaseKind.FUZZ else ""


class WorkerLost(Exception):  # an event rather than an error
    """A test was stopped at its time limit, or ended its process."""


class SuiteWorker:
    """A worker process and its current task. It initializes itself before it gets a job."""

    def __init__(self) -> None:
        context = get_context("forkserver")
        self._job: Job | None = None
        self.pipe, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(target=_serve, args=(theirs, dict(os.environ)), daemon=True)
        start_without_interrupt(self.process)
        theirs.close()
        self.suite: Suite | None = None
        self.test = ""
        self.known: TestResult | None = None
        self.progress: TestResult | None = None
        self.is_locating = False
        self.since = self.begun = monotonic()
        self.result = SuiteResult("", "")

    def start_suite(self, suite: Suite, job: Job, result: SuiteResult | None = None) -> None:
        """Start a suite, or the rest of one."""
        self.suite, self.test, self.known, self.progress = suite, "", None, None
        self.since = self.begun = monotonic()
        self.result = result or SuiteResult(suite.file, suite.contract, warnings=list(suite.warnings))
        self._ready_for(job)
        self.pipe.send(suite)

    def locate_loop(self, suite: Suite, name: str, job: Job, result: SuiteResult) -> None:
        """Start to locate the endless loop of a test, which is the last one in the suite's result."""
        self.suite, self.test, self.result, self.since, self.is_locating = suite, name, result, monotonic(), True
        self._ready_for(job)
        self.pipe.send((suite, name))

    def test_seconds(self) -> float:
        """Return the seconds that the current test has taken."""
        return max(0.0, monotonic() - self.since)

    def suite_seconds(self) -> float:
        """Return the seconds since the suite, or the rest of it, was started."""
        return monotonic() - self.begun

    def deadline(self, timeout: float) -> float:
        """Return the deadline of the current task, with `timeout` seconds per test."""
        return self.since + (_LOCATE_SECONDS if self.is_locating else timeout)

    def _ready_for(self, job: Job) -> None:
        if self._job is None:
            self.since += _START_SECONDS
        if self._job is not job:
            self._job = job
            self.pipe.send(job)

    def finish(self) -> SuiteResult:
        """Return the suite's result, and mark the worker as idle."""
        self.suite = None
        return self.result

    def exit_code(self) -> str:
        """Return the exit status of the process."""
        self.process.join(5)
        return f"status {self.process.exitcode}"

    def stop(self) -> None:
        """Kill the process if it is idle, without waiting for it."""
        if self.suite is None:
            self.process.kill()

    def end(self) -> None:
        """End the process and the programs that its test runs."""
        if self.suite is not None:
            self.process.terminate()
            self.process.join(_EXIT_SECONDS)
        self.process.kill()
        self.process.join(5)
        self.pipe.close()


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """Run suites on the executor of the last job, until the pipe is closed. Exits soon after the parent process."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it and ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    when_parent_ends(_leave)
    from fvm_hypervisor.soltest.run.serving import SuiteServer

    def send_event(kind: str, payload: object) -> None:
        pipe.send((kind, payload))

    try:
        server = SuiteServer(pipe.recv(), send_event)
        while True:
            todo: Job | Suite | tuple[Suite, str] = pipe.recv()
            if isinstance(todo, Job):
                server.close()
                server = SuiteServer(todo, send_event)
            elif isinstance(todo, Suite):
                server.run(todo)
            else:
                server.locate_loop(*todo)
    except EOFError:
        return
    except HypervisorError as error:  # an error of the executor rather than of a test, such as a missing bundle
        pipe.send(("refused", str(error)))


def _leave() -> None:
    """End this process and its programs. Imports nothing, since a module may be half imported."""
    end_programs()
    os._exit(1)
