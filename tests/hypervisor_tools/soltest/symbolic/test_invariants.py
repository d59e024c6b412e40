"""Symbolic invariant tests: failing sequences that were found by hand, and sequences that no bound excludes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.execution import discovery
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.report.counterexample_tests import write_tests
from hypervisor_tools.soltest.report.report import lines_of
from tests.hypervisor_tools.soltest.contracts import artifact
from tests.hypervisor_tools.soltest.symbolic import golden
from tests.hypervisor_tools.soltest.symbolic.staged import SETTINGS, staged_artifacts

RECORD = golden.read()
PASS, FAIL, UNDECIDED = CaseStatus.SUCCESS, CaseStatus.FAILURE, CaseStatus.UNDECIDED


def result(folder: Path, contract: str, name: str, depth: int, settings: Mapping[str, Any] | None = None) -> TestResult:
    """Return the result of an invariant test."""
    artifacts = RECORD["artifacts"]
    with staged_artifacts(folder, artifacts, f"test/Invariants.t.sol:{contract}", "prague") as test:
        test.project = replace(test.project, invariant=replace(test.project.invariant, **settings or {}))
        return test.run(name, SETTINGS._replace(invariant_depth=depth))


def calls(found: TestResult) -> list[str]:
    """Return the calls of a counterexample as `name(arguments)`."""
    return [f"{call.signature.partition('(')[0]}({call.raw_arguments})" for call in found.counterexample]


SEQUENCES: dict[str, tuple[str, str, int, list[str]]] = {
    "three keys": ("LockTest", "invariant_isNotOpen", 3, [
        f"first({0x1234567890abcdef})", f"second({0xfedcba0987654321})", "third"]),
    "six steps": ("LadderTest", "invariant_isBelowSix", 6, ["up(0)", *["up"] * 5]),
    "any sender": ("AnySenderTest", "invariant_isNotTaken", 1, ["take()"]),
    "one of the targeted senders": ("BothSendersTest", "invariant_isNotTaken", 1, ["take()"]),
    "a transfer to oneself": ("WrongTokenTest", "invariant_sum", 1, ["transfer"]),
    "one side of a branch": ("PathsTest", "invariant_low", 2, ["set(3)", "low()"]),
    "the other side": ("PathsTest", "invariant_high", 2, ["set(9)", "high()"]),
    "an assertion of a target": ("HandlerTest", "invariant_", 1, ["assertion(1234567)"]),
    "a cheatcode's effect outlives a revert": ("ClockTest", "invariant_isNotSeen", 2, ["wait_()", "look()"]),
    "the end of a sequence": ("EndTest", "invariant_", 2, ["up(0)", "up"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "name", "depth", "wanted"), SEQUENCES.values(), ids=SEQUENCES)
def test_shortest_failing_sequence_is_found(
    contract: str, name: str, depth: int, wanted: list[str], tmp_path: Path
) -> None:
    found = result(tmp_path / "found", contract, name, depth)
    assert found.status is FAIL, found.reason
    assert len(found.counterexample) == depth
    for call, start in zip(calls(found), wanted, strict=True):
        assert call.startswith(start)
    if depth > 1:
        shorter = result(tmp_path / "shorter", contract, name, depth - 1)
        assert (shorter.status, shorter.depth) == (PASS, depth - 1), shorter.reason


PASSING = {
    "an excluded sender": ("ExcludedSenderTest", "invariant_isNotTaken"),
    "another targeted sender": ("OtherSenderTest", "invariant_isNotTaken"),
    "transfers keep the sum": ("TokenTest", "invariant_sum"),
    "transient storage ends with each call": ("ClockTest", "invariant_transientStorageEnds"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "name"), PASSING.values(), ids=PASSING)
def test_pass_names_its_depth(contract: str, name: str, tmp_path: Path) -> None:
    found = result(tmp_path, contract, name, 2)
    assert found.status is PASS, found.reason
    assert found.figures().endswith(", to depth 2)")


def test_state_that_another_covers_is_explored_once(tmp_path: Path) -> None:
    """A ladder has five states below six: each has its two calls, of two outcomes, and a check."""
    found = result(tmp_path, "LadderTest", "invariant_isBelowSix", 5)
    assert found.status is PASS, found.reason
    assert found.runs < 60


@pytest.mark.parametrize(("fails_on_revert", "status"), [(True, FAIL), (False, PASS)])
def test_revert_is_a_failure_by_setting(fails_on_revert: bool, status: CaseStatus, tmp_path: Path) -> None:
    found = result(tmp_path, "AnySenderTest", "invariant_isNotTaken", 1, {"fail_on_revert": True})
    assert calls(found) == ["take()"]
    owned = result(tmp_path / "2", "OtherSenderTest", "invariant_isNotTaken", 1, {"fail_on_revert": fails_on_revert})
    assert owned.status is status, owned.reason


def test_what_is_not_modelled_is_not_decided(tmp_path: Path) -> None:
    maximized = result(tmp_path / "a", "LockTest", "invariant_value", 1)
    delayed = result(tmp_path / "b", "LockTest", "invariant_isNotOpen", 1, {"max_time_delay": 5})
    assert (maximized.status, maximized.reason) == (UNDECIDED, "a test that returns the number to maximize")
    assert (delayed.status, delayed.reason) == (
        UNDECIDED, "delays between calls (max_time_delay, max_block_delay)",
    )  # fmt: skip


def test_limit_of_paths_is_no_pass(tmp_path: Path) -> None:
    artifacts = RECORD["artifacts"]
    with staged_artifacts(tmp_path, artifacts, "test/Invariants.t.sol:LockTest", "prague") as test:
        found = test.run("invariant_isNotOpen", SETTINGS._replace(invariant_depth=3, paths=3))
    assert found.status is UNDECIDED
    assert "--symbolic-paths" in (found.reason or "")


def test_counterexample_that_does_not_fail_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_tools.soltest.fuzz.invariants.InvariantRun.failure_of", lambda *_: None)
    found = result(tmp_path, "AnySenderTest", "invariant_isNotTaken", 1)
    assert found.status is UNDECIDED
    assert "does not fail when it is run" in (found.reason or "")


def test_the_documented_sequence_is_found(tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], "test/Lock.t.sol:LockTest", "prague") as test:
        found = test.run("invariant_isNotOpen")
    assert f"```text\n{chr(10).join(lines_of(found))}\n```" in golden.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("symbolic", ["checks", "fuzz"])
def test_symbolic_run_selects_invariants(symbolic: str) -> None:
    """Source: forge 1.8 `test --symbolic` selects check*, prove*, invariant* and statefulFuzz*."""
    names = ("check_a", "prove_b", "invariant_c", "statefulFuzz_d", "table_e", "test_f")
    found = discovery.tests_of(
        ContractArtifact.of("T", "T.t.sol", artifact({f"{name}()": ["00"] for name in names})), symbolic
    )
    assert {test.name for test in found} == {*names[:4]}
    assert {test.kind for test in found} == {CaseKind.SYMBOLIC}


def test_sequence_becomes_a_unit_test(tmp_path: Path) -> None:
    found = result(tmp_path / "run", "PathsTest", "invariant_low", 2)
    (file,) = write_tests([SuiteResult("test/Paths.t.sol", "PathsTest", [found])], tmp_path, tmp_path / "test/found")
    text = file.read_text(encoding="utf-8")
    first, last = (call.calldata.hex() for call in found.counterexample)
    assert text.count(".prank(") == 2
    assert text.index(f'.call(hex"{first}");') < text.index(f'.call(hex"{last}");')
    assert f'delegatecall(hex"{selector("invariant_low()").hex()}")' in text
