"""Execution of the compiled contracts' tests in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from fvm_hypervisor.soltest.artifact import ArtifactPlace, Artifacts
from fvm_hypervisor.soltest.cheatcodes import Cheatcodes
from fvm_hypervisor.soltest.collected import SuiteCoverage
from fvm_hypervisor.soltest.discovery import SuiteFilter, find_suites
from fvm_hypervisor.soltest.job import Job
from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.results import TestResult
from fvm_hypervisor.soltest.run_test import SuiteRun
from fvm_hypervisor.soltest.serving import settings_of, world_settings_of
from fvm_hypervisor.soltest.viewer import TestViewer
from fvm_hypervisor.soltest.world import World
from tests.fvm_hypervisor.soltest.cheatcodes.golden import GOLDEN, HERE


def run(
    contract: str,
    folder: Path,
    rules: str = "ethereum",
    evm: str = "py-evm",
    report: list[SuiteCoverage] | None = None,
    network: int | None = None,
) -> dict[str, TestResult]:
    """Return the results by signature; data for a gas report is stored in `report`."""
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
    world = World(world_settings_of(job), Cheatcodes(settings_of(job, artifacts)))
    viewer = TestViewer(artifacts, rules, 0)
    collector = None if report is None else viewer.collector(world.machine, "gas", project)
    try:
        suite_run = SuiteRun(world, artifacts, project, suites[0], 0, collector=collector)
        results = {test.signature: test for test in suite_run.run()}
        if report is not None and collector is not None:
            report.append(collector.collected())
        return results
    finally:
        world.close()
