"""The text report of Solidity tests, and the differences that `hypervisor test --network nv27,nv28` reports."""

from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.report.report import column, compare_lines, differences, summary_lines


def of(*tests: TestResult) -> dict[tuple[str, str], TestResult]:
    return column([SuiteResult("test/A.t.sol", "A", list(tests))])


def ended(name: str, status: CaseStatus = CaseStatus.SUCCESS, reason: str | None = None, gas: int = 100) -> TestResult:
    return TestResult(f"{name}()", CaseKind.UNIT, status, reason, gas)


def test_different_outcome_or_gas_or_missing_test_differs() -> None:
    old = of(ended("test_a"), ended("test_b"), ended("test_c"), ended("test_d"))
    new = of(ended("test_a"), ended("test_b", CaseStatus.FAILURE, "no"), ended("test_c", gas=101))
    found = differences({"nv27": old, "nv28": new})
    assert [signature for _, signature in found] == ["test_b()", "test_c()", "test_d()"]
    assert list(compare_lines({"nv27": old, "nv28": new})) == [
        "test/A.t.sol:A test_b()",
        "    nv27: Success, gas 100",
        "    nv28: Failure (no), gas 100",
        "test/A.t.sol:A test_c()",
        "    nv27: Success, gas 100",
        "    nv28: Success, gas 101",
        "test/A.t.sol:A test_d()",
        "    nv27: Success, gas 100",
        "    nv28: missing, gas 0",
        "2 network versions (nv27, nv28): 1 tests end alike, 3 differ",
    ]


def test_the_same_failure_with_the_same_words_is_no_difference() -> None:
    failed = of(ended("test_a", CaseStatus.FAILURE, "no"))
    assert differences({"nv27": failed, "nv28": failed}) == []


def test_summary_repeats_tests_that_failed_or_are_not_decided() -> None:
    statuses = {"check_a()": CaseStatus.UNDECIDED, "check_b()": CaseStatus.FAILURE, "check_c()": CaseStatus.SUCCESS}
    tests = [TestResult(name, CaseKind.SYMBOLIC, status, "why") for name, status in statuses.items()]
    lines = list(summary_lines([SuiteResult("test/A.t.sol", "A", tests)], 1.0, "checks"))
    assert any("`hypervisor test --symbolic --rerun`" in line for line in lines)
    undecided = lines.index("Tests that are not decided:")
    assert lines[undecided + 2] == "[NOT DECIDED: why] check_a() (paths: 0)"
    assert lines[lines.index("Failing tests:") + 2] == "[FAIL: why] check_b() (paths: 0)"
    assert not any("check_c" in line for line in lines)
