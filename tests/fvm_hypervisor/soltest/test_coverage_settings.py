"""The compiler settings for coverage are those of `forge coverage` 1.7.1."""

import pytest

from fvm_hypervisor.soltest.coverage_settings import coverage_settings
from fvm_hypervisor.soltest.project import CompilerSettings

OWN = CompilerSettings(version="0.8.30", optimizer=True, runs=9999, via_ir=True, optimizer_details={"yul": True})


def test_coverage_is_measured_without_the_optimizer_and_the_ir() -> None:
    found = coverage_settings(OWN, ir_minimum=False)
    assert (found.optimizer, found.runs, found.via_ir, found.optimizer_details) == (False, 200, False, None)
    assert found.version == "0.8.30"


@pytest.mark.parametrize(
    ("version", "has_inliner"), [("0.8.30", True), ("0.8.5", True), ("0.8.4", False), (None, False)]
)
def test_the_least_of_the_ir_keeps_the_projects_optimizer(version: str | None, has_inliner: bool) -> None:
    own = CompilerSettings(version=version, optimizer=True, runs=9999)
    found = coverage_settings(own, ir_minimum=True)
    assert (found.optimizer, found.runs, found.via_ir) == (True, 9999, True)
    assert found.optimizer_details is not None
    assert ("inliner" in found.optimizer_details) == has_inliner
    assert found.optimizer_details["yulDetails"] == {"stackAllocation": True, "optimizerSteps": "u"}
