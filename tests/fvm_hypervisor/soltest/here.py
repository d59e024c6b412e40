"""Execution of compiled suites in this process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fvm_hypervisor.soltest.cheatcodes import Cheatcodes
from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation, Artifacts
from fvm_hypervisor.soltest.execution.discovery import Suite
from fvm_hypervisor.soltest.execution.executor import TestExecutor
from fvm_hypervisor.soltest.execution.job import Job
from fvm_hypervisor.soltest.execution.results import TestResult
from fvm_hypervisor.soltest.report.collecting import SuiteCoverage
from fvm_hypervisor.soltest.run.run_test import SuiteRun
from fvm_hypervisor.soltest.run.serving import executor_settings_of, settings_of, viewer_of


def written(folder: Path, artifacts: Mapping[str, Mapping[str, Any]]) -> list[ArtifactLocation]:
    """Write artifacts, named `SOURCE:NAME`, below a folder; return their places."""
    (folder / "out").mkdir()
    places = []
    for number, (name, artifact) in enumerate(artifacts.items()):
        file = folder / "out" / f"{number}.json"
        file.write_text(json.dumps(artifact), encoding="utf-8")
        source, contract = name.split(":")
        places.append(ArtifactLocation(source, contract, file))
    return places


def run_suite(
    job: Job, artifacts: Artifacts, suite: Suite, collected: list[SuiteCoverage] | None = None
) -> list[TestResult]:
    """Run a suite; the data of the job's report are added to `collected`."""
    executor = TestExecutor(executor_settings_of(job), Cheatcodes(settings_of(job, artifacts)))
    viewer, report = viewer_of(job, artifacts), job.options.report
    collector = viewer.collector(executor.machine, report, job.project) if report else None
    try:
        run = SuiteRun(executor, artifacts, job.project, suite, job.seed, viewer=viewer, collector=collector)
        results = list(run.run())
        if collector is not None and collected is not None:
            collected.append(collector.collect())
        return results
    finally:
        executor.close()
