"""Execution of compiled test contracts without a compiler, in this process or in workers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import SuiteResult, TestResult
from hypervisor_tools.soltest.fuzz.stored_failures import write_corpus_file
from hypervisor_tools.soltest.project.project import FuzzSettings, InvariantSettings, Project
from hypervisor_tools.soltest.run.serving import SuiteServer
from hypervisor_tools.soltest.run.workers import run_suites
from tests.hypervisor_tools.soltest.contracts import artifact, write

Bodies = Mapping[str, Sequence[str]]
Results = dict[str, dict[str, TestResult]]


@pytest.fixture
def run_contracts(tmp_path: Path) -> Callable[..., Results]:
    """Run contracts, given by function bodies or as artifacts; return results by contract and signature.

    Whole suites' results are put into `suites_found`, where one is given. They run in this process, unless a `timeout`
    must be able to stop them: then in workers, as `hypervisor test` runs them.
    """

    def run(
        contracts: Mapping[str, Bodies | dict[str, Any]], suites_found: list[SuiteResult] | None = None, **settings: Any
    ) -> Results:
        made = {name: given if "abi" in given else artifact(given) for name, given in contracts.items()}
        folder = write(tmp_path / "artifacts", made)
        places = [ArtifactLocation("test/T.t.sol", name, folder / f"{name}.json") for name in contracts]
        project = Project(tmp_path, fuzz=FuzzSettings(runs=64, seed=1), invariant=InvariantSettings(runs=4, depth=20))
        project = replace(project, code_size_limit=settings.pop("code_size_limit", None))
        wanted = SuiteFilter(symbolic=settings.pop("symbolic", ""))
        suites, corrupt = find_suites(Artifacts(tmp_path, places, {}), ["test/T.t.sol"], wanted)
        of_job = {name: settings.pop(name) for name in ("project", "seed", "network") if name in settings}
        job = replace(Job(project, places, {}, Options(**settings), seed=1), **of_job)
        assert not corrupt
        ended = list(run_suites(job, suites, 1) if "timeout" in settings else run_here(job, suites))
        if suites_found is not None:
            suites_found += ended
        return {suite.contract: {test.signature: test for test in suite.tests} for suite in ended}

    return run


def run_here(job: Job, suites: Sequence[Suite]) -> Iterator[SuiteResult]:
    """Yield the results of suites like a worker, but in this process."""
    result = SuiteResult("", "")

    def tell(kind: str, said: Any) -> None:
        if kind == "test":
            result.tests.append(said)
        elif kind == "collected":
            result.collected.append(said)
        elif kind == "corpus" and said[1]:
            write_corpus_file(job.project.root, job.project.root / said[0], said[1])

    server = SuiteServer(job, tell)
    try:
        for suite in suites:
            result = SuiteResult(suite.file, suite.contract)
            result.duration += server.run(suite)
            yield result
    finally:
        server._executor.close()
