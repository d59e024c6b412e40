"""Suites over worker processes. A worker has one world; what a test does to it ends with the worker at the latest.

A test that takes longer than it may, or ends its process, is a failure with its name; the suite's other tests go on in
a new worker. Workers are forked from one process that has loaded their modules and runs nothing (`forkserver`), so a
new one starts in milliseconds; each takes over the environment variables of the process that wants it.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Final

from fvm_hypervisor.child_processes import when_parent_ends
from fvm_hypervisor.soltest.discovery import Suite, TestFunction
from fvm_hypervisor.soltest.job import Job
from fvm_hypervisor.soltest.programs import end_programs
from fvm_hypervisor.soltest.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.worker_processes import start_deaf
from hypervisor.errors import HypervisorError, InvalidInput

Watch = Callable[[Sequence[tuple[str, float]]], None]
BEAT: Final = 1.0
"""Seconds from which on a test is long, and between two looks at what runs."""
_START: Final = 60.0
"""Seconds beyond a test's own that a new process may take for its first."""
_LAST: Final = 1.0
"""Seconds that a process has to end its programs."""
_LOOK: Final = 15.0
"""Seconds in which a new process finds the place at which a test that was stopped does not end."""


def run_suites(job: Job, suites: Sequence[Suite], workers: int, watch: Watch | None = None) -> Iterator[SuiteResult]:
    """Results as suites end.

    `watch` gets each second the tests that have been running for longer than that, and their seconds: the
    longest first; before a result and at the end that there are none.

    Raises InvalidInput where no world can be made as the job wants it.
    """
    todo = deque(sorted(suites, key=lambda suite: -len(suite.tests)))
    running: dict[Connection, SuiteWorker] = {}
    tell, beat = (_ignore_progress, inf) if watch is None else (watch, BEAT)
    try:
        while todo or any(worker.suite for worker in running.values()):
            while todo and len(running) < min(workers, len(suites)):
                worker = SuiteWorker()
                running[worker.pipe] = worker
            for worker in running.values():
                if todo and worker.suite is None:
                    worker.give(todo.popleft(), job)
            for worker in _ready(running, job.timeout, beat):
                for result in _handle_messages(worker, running, job):
                    tell(())
                    yield result
            tell(_long(running.values()))
    except KeyboardInterrupt:
        tell(())
        for worker in running.values():
            worker.end()
        yield from _partial_results(running.values())
        raise
    finally:
        tell(())
        for worker in running.values():
            worker.stop()
        for worker in running.values():
            worker.end()


def _ignore_progress(_: Sequence[tuple[str, float]]) -> None:
    """For callers that do not watch."""


def _long(workers: Iterable[SuiteWorker]) -> list[tuple[str, float]]:
    """The tests that have been running for longer than a beat."""
    now = monotonic()
    busy = ((worker, worker.suite, now - worker.since) for worker in workers)
    found = [
        (f"{suite.contract}.{worker.test or 'setUp()'}", seconds)
        for worker, suite, seconds in busy
        if suite is not None and seconds >= BEAT
    ]
    return sorted(found, key=lambda one: -one[1])


def _ready(running: Mapping[Connection, SuiteWorker], timeout: float, longest: float) -> list[SuiteWorker]:
    """Those that have something to say, and those whose time is over, after `longest` seconds at the latest."""
    busy = [worker for worker in running.values() if worker.suite is not None]
    now = monotonic()
    rest = max(0.0, min(longest, min((worker.until(timeout) - now for worker in busy), default=0.0)))
    heard = {running[pipe] for pipe in wait([worker.pipe for worker in busy], rest)}  # type: ignore[index]  # ours
    late = {worker for worker in busy if worker.until(timeout) <= monotonic()}
    return [*heard, *(late - heard)]


def _handle_messages(worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job) -> Iterator[SuiteResult]:
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
            elif kind == "place":
                yield from _take_place(worker, job, said)
                return
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
        if worker.looking:
            yield from _without_place(worker, running, job)
            return
        yield from _replace_worker(worker, running, job, f"the test ended its process ({worker.exit_code()})")
        return
    if suite is not None and worker.until(job.timeout) <= now:
        if worker.looking:
            yield from _without_place(worker, running, job)
            return
        words = f"no end after {job.timeout:g} seconds: stopped (--timeout{_remedy(worker)})"
        yield from _replace_worker(worker, running, job, words, is_late=True)


def _replace_worker(
    worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job, reason: str, *, is_late: bool = False
) -> Iterator[SuiteResult]:
    """Blame the test that ran; the rest of its suite goes to another worker, with what is known so far.

    That one looks first for the place of a test that was too late.
    """
    suite, taken = worker.suite, worker.taken()
    worker.result.duration += worker.suite_taken()
    del running[worker.pipe]
    worker.end()
    if suite is None:
        return
    blamed = next((test for test in suite.tests if test.signature == worker.test), None)
    kind = CaseKind.UNIT if blamed is None else blamed.kind
    result = worker.result
    known = worker.known  # the test had ended: what is lost was to show why
    begun = worker.progress or TestResult(worker.test or "setUp()", kind, CaseStatus.FAILURE)
    result.tests.append(
        replace(begun, status=CaseStatus.FAILURE, reason=reason, duration=taken)
        if known is None
        else replace(known, stack=(f"unknown, the test was run once more for it: {reason}",))
    )
    looks = is_late and known is None and kind is CaseKind.UNIT
    left = _remaining(suite, result) if blamed is not None else ()
    if not left and not looks:
        yield result
        return
    again = SuiteWorker()
    running[again.pipe] = again
    if looks:
        again.look(suite if blamed is not None else replace(suite, tests=()), worker.test or "setUp()", job, result)
    else:
        again.give(replace(suite, tests=left), job, result)


