"""`assertions_revert = false`: a failed assertion marks the test as failed, and execution continues.

Rules: forge 1.7.1, crates/cheatcodes/src/test/assert.rs; it prints the message as a line of output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.project.project import InvariantSettings, Project, load_project
from tests.hypervisor_tools.soltest.contracts import artifact, call_of_cheatcode, counting_suite
from tests.hypervisor_tools.soltest.symbolic.staged import staged

Run = Callable[..., dict[str, dict[str, TestResult]]]
FAILING = call_of_cheatcode("assertTrue(bool,string)", False, "some reason")
RULES = [("ethereum", "fast"), ("ethereum", "py-evm"), ("filecoin", "fast")]


@pytest.mark.parametrize(("rules", "evm"), RULES)
def test_execution_continues_after_a_failed_assertion(run_contracts: Run, tmp_path: Path, rules: str, evm: str) -> None:
    """The second assertion is reached only if the first one does not revert."""
    second = call_of_cheatcode("assertEq(uint256,uint256)", 1, 2)
    bodies = {
        "test_fails()": [*FAILING, *second, "00"],
        "test_holds()": [*call_of_cheatcode("assertTrue(bool,string)", True, "some reason"), "00"],
    }

    def ends(project: Project) -> tuple[tuple[CaseStatus, str | None, tuple[str, ...]], CaseStatus]:
        found = run_contracts({"Suite": bodies}, project=project, rules=rules, evm=evm, shows_logs=True)["Suite"]
        failed = found["test_fails()"]
        return (failed.status, failed.reason, tuple(failed.logs)), found["test_holds()"].status

    lines = "some reason", "assertion failed: 1 != 2"
    assert ends(Project(tmp_path, assertions_revert=False)) == (
        (CaseStatus.FAILURE, None, lines), CaseStatus.SUCCESS,
    )  # fmt: skip
    assert ends(Project(tmp_path)) == ((CaseStatus.FAILURE, "some reason", ()), CaseStatus.SUCCESS)


def test_a_failed_assertion_in_a_handler_fails_the_invariant(run_contracts: Run, tmp_path: Path) -> None:
    """With the default, the call reverts with a text that is not that of an assertion, so it is only a revert."""
    counter = artifact({"up()": [*FAILING, "5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "6001"), "Counter": counter}
    settings = InvariantSettings(runs=1, depth=20)

    def found(project: Project) -> TestResult:
        (test,) = run_contracts(suite, project=project, evm="fast")["Suite"].values()
        return test

    failed = found(Project(tmp_path, invariant=settings, assertions_revert=False))
    assert (failed.status, [step.signature for step in failed.counterexample]) == (CaseStatus.FAILURE, ["up()"])
    passed = found(Project(tmp_path, invariant=settings))
    assert passed.status is CaseStatus.SUCCESS
    assert passed.reverts > 0


@pytest.mark.parametrize("reverts", [True, False])
@pytest.mark.parametrize(
    "assertion",
    [("assertTrue(bool)", False), ("assertEqDecimal(uint256,uint256,uint256)", 1, 2, 0)],
    ids=["modelled", "run concretely"],
)
def test_a_failed_assertion_in_an_ignored_call_fails_a_symbolic_test(
    tmp_path: Path, reverts: bool, assertion: tuple[Any, ...]
) -> None:
    """With the default the call reverts, which the test ignores."""
    call_inner = f"63{selector('inner(uint256)').hex()}60e01b5f52" + "5f5f60245f5f305af150" + "00"
    bodies: dict[str, Sequence[str]] = {
        "testFuzzFails(uint256)": [call_inner],
        "testFuzzHolds(uint256)": [*call_of_cheatcode("assertTrue(bool)", True), "00"],
        "inner(uint256)": [*call_of_cheatcode(*assertion), "00"],
    }
    with staged(tmp_path, bodies, assertions_revert=reverts) as suite:
        failed, held = suite.run("testFuzzFails"), suite.run("testFuzzHolds")
        suite.stage.executor.restore(suite.ready)
        outcome = suite.stage.call(selector("testFuzzFails(uint256)") + bytes(32), commit=True)
        concrete, _ = suite.stage.verdict(outcome)
    assert failed.status is concrete is (CaseStatus.SUCCESS if reverts else CaseStatus.FAILURE)
    assert held.status is CaseStatus.SUCCESS


@pytest.mark.parametrize(("text", "reverts"), [("", True), ("assertions_revert = false", False)])
def test_key_of_foundry_toml_is_read(tmp_path: Path, text: str, reverts: bool) -> None:
    (tmp_path / "foundry.toml").write_text(f"[profile.default]\n{text}\n", encoding="utf-8")
    project: Any = load_project(tmp_path)
    assert project.assertions_revert is reverts
