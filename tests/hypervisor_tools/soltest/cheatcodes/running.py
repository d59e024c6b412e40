"""Execution of the compiled contracts' tests in this process."""

import shutil
from pathlib import Path

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.report.collecting import SuiteCoverage
from tests.hypervisor_tools.soltest.cheatcodes.golden import GOLDEN, HERE
from tests.hypervisor_tools.soltest.here import run_suite, written


def run(
    contract: str,
    folder: Path,
    rules: str = "ethereum",
    evm: str = "py-evm",
    report: list[SuiteCoverage] | None = None,
    network: int | None = None,
) -> dict[str, TestResult]:
    """Return the results by signature; data for a gas report is stored in `report`."""
    places = written(folder, GOLDEN["artifacts"])
    (folder / "files").mkdir()
    shutil.copytree(HERE / "contracts", folder / "test")  # for inline settings
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
    options = Options(rules=rules, evm=evm, shows_logs=True, report="" if report is None else "gas")
    job = Job(project, places, {}, options, network, layouts=layouts)
    return {test.signature: test for test in run_suite(job, artifacts, suites[0], report)}
