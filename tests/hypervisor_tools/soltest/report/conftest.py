"""Runs of the project in this folder, shared by all tests."""

from collections.abc import Callable
from functools import cache

import pytest

from hypervisor_tools.soltest.execution.results import SuiteResult
from tests.hypervisor_tools.soltest.report.golden import ReportProject

Runs = Callable[..., list[SuiteResult]]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs the suites: `runs(profile, verbosity, report, records)`."""
    project = cache(lambda profile: ReportProject(tmp_path_factory.mktemp(profile), profile))
    return cache(
        lambda profile="default", verbosity=0, report="", records=False: list(
            project(profile).run(verbosity=verbosity, report=report, records=records)
        )
    )
