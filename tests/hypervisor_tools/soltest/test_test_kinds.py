"""Kinds of tests and special functions of test contracts, as forge 1.7.1 runs or rejects them.

`make soltests` runs the same kinds, compiled from Solidity, by both (tests/soltests/projects/kinds).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project.project import InvariantSettings, Project
from hypervisor_tools.soltest.report.report import json_report
from tests.hypervisor_tools.soltest.contracts import FAIL, PASS, artifact, counting_suite, write

Run = Callable[..., dict[str, dict[str, TestResult]]]

# the test's first and second argument
X, Y = "600435", "602435"
REMOVED = "`testFail*` has been removed. Consider changing to test_Revert[If|When]_Condition and expecting a revert"


def returning(kind: str, value: Any) -> list[str]:
    """Return a body that returns a value of a type."""
    data = encode([kind], [value])
    words = [f"7f{data[at : at + 32].hex()}61{at:04x}52" for at in range(0, len(data), 32)]
    return [*words, f"61{len(data):04x}5ff3"]


def table_suite(fixtures: dict[str, tuple[str, Any]], tests: dict[str, list[str]]) -> dict[str, Any]:
    """Return a contract with fixture functions, by name with type and value, and with tests."""
    made = artifact({**{f"{name}()": returning(*found) for name, found in fixtures.items()}, **tests})
    for entry in made["abi"]:
        if entry["name"] in fixtures:
            entry["outputs"] = [{"name": "", "type": fixtures[entry["name"]][0]}]
    return made


def test_a_table_test_is_called_with_each_row(run_contracts: Run) -> None:
    fixtures = {"fixtureA0": ("uint256[]", [1, 2, 30]), "fixture_A1": ("uint256[]", [2, 4, 60])}
    doubles = [X, "6002", "02", Y, "14", "@good", "57", *FAIL, "good:", "5f5415", "@first", "57", *FAIL, "first:",
               "60015f5500"]  # fmt: skip
    not_two = [X, "600214", "@bad", "57", "00", "bad:", *FAIL]
    suite = table_suite(fixtures, {"tableDoubles(uint256,uint256)": doubles, "tableNotTwo(uint256)": not_two})
    found = run_contracts({"Table": suite})["Table"]
    passed, failed = found["tableDoubles(uint256,uint256)"], found["tableNotTwo(uint256)"]
    assert (passed.status, passed.kind, passed.runs) == (CaseStatus.SUCCESS, CaseKind.TABLE, 3)
    assert passed.figures() == f"(runs: 3, μ: {passed.gases[0]}, ~: {passed.gases[0]})"
    assert (failed.status, failed.runs, failed.counterexample[0].arguments) == (CaseStatus.FAILURE, 2, "2")
    suite_object = json_report([SuiteResult("test/T.t.sol", "Table", [failed])])["test/T.t.sol:Table"]
    kind = suite_object["test_results"]["tableNotTwo(uint256)"]["kind"]
    assert set(kind["Table"]) == {"runs", "mean_gas", "median_gas"}


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("table()", "Table test should have at least one parameter"),
        ("table(uint256,uint256,uint256)", "No fixture defined for param a2"),
        ("table(uint256,uint256)", "1 fixtures defined for a1 (expected 2)"),
        ("table(address)", 'type mismatch: expected type "address", got value with type "uint256"'),
    ],
)
def test_a_table_test_without_a_table_fails_in_forges_words(run_contracts: Run, test: str, reason: str) -> None:
    fixtures = {"fixtureA0": ("uint256[]", [1, 2]), "fixtureA1": ("uint256[]", [2])}
    if "uint256,uint256,uint256" in test:
        fixtures["fixtureA1"] = ("uint256[]", [2, 3])
    result = run_contracts({"Table": table_suite(fixtures, {test: PASS})})["Table"][test]
    assert (result.status, result.reason, result.kind) == (CaseStatus.FAILURE, reason, CaseKind.UNIT)


def test_fixtures_of_another_type_than_the_parameter_get_a_notice(run_contracts: Run) -> None:
    fixtures = {"fixtureA0": ("uint256[]", [1]), "fixtureOther": ("uint256[]", [1])}
    tests = {"testFuzzOne(address)": PASS, "testFuzzTwo(uint256)": PASS}
    found = run_contracts({"Fuzz": table_suite(fixtures, tests)})["Fuzz"]
    (notice,) = found["testFuzzOne(address)"].notices
    assert notice == (
        "the fixtures of a0 are not used: their type is uint256, the parameter's address; "
        "declare them with the parameter's type"
    )
    assert not found["testFuzzTwo(uint256)"].notices


def test_table_test_first_parameter_needs_nonempty_fixture(run_contracts: Run) -> None:
    found = run_contracts({
        "None": table_suite({}, {"table(uint256)": PASS}),
        "Empty": table_suite({"fixtureA0": ("uint256[]", [])}, {"table(uint256)": PASS}),
    })  # fmt: skip
    assert found["None"]["table(uint256)"].reason == "Table test should have fixtures defined"
    assert found["Empty"]["table(uint256)"].reason == "Table test should have at least one fixture"


def test_a_contract_with_a_test_that_has_to_fail_fails(run_contracts: Run, tmp_path: Path) -> None:
    bodies = {"testFailIsExpected()": FAIL, "testFailDoesNot()": PASS, "testOther()": PASS}
    found = run_contracts({"Removed": bodies})["Removed"]
    assert {name: (test.status, test.reason) for name, test in found.items()} == {
        "testFailIsExpected()": (CaseStatus.FAILURE, REMOVED),
        "testFailDoesNot()": (CaseStatus.FAILURE, REMOVED),
    }
    allowed = run_contracts({"Removed": bodies}, project=Project(tmp_path, allow_test_fail=True))["Removed"]
    assert {name: test.status for name, test in allowed.items()} == {
        "testFailIsExpected()": CaseStatus.SUCCESS,
        "testFailDoesNot()": CaseStatus.FAILURE,
        "testOther()": CaseStatus.SUCCESS,
    }


def test_set_up_is_called_in_its_own_spelling_alone_and_once(run_contracts: Run, tmp_path: Path) -> None:
    contracts = {
        "Lower": {"setup()": FAIL, "testRuns()": PASS},
        "Two": {"setUp()": PASS, "setUp(uint256)": PASS, "testNever()": PASS},
        "Ends": {"afterInvariant()": PASS, "AfterInvariant()": PASS, "testNever()": PASS},
    }
    found = run_contracts(contracts)
    assert found["Lower"]["testRuns()"].status is CaseStatus.SUCCESS
    assert [(name, test.reason) for name, test in found["Two"].items()] == [("setUp()", "multiple setUp functions")]
    ends = [("afterInvariant()", "multiple afterInvariant functions")]
    assert [(name, test.reason) for name, test in found["Ends"].items()] == ends
    folder = write(tmp_path / "found", {"Lower": artifact(contracts["Lower"])})
    place = ArtifactLocation("test/T.t.sol", "Lower", folder / "Lower.json")
    (suite,), _ = find_suites(Artifacts(tmp_path, [place], {}), ["test/T.t.sol"], SuiteFilter())
    assert suite.warnings == ('Found invalid setup function "setup()" did you mean "setUp()"?',)


@pytest.mark.parametrize(("test", "count"), [(None, 1), ("invariant_other", 0)])
def test_ignored_result_of_an_invariant_is_a_warning(test: str | None, count: int, tmp_path: Path) -> None:
    """The text of forge 1.8."""
    made = artifact(dict.fromkeys(("invariant_holds()", "invariant_other()", "test_one()"), PASS))
    for entry in made["abi"]:
        kinds = {"invariant_holds": "bool", "invariant_other": "int256", "test_one": "bool"}
        entry["outputs"] = [{"name": "", "type": kinds[entry["name"]]}]
    place = ArtifactLocation("test/T.t.sol", "T", write(tmp_path, {"T": made}) / "T.json")
    (suite,), _ = find_suites(Artifacts(tmp_path, [place], {}), ["test/T.t.sol"], SuiteFilter(test=test))
    text = "Invariant function `invariant_holds()` returns `bool`, but its return value is ignored; "
    assert suite.warnings == (f"{text}use assertions or revert to indicate failure.",) * count


def test_before_test_setup_calls_run_before_their_test(run_contracts: Run) -> None:
    adds = selector("add()")
    calls = returning("bytes[]", [adds, adds])
    # the selector that it is given is testTwo()'s, or nothing is returned but an empty list
    chooses = [f"60043560e01c63{selector('testTwo()').hex()}14", "@two", "57", *returning("bytes[]", []),
               "two:", *calls]  # fmt: skip
    is_two = ["5f54600214", "@good", "57", *FAIL, "good:", "00"]
    is_zero = ["5f5415", "@good", "57", *FAIL, "good:", "00"]
    found = run_contracts({
        "Before": {"beforeTestSetup(bytes4)": chooses, "add()": ["5f546001015f5500"], "testTwo()": is_two,
                   "testZero()": is_zero},
        "Reverts": {"beforeTestSetup(bytes4)": returning("bytes[]", [selector("none()")]), "testNever()": PASS},
    })  # fmt: skip
    assert {name: test.status for name, test in found["Before"].items()} == {
        "testTwo()": CaseStatus.SUCCESS,
        "testZero()": CaseStatus.SUCCESS,
    }
    assert found["Reverts"]["testNever()"].status is CaseStatus.FAILURE


# Panic(1), Error("an assertion failed") and INVALID fail an invariant test of forge; other reverts do not
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (["634e487b7160e01b5f52600160045260245ffd"], CaseStatus.FAILURE),
        (["634e487b7160e01b5f52601160045260245ffd"], CaseStatus.SUCCESS),
        (["7f08c379a0" + "00" * 27 + "205f52" + "60136024527f" + b"an assertion failed".ljust(32, b"\0").hex()
          + "60445260645ffd"], CaseStatus.FAILURE),
        (["fe"], CaseStatus.FAILURE),
        (FAIL, CaseStatus.SUCCESS),
    ],
)  # fmt: skip
def test_failed_assertion_in_called_contract_fails_invariant(
    run_contracts: Run, body: list[str], status: CaseStatus
) -> None:
    counter = artifact({"act()": body, "count()": returning("uint256", 0)})
    suite = counting_suite(counter, "6001")
    assert run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"].status is status


@pytest.mark.slow
def test_an_invariant_that_returns_a_number_is_maximized(run_contracts: Run, tmp_path: Path) -> None:
    up, down = ["5f546003015f5500"], ["60015f54035f5500"]
    counter = artifact({"up()": up, "down()": down, "count()": ["5f545f5260205ff3"]})
    made = artifact({**counting_suite(counter, "6001"), "invariantFew()": _returns_count()})
    for entry in made["abi"]:
        if entry["name"] == "invariantFew":
            entry["outputs"] = [{"name": "", "type": "int256"}]
    project = Project(tmp_path, invariant=InvariantSettings(runs=4, depth=12))
    test = run_contracts({"Suite": made, "Counter": counter}, project=project)["Suite"]["invariantFew()"]
    assert test.status is CaseStatus.SUCCESS
    assert test.best == 3 * len(test.counterexample) > 0
    assert {step.signature for step in test.counterexample} == {"up()"}
    assert test.figures() == f"(best: {test.best}, runs: 4, calls: 48)"
    # with a corpus, a run begins with the best sequence of the one before, in forge's file
    found = []
    for runs in (4, 0):
        project = Project(tmp_path, invariant=InvariantSettings(runs=runs, depth=12, corpus_dir="corpus"))
        found += [run_contracts({"Suite": made, "Counter": counter}, project=project)["Suite"]["invariantFew()"]]
    stored = json.loads((tmp_path / "corpus" / "Suite" / "invariantFew" / "optimization_best.json").read_text("utf-8"))
    assert (stored["best_value"], len(stored["best_sequence"])) == (str(found[0].best), len(found[0].counterexample))
    assert set(stored["best_sequence"][0]) == {"sender", "target", "calldata"}
    assert found[1].best == found[0].best


def _returns_count() -> list[str]:
    return ["63" + selector("count()").hex() + "60e01b5f52" + "60205f60045f5f545afa5060205ff3"]


@pytest.mark.slow
def test_an_invariant_with_parameters_is_refused(run_contracts: Run) -> None:
    counter = artifact({"act()": PASS, "count()": returning("uint256", 0)})
    suite = {**counting_suite(counter, "6001"), "invariantWith(uint256)": PASS}
    found = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantWith(uint256)"]
    words = "failed to set up invariant testing environment: Invariant test function should have no inputs"
    assert (found.status, found.reason) == (CaseStatus.FAILURE, words)
