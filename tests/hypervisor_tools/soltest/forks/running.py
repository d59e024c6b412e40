"""Execution of the contracts' tests on forks, in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.project.project import CompilerSettings, FuzzSettings, Project
from tests.hypervisor_tools.soltest.forks.golden import GOLDEN
from tests.hypervisor_tools.soltest.here import run_suite, written

Results = dict[str, dict[str, TestResult]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs of a run."""

    job: Job
    artifacts: Artifacts
    suites: Sequence[Suite]


def run(folder: Path, contracts: str, environment: Mapping[str, str], tests: str | None = None, **job: Any) -> Results:
    """Return results by contract and signature. `tests` is a pattern of names; others go to the job or its options."""
    ready = prepare(folder, contracts, environment, tests, **job)
    return {
        suite.contract: {test.signature: test for test in run_suite(ready.job, ready.artifacts, suite)}
        for suite in ready.suites
    }


def prepare(
    folder: Path, contracts: str, environment: Mapping[str, str], tests: str | None = None, **job: Any
) -> Prepared:
    """Prepare the same run without executing it."""
    places = written(folder, GOLDEN["artifacts"])
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    endpoints = {
        "hostile": "${HOSTILE_URL}",
        "first": "${FIRST_URL}",
        "second": "${SECOND_URL}",
        "missing": "${NOT_THERE_URL}",
    }
    keeps, offline = job.pop("rpc_cache", "none"), job.pop("forks_offline", False)
    project = Project(
        folder,
        rpc_endpoints=endpoints,
        rpc_cache=keeps,
        forks_offline=offline,
        compiler=CompilerSettings(evm_version="prague"),
        fuzz=FuzzSettings(runs=16, seed=1),
    )
    artifacts = Artifacts(folder, places, {})
    files = sorted({place.file for place in places})
    suites, corrupt = find_suites(artifacts, files, SuiteFilter(contract=contracts, test=tests))
    assert not corrupt
    of_job = {name: job.pop(name) for name in ("network", "fork_url", "fork_number") if name in job}
    options = Options(shows_logs=True, **job)
    made = Job(project, places, {}, options, seed=1, environment=dict(environment), **of_job)
    return Prepared(made, artifacts, suites)
