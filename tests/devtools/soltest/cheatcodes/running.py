"""Runs one of the compiled contracts' tests in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from devtools.soltest.artifact import ArtifactPlace, Artifacts
from devtools.soltest.cheatcodes import Cheatcodes
from devtools.soltest.collected import SuiteCoverage
from devtools.soltest.discovery import SuiteFilter, find_suites
from devtools.soltest.job import Job
from devtools.soltest.project import Project
from devtools.soltest.results import TestResult
from devtools.soltest.run_test import SuiteRun
from devtools.soltest.serving import setting_of, settings_of
from devtools.soltest.viewer import TestViewer
from devtools.soltest.world import World
from tests.devtools.soltest.cheatcodes.golden import GOLDEN, HERE


def run(
    contract: str,
    folder: Path,
    rules: str = "ethereum",
    evm: str = "py-evm",
    report: list[SuiteCoverage] | None = None,
    network: int | None = None,
) -> dict[str, TestResult]:
    """Results by signature; what tests did for a report of gas is put into `report`."""
    places = []
    for number, (place, artifact) in enumerate(GOLDEN["artifacts"].items()):
        file = folder / "out" / f"{number}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(artifact), encoding="utf-8")
        source, name = place.split(":")
        places.append(ArtifactPlace(source, name, file))
    (folder / "files").mkdir()
    shutil.copytree(HERE / "broadcast", folder / "broadcast")
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    project = Project(folder, fs_permissions=(("read-write", "files"),))
    artifacts = Artifacts(folder, places, {})
    files = sorted({place.file for place in places})
    suites, corrupt = find_suites(artifacts, files, SuiteFilter(contract=f"^{contract}$"))
    assert (len(suites), corrupt) == (1, [])
    layouts = {
        (place.file, place.name): found["storageLayout"]
        for place, found in zip(places, GOLDEN["artifacts"].values(), strict=True)
        if "storageLayout" in found
    }
    job = Job(project, places, {}, network=network, rules=rules, evm=evm, shows_logs=True, layouts=layouts)
    world = World(setting_of(job), Cheatcodes(settings_of(job, artifacts)))
    viewer = TestViewer(artifacts, rules, 0)
    collector = None if report is None else viewer.collector(world.machine, "gas")
    try:
        suite_run = SuiteRun(world, artifacts, project, suites[0], 0, collector=collector)
        results = {test.signature: test for test in suite_run.run()}
        if report is not None and collector is not None:
            report.append(collector.collected())
        return results
    finally:
        world.close()
