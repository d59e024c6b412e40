"""Tests of a project under two sets of rules: what differs, the instruction or charge that differs first, and its EIP.

Expected amounts are those of the EIPs: cold accounts 2,600 (EIP-2929) and 3,000 (EIP-8038), a new slot 22,100 and
12,100 with 64 bytes of state at 1,530 (EIP-8037, EIP-8038).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.versions.changes import RuleChange
from hypervisor_tools.laboratory.compare import instructions
from hypervisor_tools.laboratory.compare.impact_report import impact_json, impact_junit, impact_lines
from hypervisor_tools.laboratory.compare.instructions import explain
from hypervisor_tools.laboratory.compare.project_tests import (
    Results,
    TestChange,
    TestComparison,
    compare_results,
    explained,
    results_of,
    side_changes,
    with_same_inputs,
)
from hypervisor_tools.laboratory.sides import rules_pair
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project.project import FuzzSettings, Project
from runtimes.evm.forks import forks
from store.keccak import keccak
from tests.hypervisor_tools.soltest.conftest import run_here
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, write

SUITE = "test/T.t.sol:T"
BALANCE = ["61beef31", "00"]
"""Reads the balance of an account that nothing has touched."""


@dataclass(frozen=True)
class Compared:
    """A comparison with the results on both sides."""

    comparison: TestComparison
    results: tuple[Results, Results]
    suites: list[SuiteResult]

    def change(self, test: str) -> TestChange:
        (found,) = (change for change in self.comparison.changes if change.test == test)
        return found


def compare(
    folder: Path, rules: str, functions: Mapping[str, Sequence[str]], tolerance: float = 0.0, **settings: Any
) -> Compared:
    """Compare the tests of one contract under two sets of rules, in this process."""
    places = [ArtifactLocation("test/T.t.sol", "T", write(folder / "made", {"T": artifact(functions)}) / "T.json")]
    sides = rules_pair(rules)
    project = with_same_inputs(replace(Project(folder, fuzz=FuzzSettings(runs=20, seed=1)), **settings), sides)
    suites, _ = find_suites(Artifacts(folder, places, {}), ["test/T.t.sol"], SuiteFilter())
    options = Options(rules="ethereum" if sides[0].hardfork else "filecoin", shows_logs=True, records_logs=True)
    job = Job(project, places, {}, options, seed=1)
    first, second = (replace(job, **side_changes(side, job)) for side in sides)
    ended = [list(run_here(each, suites)) for each in (first, second)]
    one, other = (results_of(each) for each in ended)
    changes = explained(compare_results(one, other, tolerance), suites, (first, second), (one, other))
    labels = sides[0].label, sides[1].label
    return Compared(TestComparison(labels, tuple({**one, **other}), 0, tuple(changes), 1), (one, other), ended[1])


def reasons(change: TestChange) -> list[str]:
    return [each.text() for each in change.explanation.reasons]


def test_a_dearer_account_is_named_with_its_eip(tmp_path: Path) -> None:
    found = compare(tmp_path, "shanghai,amsterdam", {"test_a()": BALANCE, "test_b()": ["5f54", "00"]})
    change = found.change("test_a()")
    assert (change.kinds, change.gas[1] - change.gas[0]) == (("gas",), 400)
    assert change.explanation.first.endswith(": 2,600 -> 3,000 gas")
    assert change.explanation.first.startswith("BALANCE at T, byte ")
    assert reasons(change) == ["cold_account 2,600 -> 3,000 (EIP-8038)"]


def test_an_opcode_of_a_later_fork_changes_the_outcome(tmp_path: Path) -> None:
    found = compare(tmp_path, "shanghai,cancun", {"test_copy()": ["5f5f5f5e", "00"], "test_other()": PASS})
    (change,) = found.comparison.changes
    assert change.kinds[0] == "outcome"
    assert (change.ends[0].partition(":")[0], change.ends[1]) == ("Failure", "Success")
    assert "MCOPY" in change.explanation.divergence
    assert [each.text() for each in change.explanation.divergence_reasons] == ["MCOPY none -> 3 (EIP-5656)"]
    assert found.comparison.has_other_outcomes


def test_reasons_of_the_divergence_are_apart_from_those_of_the_first_difference(tmp_path: Path) -> None:
    found = compare(tmp_path, "shanghai,amsterdam", {"test_copy()": [*BALANCE[:-1], "5f5f5f5e", "00"]})
    lines = [line.strip() for line in impact_lines(found.comparison)]
    first = next(number for number, line in enumerate(lines) if line.startswith("first difference: BALANCE"))
    assert lines[first + 1] == "cold_account 2,600 -> 3,000 (EIP-8038)"
    assert lines[first + 2] == "the runs diverge after opcode 0x5e not defined/MCOPY at T, byte 27"
    assert lines[first + 3] == "MCOPY none -> 3 (EIP-5656)"
    (change,) = impact_json(found.comparison)["changes"]
    assert [each["name"] for each in change["reasons"]] == ["cold_account"]
    assert [each["name"] for each in change["divergence_reasons"]] == ["MCOPY"]


NEW_SLOT = ["60015f55", "00"]


@pytest.mark.parametrize(
    ("before", "after"), [("shanghai", "cancun"), ("cancun", "prague"), ("prague", "osaka")], ids=lambda name: name
)
def test_forks_with_the_same_prices_give_the_same_gas(tmp_path: Path, before: str, after: str) -> None:
    functions = {"test_slot()": NEW_SLOT, "test_balance()": BALANCE, "testFuzz(uint256)": NEW_SLOT}
    assert compare(tmp_path, f"{before},{after}", functions).comparison.changes == ()


def test_gas_of_new_state_is_told_apart(tmp_path: Path) -> None:
    change = compare(tmp_path, "osaka,amsterdam", {"test_slot()": NEW_SLOT}).change("test_slot()")
    assert change.explanation.first.endswith(": 22,100 -> 110,020 gas")
    assert (change.gas[1] - change.gas[0], change.explanation.state_gas) == (12_100 + 64 * 1_530 - 22_100, 64 * 1_530)
    assert sorted(each.sources for each in change.explanation.reasons) == [
        ("EIP-8037",),
        ("EIP-8037", "EIP-8038"),
        ("EIP-8038",),
    ]


CREATES = ["60205f5ff0", "50", "00"]
"""Creates a contract of the init code STOP."""
CLEARS = ["5f60015f5555", "5f5f55", "60015f55", "5f5f55", "00"]


@pytest.mark.parametrize("rules", ["osaka,amsterdam", "paris,osaka", "cancun,amsterdam"])
@pytest.mark.parametrize(
    "body", [BALANCE, NEW_SLOT, CREATES, CLEARS, PASS], ids=["balance", "slot", "creation", "refunds", "nothing"]
)
@pytest.mark.parametrize("isolate", [False, True], ids=["", "isolated"])
def test_rows_of_gas_add_up_to_the_difference(tmp_path: Path, rules: str, body: list[str], isolate: bool) -> None:
    """The body runs in the test, and in a call of the test, which `isolate` makes a transaction."""
    calls = [f"63{keccak(b'inner()')[:4].hex()}5f52", "3d3d6004601c3d305af1", "3d3d6004601c47305af1", "00"]
    # PUSH0 is missing in Paris
    functions = {name: [part.replace("5f", "3d") for part in code] for name, code in (
        ("test_a()", body), ("inner()", body), ("test_b()", calls),
    )}  # fmt: skip
    for change in compare(tmp_path, rules, functions, isolate=isolate).comparison.changes:
        rows = change.explanation.rows
        assert sum(row.gas[1] - row.gas[0] for row in rows) == change.gas[1] - change.gas[0]
        assert all(row.changes for row in rows), rows


def inner_call(gas: int) -> list[str]:
    """Return code that calls `inner()` of the test contract with `gas`, and reverts if it fails."""
    call = f"5f5f6004601c5f3062{gas:06x}f1"
    return [f"63{keccak(b'inner()')[:4].hex()}5f52", call, "@good", "57", "5f5ffd", "good:", "00"]


def test_a_gas_argument_that_no_longer_suffices_is_named(tmp_path: Path) -> None:
    functions = {"test_a()": inner_call(2_900), "test_b()": inner_call(3_900), "inner()": BALANCE}
    found = compare(tmp_path, "osaka,amsterdam", functions)
    change, other = found.change("test_a()"), found.change("test_b()")
    assert (change.kinds[0], other.kinds) == ("outcome", ("gas",))
    (limit,) = change.explanation.limits
    assert "CALL at T, byte " in limit
    assert "gives 2,900 gas" in limit
    assert "BALANCE at T, byte " in limit
    assert [each.text() for each in change.explanation.divergence_reasons] == ["cold_account 2,600 -> 3,000 (EIP-8038)"]
    assert other.explanation.limits == ()


DEPOSITS = ["646104005ff35f52", "6005601b5ff0", "5f5500"]
"""Creates a contract with 1,024 bytes of code, and writes its address."""


def test_a_charge_that_runs_out_of_gas_is_named_and_does_not_count_as_paid(tmp_path: Path) -> None:
    functions = {"test_a()": inner_call(400_000), "inner()": DEPOSITS}
    change = compare(tmp_path, "osaka,amsterdam", functions).change("test_a()")
    found = change.explanation
    (limit,) = found.limits
    assert limit.startswith("CALL at T, byte ")
    assert "gives 400,000 gas" in limit
    assert "OnStateGas" in limit
    assert found.state_gas == 0  # the new account's is returned
    assert sum(row.gas[1] - row.gas[0] for row in found.rows) == change.gas[1] - change.gas[0]


@pytest.mark.parametrize("end", ["00", "5f5ffd"], ids=["kept", "reverted"])
def test_state_gas_of_a_reverted_call_is_not_paid(tmp_path: Path, end: str) -> None:
    call = f"5f5f6004601c5f3062{400_000:06x}f1"
    functions = {"test_a()": [f"63{keccak(b'inner()')[:4].hex()}5f52", call, "00"], "inner()": ["60015f55", end]}
    change = compare(tmp_path, "osaka,amsterdam", functions).change("test_a()")
    assert change.explanation.state_gas == (64 * 1_530 if end == "00" else 0)
    rows = change.explanation.rows
    assert sum(row.gas[1] - row.gas[0] for row in rows) == change.gas[1] - change.gas[0]


def test_state_gas_of_a_reverted_test_is_not_paid(tmp_path: Path) -> None:
    change = compare(tmp_path, "osaka,amsterdam", {"test_a()": ["60015f55", "5f5ffd"]}).change("test_a()")
    assert (change.kinds, change.explanation.state_gas, change.explanation.divergence) == (("gas",), 0, "")
    assert sum(row.gas[1] - row.gas[0] for row in change.explanation.rows) == change.gas[1] - change.gas[0]


def test_the_gas_of_a_test_that_no_longer_suffices_is_named(tmp_path: Path) -> None:
    change = compare(tmp_path, "osaka,amsterdam", {"test_a()": NEW_SLOT}, gas_limit=80_000).change("test_a()")
    assert change.kinds[0] == "outcome"
    (limit,) = change.explanation.limits
    assert limit.startswith("the outermost call has ")
    assert "SSTORE at T, byte " in limit


@pytest.mark.parametrize("gas", ["2710", "1770"], ids=["enough", "too little"])
def test_the_first_call_of_a_new_precompile_is_named(tmp_path: Path, gas: str) -> None:
    """P256VERIFY costs 6,900, and a precompile is warm: 100 instead of 2,600."""
    functions = {"test_a()": [f"5f5f5f5f61010061{gas}fa", "00"]}
    change = compare(tmp_path, "prague,osaka", functions).change("test_a()")
    assert reasons(change) == ["precompiles.p256_verify none -> True (EIP-7951)"]
    assert change.explanation.first.endswith(": 2,600 -> 100 gas")
    assert ["OnPrecompile" in each for each in change.explanation.limits] == ([True] if gas == "1770" else [])


def test_a_planted_price_of_a_fork_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = forks.OSAKA.successor("Planted", gas=forks.OSAKA.gas._replace(cold_slot=2_150))
    monkeypatch.setattr(forks, "FORKS", {**forks.FORKS, "Planted": planted})
    change = compare(tmp_path, "osaka,Planted", {"test_a()": ["5f54", "00"], "test_b()": BALANCE}).change("test_a()")
    assert change.gas[1] - change.gas[0] == 50
    assert change.explanation.first.endswith(": 2,100 -> 2,150 gas")
    assert reasons(change) == ["cold_slot 2,100 -> 2,150"]


DRAFT = 'name = "nv30-draft"\nnumber = 30\nbase = 29\nepoch = 0\n[prices]\n{}\n'


@pytest.mark.parametrize(
    ("price", "before", "charge", "functions"),
    [
        ("block_persist_compute = 86_000", "172,000 -> 86,000", "OnBlockLink", NEW_SLOT),
        ("invoke.flat = 80_000", "75,000 -> 80,000", "OnMethodInvocation", PASS),
        ("wasm_instruction = 5", "4 -> 5", "OnEvm", PASS),
    ],
    ids=["block", "invocation", "instruction"],
)
def test_a_planted_price_of_a_draft_is_the_reason(
    tmp_path: Path, price: str, before: str, charge: str, functions: list[str]
) -> None:
    draft = tmp_path / "nv30.toml"
    draft.write_text(DRAFT.format(price), encoding="utf-8")
    found = compare(tmp_path, f"nv29,{draft}", {"test_a()": functions})
    change = found.change("test_a()")
    assert change.kinds == ("gas",)
    assert reasons(change) == [f"{price.partition(' ')[0]} {before} (nv30-draft)"]
    assert change.explanation.first.startswith(charge)
    assert change.explanation.calls[-1].endswith("T.test_a")
    rows = change.explanation.rows
    assert sum(row.gas[1] - row.gas[0] for row in rows) == pytest.approx(change.gas[1] - change.gas[0], abs=len(rows))


GAS_IN_A_LOG = ["5a5f52", "60205fa0", "00"]


def test_fuzz_tests_have_the_same_inputs(tmp_path: Path) -> None:
    """The log has the remaining gas, which differs after an access to an account, and is a word to draw from."""
    functions = {"testFuzz(uint256)": [*BALANCE[:1], "50", *GAS_IN_A_LOG]}
    one, other = compare(tmp_path, "osaka,amsterdam", functions).results
    inputs = [each[SUITE, "testFuzz(uint256)"].last_run[0].calldata for each in (one, other)]
    assert inputs[0] == inputs[1]
    assert one[SUITE, "testFuzz(uint256)"].runs == 20


def test_a_transfer_that_emits_a_log_differs_in_events(tmp_path: Path) -> None:
    functions = {"test_send()": ["5f5f5f5f600161beef5af1", "50", "00"], "test_none()": PASS}
    found = compare(tmp_path, "osaka,amsterdam", functions)
    change = found.change("test_send()")
    assert (change.events, "events" in change.kinds) == ((0, 1), True)
    assert change.explanation.event == "no event -> Transfer of value"
    assert "transfer_logs False -> True (EIP-7708)" in reasons(change)
    assert "events" not in found.change("test_none()").kinds


def test_tolerance_applies_to_gas_alone(tmp_path: Path) -> None:
    functions = {"test_a()": BALANCE, "test_b()": inner_call(2_900), "inner()": BALANCE}
    found = compare(tmp_path, "osaka,amsterdam", functions, tolerance=50.0)
    assert [change.test for change in found.comparison.changes] == ["test_b()"]


def test_failing_set_up_is_explained(tmp_path: Path) -> None:
    functions = {"setUp()": inner_call(2_900), "test_a()": PASS, "inner()": BALANCE}
    found = compare(tmp_path, "osaka,amsterdam", functions)
    change = found.change("setUp()")
    assert change.ends == ("not run", "Failure: EvmError: Revert")
    assert len(change.explanation.limits) == 1
    assert found.change("test_a()").ends == ("Success", "not run")


def of(*tests: TestResult) -> dict[tuple[str, str], TestResult]:
    return results_of([SuiteResult("test/T.t.sol", "T", list(tests))])


def ended(name: str, status: CaseStatus = CaseStatus.SUCCESS, reason: str | None = None, gas: int = 100) -> TestResult:
    return TestResult(f"{name}()", CaseKind.UNIT, status, reason, gas)


def test_other_outcome_reason_or_gas_or_missing_test_differs() -> None:
    failed = CaseStatus.FAILURE
    old = of(ended("test_a"), ended("test_b"), ended("test_c"), ended("test_d"), ended("test_e", failed, "one"))
    new = of(ended("test_a"), ended("test_b", failed, "no"), ended("test_c", gas=101), ended("test_e", failed, "two"))
    found = compare_results(old, new, 0.0)
    assert [(change.test, change.kinds) for change in found] == [
        ("test_b()", ("outcome",)),
        ("test_c()", ("gas",)),
        ("test_d()", ("outcome",)),
        ("test_e()", ("reason",)),
    ]
    assert compare_results(of(ended("test_e", failed, "one")), of(ended("test_e", failed, "one")), 0.0) == []


def test_reports_say_what_differs_and_why(tmp_path: Path) -> None:
    functions = {"test_a()": inner_call(2_900), "test_b()": BALANCE, "test_c()": ["5f54", "00"], "inner()": BALANCE}
    found = compare(tmp_path, "osaka,amsterdam", functions)
    lines = list(impact_lines(found.comparison))
    assert [line for line in lines if line.startswith(SUITE)] == [f"{SUITE} test_a(): outcome, gas"]
    assert lines[-1] == "Osaka and Amsterdam: 3 tests, 1 other outcome, 2 with other gas"
    assert "      cold_account 2,600 -> 3,000 (EIP-8038)" in lines
    before, after = found.change("test_b()").gas
    assert after - before == 400  # a cold account costs 3,000 instead of 2,600 (EIP-8038)
    assert f"  {SUITE}: +400 (+{40_000 / before:.1f} %) in 1 of 3 tests" in lines
    assert "  EIP-8038: +400 in 1 test, T.test_b()" in lines
    assert f"{SUITE} test_b(): gas" in impact_lines(found.comparison, in_full=True)
    data = impact_json(found.comparison)
    assert (data["outcomes_differ"], len(data["changes"])) == (True, 2)
    (reason,) = data["changes"][1]["reasons"]
    assert reason == {"name": "cold_account", "values": [2_600, 3_000], "sources": ["EIP-8038"]}
    xml = impact_junit(found.comparison, found.suites, 1.0)
    assert '<testsuites name="Test run" tests="3" failures="1"' in xml
    assert '<failure message="Osaka: Success, gas' in xml


@pytest.mark.parametrize("steps", [0, 30])
def test_a_test_of_too_many_instructions_is_not_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(instructions, "MAX_STEPS", steps)
    functions = {"test_a()": [BALANCE[0], "5f5f5050" * 20, inner_call(9_000)[0], "00"]}
    change = compare(tmp_path, "osaka,amsterdam", functions).change("test_a()")
    assert change.kinds == ("gas",)
    assert "too long" in change.explanation.note


def test_fewest_changes_that_add_up_are_the_reason() -> None:
    cold, read, write = (
        RuleChange("cold_account", 2_600, 3_000, ()),
        RuleChange("code_read", 0, 100, ()),
        RuleChange("state_byte", 0, 1_530, ()),
    )
    changes = [cold, read, write]
    assert explain(changes, 400) == ((cold,), 0)
    assert explain(changes, 500) == ((cold, read), 0)
    assert explain(changes, 400 + 120 * 1_530) == ((cold, write), 120 * 1_530)
    assert explain(changes, 7) == (tuple(changes), 0)
