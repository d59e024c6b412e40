"""Coverage of Solidity: the compiler settings of `forge coverage` 1.7.1, and the tests that cover a span."""

from collections.abc import Callable

import pytest

from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.project.project import CompilerSettings
from hypervisor_tools.soltest.report.collecting import CoverageIndex, SuiteCoverageByTest
from hypervisor_tools.soltest.report.coverage import FileCoverage, Item, ItemHits, ItemKind, coverage_settings
from tests.hypervisor_tools.soltest.conftest import Results
from tests.hypervisor_tools.soltest.contracts import call_of_cheatcode

OWN = CompilerSettings(version="0.8.30", optimizer=True, runs=9999, via_ir=True, optimizer_details={"yul": True})
A, B, C = (("t.sol", "T", name) for name in ("a()", "b()", "c()"))
KNOWN = {"s.sol": {(10, 12), (14, 15), (30, 40)}}


def index_of(suite: SuiteCoverageByTest) -> CoverageIndex:
    found = CoverageIndex(KNOWN)
    found.add("t.sol", "T", ["a()", "b()", "c()"], [suite])
    return found


def test_the_closest_span_with_instructions_decides() -> None:
    tests = {"a()": {"s.sol": {(10, 12)}}, "b()": {"s.sol": {(14, 15)}}, "c()": {"s.sol": {(30, 40)}}}
    found = index_of(SuiteCoverageByTest(tests, {}, frozenset()))
    assert found.tests("s.sol", [(10, 13), (9, 20)]) == {A}
    assert found.tests("s.sol", [(11, 12), (9, 20)]) == {A, B}  # nothing begins and ends in the first span
    assert found.tests("s.sol", [(50, 60)]) == set()
    assert found.tests("other.sol", [(10, 12)]) == set()


def test_every_test_of_a_suite_covers_what_set_up_executes() -> None:
    tests = {"a()": {"s.sol": {(10, 12)}}, "b()": {}, "c()": {}}
    found = index_of(SuiteCoverageByTest(tests, {"s.sol": {(30, 40)}}, frozenset()))
    assert found.tests("s.sol", [(30, 40)]) == {A, B, C}
    assert found.tests("s.sol", [(10, 12)]) == {A}


def test_what_was_not_traced_to_its_end_covers_everything() -> None:
    tests: dict[str, dict[str, set[tuple[int, int]]]] = {"a()": {}, "b()": {}}
    found = index_of(SuiteCoverageByTest(tests, {}, frozenset({"a()"})))
    assert found.tests("s.sol", [(10, 12)]) == {A, C}  # c() has no record: its worker was replaced
    assert index_of(SuiteCoverageByTest(tests, {}, frozenset({"setUp()"}))).tests("s.sol", [(10, 12)]) == {A, B, C}


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


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("code", ["60", "6666", "7f"])
def test_code_that_ends_inside_push_is_counted(run_contracts: Callable[..., Results], evm: str, code: str) -> None:
    """Such code ends with STOP, after the missing data."""
    etched = "42" * 20
    calls = ["5f5f5f5f5f73" + etched + "5af1", "@good", "57", "5f5ffd", "good:", "00"]
    body = [*call_of_cheatcode("etch(address,bytes)", f"0x{etched}", bytes.fromhex(code)), *calls]
    test = run_contracts({"Suite": {"testEnds()": body}}, evm=evm, report="coverage")["Suite"]["testEnds()"]
    assert test.status is CaseStatus.SUCCESS, test.reason


def test_header_of_a_loop_has_the_hits_of_its_first_statement() -> None:
    """`for (uint256 i = 0; i < n; i++)` with n = 5 has DA:5,1 in forge 1.7.1."""
    header = [(80, 93, 1), (95, 100, 6), (102, 105, 5)]
    items = [ItemHits(Item(ItemKind.STATEMENT, start, end), 5, hits, hits) for start, end, hits in reversed(header)]
    assert FileCoverage("src/F.sol", tuple(items)).lines == {5: 1}
