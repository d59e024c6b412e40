"""Results of a test run do not depend on the number of workers or on kills of them."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.fuzz.stored_failures import write_failures
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.report.report import json_report
from hypervisor_tools.soltest.run.workers import run_suites
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, write
from tests.hypervisor_tools.worker_processes import live_workers

BRANCHES = ["600435", "600116", "@odd", "57", "00", "odd:", "6004356103e810", "@small", "57", "00", "small:", "00"]
FAILS_ABOVE = ["600435", "640100000000", "11", "@low", "57", "5f5ffd", "low:", "00"]


def outcome(root: Path, workers: int, kills: int = 0) -> dict[str, Any]:
    """Run the tests of a new project, and return the report, the failures and the corpus.

    `kills` workers are killed after the first suite, while others run.
    """
    rmtree(root, ignore_errors=True)
    bodies = {f"S{number}": {"testBranches(uint256)": BRANCHES, "testLow(uint256)": FAILS_ABOVE} for number in range(6)}
    contracts = {name: artifact({**body, "testUnit()": PASS}) for name, body in bodies.items()}
    folder = write(root / "artifacts", contracts)
    places = [ArtifactLocation("test/T.t.sol", name, folder / f"{name}.json") for name in contracts]
    project = Project(root)
    project = replace(project, fuzz=replace(project.fuzz, runs=500, corpus_dir="corpus"))
    job = Job(project, places, {}, Options(evm="fast"), seed=7)
    suites, _ = find_suites(Artifacts(root, places, {}), ["test/T.t.sol"], SuiteFilter())
    before = live_workers()
    results = run_suites(job, suites, workers)
    found = [next(results)]
    killed = list(live_workers() - before)[:kills]  # their successors are left alone: a test that ends two fails
    for process in killed:
        process.kill()
    found += results
    assert len(killed) == kills
    write_failures(project, sorted(found, key=lambda suite: suite.name))
    report = json.loads(json.dumps(json_report(found), default=str))
    for suite in report.values():
        del suite["duration"]
        for test in suite["test_results"].values():
            del test["duration"]
    corpus = sorted((file.parent.parts[-4:], file.read_text()) for file in root.glob("corpus/**/*.json"))
    failures = {str(file.relative_to(root)): file.read_text() for file in root.glob("cache/**/*") if file.is_file()}
    assert len(report) == 6
    assert len(corpus) >= 12
    assert len(failures) == 7
    return {"report": report, "corpus": corpus, "failures": failures}


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers_or_kills(tmp_path: Path) -> None:
    expected = outcome(tmp_path / "project", 1)
    for workers, kills in ((1, 1), (2, 2), (5, 3)):
        assert outcome(tmp_path / "project", workers, kills=kills) == expected
