"""`.gas-snapshot` has the lines of forge's. Expected: `forge snapshot --allow-failure` of forge 1.7.1."""

from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.report.gas import entries_of, text_of
from tests.fvm_hypervisor.soltest.reports.conftest import Runs
from tests.fvm_hypervisor.soltest.reports.golden import forge


def test_gas_snapshot_matches_forge_with_failed_and_skipped(runs: Runs) -> None:
    theirs = forge("gas-snapshot").splitlines()
    ours = text_of(entries_of(runs())).splitlines()
    assert {"ProxyTest:test_fails() (gas: 40240)", "ProxyTest:test_skips() (gas: 0)"} <= {*ours}
    assert [line for line in ours if "Fuzz" not in line] == [line for line in theirs if "Fuzz" not in line]
    assert [line.split(" (")[0] for line in ours] == [line.split(" (")[0] for line in theirs]


def test_same_named_contracts_in_two_files_are_sorted_by_gas() -> None:
    """The lines are those of forge 1.7.1 for two files with a SameTest, of which the first one takes more gas."""
    suites = [
        suite("test/A.t.sol", "SameTest", 3584),
        suite("test/B.t.sol", "SameTest", 122),
        suite("test/B.t.sol", "Same1Test", 122),
    ]
    assert text_of(entries_of(suites)).splitlines() == [
        "Same1Test:test_b() (gas: 122)",
        "SameTest:test_b() (gas: 122)",
        "SameTest:test_b() (gas: 3584)",
    ]


def suite(file: str, contract: str, gas: int) -> SuiteResult:
    return SuiteResult(file, contract, [TestResult("test_b()", CaseKind.UNIT, CaseStatus.SUCCESS, gas=gas)])
