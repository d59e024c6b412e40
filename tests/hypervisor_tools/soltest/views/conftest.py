"""One run of the project of this folder in this process, with any viewer."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.executor import TestExecutor
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.report.collecting import SuiteCoverage
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.run.run_test import ContractRunner
from hypervisor_tools.soltest.run.serving import executor_settings_of, settings_of
from tests.hypervisor_tools.soltest.views.compiled import HERE, compiled

Watch = Callable[..., dict[str, TestResult]]


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return compiled(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def forge() -> Callable[[str], str]:
    """Read forge's output by file name."""
    return cache(lambda name: (HERE / "forge" / name).read_text(encoding="utf-8"))


@pytest.fixture
def watched() -> list[SuiteCoverage]:
    """Data collected by runs with a report."""
    return []


@pytest.fixture
def watch(artifacts: Artifacts, watched: list[SuiteCoverage]) -> Iterator[Watch]:
    """Run the suite with a viewer, and for a report: results by signature."""
    project = load_project(HERE)
    worlds: list[TestExecutor] = []
    ((suite,), _) = find_suites(artifacts, ["test/Bank.t.sol"], SuiteFilter())

    def run(viewer: TestViewer, report: str = "", rules: str = "ethereum") -> dict[str, TestResult]:
        job = Job(project, artifacts.locations, artifacts.sources, Options(rules=rules), seed=1)
        executor = TestExecutor(executor_settings_of(job), Cheatcodes(settings_of(job, artifacts)))
        worlds.append(executor)
        collector = viewer.collector(executor.machine, report, project) if report else None
        suite_run = ContractRunner(executor, artifacts, project, suite, 1, viewer=viewer, collector=collector)
        results = {test.signature: test for test in suite_run.run()}
        if collector is not None:
            watched.append(collector.collect())
        return results

    yield run
    for executor in worlds:
        executor.close()