def _take_place(worker: SuiteWorker, job: Job, stack: tuple[str, ...]) -> Iterator[SuiteResult]:
    """The stopped test's place is known; the rest of the suite goes on."""
    suite, result = worker.suite, worker.result
    assert suite is not None
    result.tests[-1] = replace(result.tests[-1], stack=stack)
    worker.looking = False
    left = _remaining(suite, result)
    if left:
        worker.give(replace(suite, tests=left), job, result)
    else:
        yield worker.take()


def _without_place(worker: SuiteWorker, running: dict[Connection, SuiteWorker], job: Job) -> Iterator[SuiteResult]:
    """The stopped test's place was not found; the rest of the suite goes on in another worker."""
    suite, result = worker.suite, worker.result
    assert suite is not None
    del running[worker.pipe]
    worker.end()
    left = _remaining(suite, result)
    if left:
        again = SuiteWorker()
        running[again.pipe] = again
        again.give(replace(suite, tests=left), job, result)
    else:
        yield result


def _remaining(suite: Suite, result: SuiteResult) -> tuple[TestFunction, ...]:
    """The tests of a suite that have no result."""
    done = {test.signature for test in result.tests}
    return tuple(test for test in suite.tests if test.signature not in done)


def _partial_results(workers: Iterable[SuiteWorker]) -> Iterator[SuiteResult]:
    """What is known of suites whose workers were stopped: the tests that have ended, and those that ran."""
    for worker in workers:
        if worker.suite is None:
            continue
        result, test = worker.result, worker.test or "setUp()"
        if not worker.looking:
            kind = next((known.kind for known in worker.suite.tests if known.signature == test), CaseKind.UNIT)
            begun = worker.known or worker.progress or TestResult(test, kind, CaseStatus.FAILURE)
            if worker.known is None:
                begun = replace(begun, status=CaseStatus.FAILURE, reason="interrupted (Ctrl-C)")
            result.tests.append(replace(begun, duration=worker.taken()))
            result.duration += worker.suite_taken()
        yield result


def _remedy(worker: SuiteWorker) -> str:
    """What else a user may change where a test has many runs."""
    kind = None if worker.progress is None else worker.progress.kind
    if kind is CaseKind.INVARIANT:
        return ", or set invariant.timeout, or lower invariant.runs or invariant.depth, in foundry.toml"
    return ", or set fuzz.timeout, or lower fuzz.runs, in foundry.toml" if kind is CaseKind.FUZZ else ""


class SuiteWorker:
    """A process and what it is doing. It makes itself ready before it is given anything."""

    def __init__(self) -> None:
        context = get_context("forkserver")
        self._is_new = True
        self.pipe, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(target=_serve, args=(theirs, dict(os.environ)), daemon=True)
        start_deaf(self.process)
        theirs.close()
        self.suite: Suite | None = None
        self.test = ""
        self.known: TestResult | None = None
        self.progress: TestResult | None = None
        self.looking = False
        self.since = self.begun = monotonic()
        self.result = SuiteResult("", "")

    def give(self, suite: Suite, job: Job, result: SuiteResult | None = None) -> None:
        """Let it run a suite, or what is left of one."""
        self.suite, self.test, self.known, self.progress = suite, "", None, None
        self.since = self.begun = monotonic()
        self.result = result or SuiteResult(suite.file, suite.contract, warnings=list(suite.warnings))
        self._ready_for(job)
        self.pipe.send(suite)

    def look(self, suite: Suite, name: str, job: Job, result: SuiteResult) -> None:
        """Let it find out where a test of a suite is that did not end, the last one in the suite's result."""
        self.suite, self.test, self.result, self.since, self.looking = suite, name, result, monotonic(), True
        self._ready_for(job)
        self.pipe.send((suite, name))

    def taken(self) -> float:
        """The seconds that the test has taken which runs."""
        return max(0.0, monotonic() - self.since)

    def suite_taken(self) -> float:
        """The seconds since the suite, or what is left of it, was given to it."""
        return monotonic() - self.begun

    def until(self, timeout: float) -> float:
        """When what it does must have ended, if a test may take N seconds."""
        return self.since + (_LOOK if self.looking else timeout)

    def _ready_for(self, job: Job) -> None:
        if self._is_new:
            self.since += _START
            self._is_new = False
            self.pipe.send(job)

    def take(self) -> SuiteResult:
        """The suite's result; the worker is free."""
        self.suite = None
        return self.result

    def exit_code(self) -> str:
        """How the process ended."""
        self.process.join(5)
        return f"status {self.process.exitcode}"

    def stop(self) -> None:
        """Let it end, if it does nothing, and wait for nothing."""
        if self.suite is None:
            self.process.kill()

    def end(self) -> None:
        """Stop it, and the programs that its test runs."""
        if self.suite is not None:
            self.process.terminate()
            self.process.join(_LAST)
        self.process.kill()
        self.process.join(5)
        self.pipe.close()


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """A worker's life: one job, one world, suites until the pipe is closed. It ends soon where its parent has ended."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    when_parent_ends(_leave)
    from fvm_hypervisor.soltest.serving import SuiteServer

    try:
        server = SuiteServer(pipe.recv(), lambda kind, said: pipe.send((kind, said)))
        while True:
            todo: Suite | tuple[Suite, str] = pipe.recv()
            if isinstance(todo, Suite):
                server.run(todo)
            else:
                server.look(*todo)
    except EOFError:
        return
    except HypervisorError as error:  # of the world, not of a test: a bundle that is not there
        pipe.send(("refused", str(error)))


def _leave() -> None:
    """End this process and the programs that it runs. It imports nothing: a module may be half imported."""
    end_programs()
    os._exit(1)
