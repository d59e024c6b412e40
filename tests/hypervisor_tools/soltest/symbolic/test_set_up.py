"""Symbolic tests after a `setUp` that writes mappings or creates symbolic values."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import SVM, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.report.counterexample_tests import write_tests
from tests.hypervisor_tools.soltest.contracts import artifact, assembled, runtime
from tests.hypervisor_tools.soltest.symbolic.staged import staged, staged_artifacts
from tests.hypervisor_tools.soltest.symbolic.test_verdicts import FAIL, PASS, UNDECIDED, X, asserting, vm

SLOT = ["5f52", "5f602052", "60405f20"]
"""Turns a key into its slot in the mapping at slot 0."""
CREATE = [
    f"63{selector('createUint256(string)').hex()}60e01b5f52", "60205f", "60045f", "5f",
    "73f3993a62377bcd56ae39d773740a5390411e8bc9", "5a", "f1", "50", "5f51",
]  # fmt: skip
"""Leaves a new symbolic word on the stack."""


def result(folder: Path, set_up: list[str], check: list[str]) -> TestResult:
    """Return the result of a check after `setUp`."""
    with staged(folder, {"setUp()": set_up, "check_(uint256)": check}) as test:
        return test.run("check_")


MAPPINGS: dict[str, tuple[CaseStatus, list[str]]] = {
    "the written key has the word": (PASS, asserting([X, "6005", "14", "15", X, *SLOT, "54", "6007", "14", "17"])),
    "other keys have none": (PASS, asserting([X, "6005", "14", X, *SLOT, "54", "15", "17"])),
    "one key has a word": (FAIL, asserting([X, *SLOT, "54", "15"])),
}


@pytest.mark.parametrize(("wanted", "check"), MAPPINGS.values(), ids=MAPPINGS)
def test_a_mapping_that_set_up_writes_is_read_by_key(wanted: CaseStatus, check: list[str], tmp_path: Path) -> None:
    found = result(tmp_path, ["6007", "6005", *SLOT, "55", "00"], check)
    assert found.status is wanted, found.reason
    if wanted is FAIL:
        assert found.counterexample[0].calldata[4:] == (5).to_bytes(32, "big")


CREATED: dict[str, tuple[CaseStatus, list[str]]] = {
    "values that revert setUp are excluded": (PASS, asserting(["5f54", "6005", "14", "15"])),
    "another value fails": (FAIL, asserting(["5f54", "6201e240", "14", "15"])),
    "the test's own values are others": (FAIL, asserting([*CREATE, "5f54", "14", "15"])),
}


@pytest.mark.parametrize(("wanted", "check"), CREATED.values(), ids=CREATED)
def test_set_up_creates_symbolic_values(wanted: CaseStatus, check: list[str], tmp_path: Path) -> None:
    found = result(tmp_path, [*CREATE, "80", "6005", "14", "15", "@good", "57", "5f5ffd", "good:", "5f55", "00"], check)
    assert found.status is wanted, found.reason
    if "6201e240" in check:
        assert "=123456" in found.counterexample[0].created.text


def test_a_counterexample_creates_its_values_before_set_up(tmp_path: Path) -> None:
    set_up, check = [*CREATE, "5f55", "00"], asserting(["5f54", "6201e240", "14", "15"])
    found = result(tmp_path / "run", set_up, check)
    (file,) = write_tests([SuiteResult("test/T.t.sol", "T", [found])], tmp_path, tmp_path / "found")
    text = file.read_text(encoding="utf-8")
    constructor, test = text.split("function test_")
    assert "contract TCounterexample0 is T" in constructor
    assert f'answers0[0] = hex"{123456:064x}";' in constructor.split("constructor() {")[1]
    assert "mockCalls" not in test
    assert "contract TCounterexamples" not in text


def test_a_failed_assertion_in_set_up_fails_the_test(tmp_path: Path) -> None:
    found = result(tmp_path, [*CREATE, *asserting(["6005", "14", "15"])], ["00"])
    assert (found.status, found.reason) == (FAIL, "panic: assertion failed (0x01)")


def test_set_up_that_always_reverts_decides_nothing(tmp_path: Path) -> None:
    found = result(tmp_path, [*CREATE, "5f5ffd"], ["00"])
    assert (found.status, found.reason) == (UNDECIDED, "the assumptions exclude every input")


def test_the_test_is_another_transaction_than_set_up(tmp_path: Path) -> None:
    """EIP-1153: transient storage is cleared at the end of a transaction."""
    set_up = [*CREATE, "50", "60015f5d", "00"]
    assert result(tmp_path / "cleared", set_up, asserting(["5f5c", "15"])).status is PASS
    assert result(tmp_path / "kept", set_up, asserting(["5f5c"])).status is FAIL


@pytest.mark.parametrize("left", [vm("startPrank(address)", "611234"), vm("expectRevert()")], ids=["prank", "revert"])
def test_cheatcodes_that_a_symbolic_set_up_leaves_decide_nothing(left: list[str], tmp_path: Path) -> None:
    found = result(tmp_path, [*CREATE, "50", *left, "00"], ["00"])
    assert (found.status, found.reason) == (UNDECIDED, "setUp() leaves a prank or an expected revert")


def test_a_constructor_that_calls_svm_decides_nothing(tmp_path: Path) -> None:
    """Constructors run concretely: the call there gives nothing, so a proof would be about that only."""
    code = runtime({"check_()": ["00"]})
    # the code follows the label, a byte of the init code
    init = assembled(
        [*CREATE, "50", f"61{len(code):04x}", "80", "@code", "6001", "01", "5f", "39", "5f", "f3", "code:"]
    )
    artifacts = {"test/T.t.sol:T": artifact({"check_()": ["00"]}, init + code)}
    with staged_artifacts(tmp_path, artifacts, "test/T.t.sol:T", "osaka") as test:
        found = test.run("check_")
    assert (found.status, found.reason) == (UNDECIDED, "a constructor that calls svm: call it in setUp()")


def test_a_check_of_svm_s_code_is_a_call_of_svm(tmp_path: Path) -> None:
    """Solidity executes EXTCODESIZE before a call without results, such as `enableSymbolicStorage`."""
    svm = f"73{SVM.hex()}"
    set_up = [svm, "3b", "@good", "57", "5f5ffd", "good:", "00"]
    with staged(tmp_path, {"setUp()": set_up, "check_()": ["00"]}) as test:
        assert test.stage.defers_set_up
        assert test.run("check_").status is PASS
