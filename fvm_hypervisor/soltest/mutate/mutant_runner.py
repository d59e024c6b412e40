"""Compile a mutant and run the tests that cover it until one fails."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from threading import Event
from time import monotonic
from typing import Final

from fvm_hypervisor.soltest.compile.artifact import Artifacts
from fvm_hypervisor.soltest.compile.compiler import CompileError, CompilerFailed, CompilerTimeout
from fvm_hypervisor.soltest.execution.discovery import Suite
from fvm_hypervisor.soltest.execution.job import Job
from fvm_hypervisor.soltest.execution.results import CaseStatus, SuiteResult
from fvm_hypervisor.soltest.mutate.builds import MutantCompiler, with_compiled
from fvm_hypervisor.soltest.mutate.operators import Mutant
from fvm_hypervisor.soltest.mutate.results import MutantResult, MutantStatus
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.run.workers import SuiteWorker, WorkerLost, run_suites

_MAX_DETAIL: Final = 500
"""Maximum number of characters of a compiler's messages, so that 100,000 results fit into the cache file."""


class MutantTimeout(Exception):  # an event rather than an error
    """A mutant exceeded its time limit."""


class RunInterrupted(Exception):  # an event rather than an error
    """The run was interrupted."""


@dataclass(frozen=True, slots=True)
class MutantRunner:
    """Compiles a mutant and runs tests on it, in a worker of `idle` if there is one. `folder` gets the artifacts."""

    compiler: MutantCompiler
    job: Job
    artifacts: Artifacts
    folder: Path
    stop: Event
    idle: list[SuiteWorker]

    def run(self, mutant: Mutant, suites: Sequence[Suite], seconds: float) -> MutantResult:
        """Return the result of a mutant. Raises RunInterrupted after an interruption."""
        try:
            return self._result(mutant, suites, seconds)
        finally:
            rmtree(self.folder, ignore_errors=True)

    def _result(self, mutant: Mutant, suites: Sequence[Suite], seconds: float) -> MutantResult:
        if not suites:
            return MutantResult(mutant, MutantStatus.NOT_COVERED)
        if self.stop.is_set():
            raise RunInterrupted
        try:
            compiled = self.compiler.compile(mutant, {suite.file for suite in suites}, self.folder)
        except CompilerTimeout as error:
            return MutantResult(mutant, MutantStatus.TIMED_OUT, str(error), is_stable=False)
        except CompileError as error:
            if self.stop.is_set():
                raise RunInterrupted from None
            is_stable = not isinstance(error, CompilerFailed)
            return MutantResult(mutant, MutantStatus.INVALID, str(error)[:_MAX_DETAIL], is_stable=is_stable)
        if compiled is None:
            return MutantResult(mutant, MutantStatus.EQUIVALENT)
        artifacts = with_compiled(self.artifacts, compiled)
        job = replace(
            self.job, locations=artifacts.locations, sources=dict(artifacts.sources),
            project=_for_mutants(self.job.project),
            options=replace(self.job.options, ends_at_failure=True, timeout=2 * seconds, report="inputs"),
        )  # fmt: skip
        inputs: set[str] = set()
        failed = None
        try:
            with closing(suite_results(job, suites, seconds, self.stop, self.idle)) as running:
                for suite in running:
                    inputs.update(*suite.collected)
                    failed = next((test for test in suite.tests if test.status is CaseStatus.FAILURE), None)
                    if failed is not None:
                        break
        except MutantTimeout:
            detail = f"the tests did not end after {seconds:.0f} seconds"
            return MutantResult(mutant, MutantStatus.TIMED_OUT, detail, is_stable=False)
        except WorkerLost as error:
            return MutantResult(mutant, MutantStatus.TIMED_OUT, str(error), is_stable=False)
        status, detail = MutantStatus.SURVIVED, ""
        if failed is not None:
            status, detail = MutantStatus.KILLED, f"{suite.name}.{failed.signature}"
        return MutantResult(mutant, status, detail, is_stable=not inputs, inputs=frozenset(inputs))


def suite_results(
    job: Job, suites: Sequence[Suite], seconds: float, stop: Event, idle: list[SuiteWorker]
) -> Generator[SuiteResult]:
    """Yield the results of suites. Raises MutantTimeout after the time limit, RunInterrupted after an interruption."""
    deadline = monotonic() + seconds

    def watch(_: Sequence[tuple[str, float]]) -> None:
        if stop.is_set():
            raise RunInterrupted
        if monotonic() > deadline:
            raise MutantTimeout

    with closing(run_suites(job, suites, 1, watch, idle)) as running:
        yield from running


def _for_mutants(project: Project) -> Project:
    """Return the project without stored failures, on which the results would depend, and without shrinking."""
    fuzz = replace(project.fuzz, failures=os.devnull)
    return replace(project, fuzz=fuzz, invariant=replace(project.invariant, failures=os.devnull, shrink_run_limit=0))
