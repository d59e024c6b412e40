"""The project in this folder compiled, with and without the IR, and its tests run in this process.

python -m tests.hypervisor_tools.soltest.report.golden PROFILE     keep the artifacts of forge's `out` as the profile's
"""

import gzip
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import SuiteResult
from hypervisor_tools.soltest.project.project import Project, load_project
from tests.hypervisor_tools.soltest.here import run_suite, written

HERE: Final = Path(__file__).resolve().parent
TESTS: Final = "test/Proxy.t.sol"
PROFILES: Final = {"default": "compiled.json.gz", "ir": "compiled-ir.json.gz"}


def forge(name: str) -> str:
    """Return what forge printed, by the name of the file."""
    return (HERE / "forge" / name).read_text(encoding="utf-8")


@dataclass
class ReportProject:
    """The project with a profile, its artifacts in a folder."""

    folder: Path
    profile: str = "default"
    project: Project = field(init=False)
    artifacts: Artifacts = field(init=False)

    def __post_init__(self) -> None:
        self.project = load_project(HERE, self.profile)
        content = json.loads(gzip.decompress((HERE / PROFILES[self.profile]).read_bytes()))
        places = written(self.folder, {f"{file}:{name}": made for file, name, made in content["contracts"]})
        sources = {"": {int(number): path for number, path in content["sources"].items()}}
        self.artifacts = Artifacts(HERE, places, sources)

    def run(
        self, verbosity: int = 0, report: str = "", tests: str | None = None, records: bool = False
    ) -> Iterator[SuiteResult]:
        """Run each suite on its own executor, with the tests whose names match; `records` their traces as data."""
        project = replace(self.project, isolate=report == "gas")
        suites, _ = find_suites(self.artifacts, [TESTS], SuiteFilter(test=tests))
        options = Options(
            verbosity=verbosity, shows_logs=True, records_logs=True, report=report, records_traces=records
        )
        job = Job(project, self.artifacts.locations, self.artifacts.sources, options, seed=1)
        for suite in suites:
            result = SuiteResult(suite.file, suite.contract)
            result.tests += run_suite(job, self.artifacts, suite, result.collected)
            yield result


def _write(profile: str) -> None:
    """Store what forge has compiled."""
    (build,) = (HERE / "out" / "build-info").glob("*.json")
    contracts = []
    for path in sorted((HERE / "out").glob("*.sol/*.json")):
        whole: dict[str, Any] = json.loads(path.read_bytes())
        (file,) = whole["metadata"]["settings"]["compilationTarget"]
        kept = {key: whole[key] for key in ("abi", "bytecode", "deployedBytecode", "methodIdentifiers")}
        contracts.append((file, path.stem, kept))
    content = {"contracts": contracts, "sources": json.loads(build.read_bytes())["source_id_to_path"]}
    (HERE / PROFILES[profile]).write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


if __name__ == "__main__":
    _write(sys.argv[1])
