"""Tests that cover a span of a source."""

from fvm_hypervisor.soltest.coverage_by_test import CoverageIndex, SuiteCoverageByTest

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
