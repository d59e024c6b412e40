"""The text report of Solidity tests."""

from fvm_hypervisor.soltest.report import summary_lines
from fvm_hypervisor.soltest.results import CaseKind, CaseStatus, SuiteResult, TestResult


def test_summary_repeats_tests_that_failed_or_are_not_decided() -> None:
    statuses = {"check_a()": CaseStatus.UNDECIDED, "check_b()": CaseStatus.FAILURE, "check_c()": CaseStatus.SUCCESS}
    tests = [TestResult(name, CaseKind.SYMBOLIC, status, "why") for name, status in statuses.items()]
    lines = list(summary_lines([SuiteResult("test/A.t.sol", "A", tests)], 1.0))
    undecided = lines.index("Tests that are not decided:")
    assert lines[undecided + 2] == "[NOT DECIDED: why] check_a() (paths: 0)"
    assert lines[lines.index("Failing tests:") + 2] == "[FAIL: why] check_b() (paths: 0)"
    assert not any("check_c" in line for line in lines)
