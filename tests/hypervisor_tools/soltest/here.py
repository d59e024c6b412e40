"""Execution of compiled suites in this process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypervisor_tools.soltest.cheatcodes import Cheatcodes
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import Suite
from hypervisor_tools.soltest.execution.executor import TestExecutor
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.report.collecting import SuiteCoverage
from hypervisor_tools.soltest.run.run_test import ContractRunner
from hypervisor_tools.soltest.run.serving import executor_settings_of, settings_of, viewer_of


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
        run = ContractRunner(executor, artifacts, job.project, suite, job.seed, viewer=viewer, collector=collector)
        results = list(run.run())
        if collector is not None and collected is not None:
            collected.append(collector.collect())
        return results
    finally:
        executor.close()
