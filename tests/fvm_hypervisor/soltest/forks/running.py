"""Execution of the contracts' tests on forks, in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvm_hypervisor.soltest.artifact import ArtifactPlace, Artifacts
from fvm_hypervisor.soltest.cheatcodes import Cheatcodes
from fvm_hypervisor.soltest.discovery import Suite, SuiteFilter, find_suites
from fvm_hypervisor.soltest.job import Job
from fvm_hypervisor.soltest.project import CompilerSettings, FuzzSettings, Project
from fvm_hypervisor.soltest.results import TestResult
from fvm_hypervisor.soltest.run_test import SuiteRun
from fvm_hypervisor.soltest.serving import settings_of, world_settings_of
from fvm_hypervisor.soltest.world import World
from tests.fvm_hypervisor.soltest.forks.golden import GOLDEN

Results = dict[str, dict[str, TestResult]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs of a run."""

    job: Job
    artifacts: Artifacts
    suites: Sequence[Suite]


def run(folder: Path, contracts: str, environment: Mapping[str, str], tests: str | None = None, **job: Any) -> Results:
    """Return results by contract and signature. `tests` is a pattern of names; other arguments go to the job."""
    ready = prepare(folder, contracts, environment, tests, **job)
    found = {}
    for suite in ready.suites:
        world = World(world_settings_of(ready.job), Cheatcodes(settings_of(ready.job, ready.artifacts)))
        try:
            results = SuiteRun(world, ready.artifacts, ready.job.project, suite, 1).run()
            found[suite.contract] = {test.signature: test for test in results}
        finally:
            world.close()
    return found


def prepare(
    folder: Path, contracts: str, environment: Mapping[str, str], tests: str | None = None, **job: Any
) -> Prepared:
    """Prepare the same run without executing it."""
    places = []
    for number, (place, artifact) in enumerate(GOLDEN["artifacts"].items()):
        file = folder / "out" / f"{number}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(artifact), encoding="utf-8")
        source, name = place.split(":")
        places.append(ArtifactPlace(source, name, file))
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    endpoints = {
        "hostile": "${HOSTILE_URL}",
        "first": "${FIRST_URL}",
        "second": "${SECOND_URL}",
        "missing": "${NOT_THERE_URL}",
    }
    keeps = job.pop("rpc_cache", "none")
    project = Project(
        folder,
        rpc_endpoints=endpoints,
        rpc_cache=keeps,
        compiler=CompilerSettings(evm_version="prague"),
        fuzz=FuzzSettings(runs=16, seed=1),
    )
    artifacts = Artifacts(folder, places, {})
    files = sorted({place.file for place in places})
    suites, corrupt = find_suites(artifacts, files, SuiteFilter(contract=contracts, test=tests))
    assert not corrupt
    made = Job(project, places, {}, environment=dict(environment), shows_logs=True, seed=1, **job)
    return Prepared(made, artifacts, suites)
