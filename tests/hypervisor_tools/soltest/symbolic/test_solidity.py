"""Verdicts on compiled Solidity: proofs, failures, and forty planted bugs."""

from pathlib import Path

import pytest

from bridge.ethereum.addresses import checksummed
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult
from hypervisor_tools.soltest.report.counterexample_tests import write_tests
from tests.hypervisor_tools.soltest.symbolic import golden
from tests.hypervisor_tools.soltest.symbolic.staged import staged_artifacts

RECORD = golden.read()
PROOFS, BUGS = "test/Proofs.t.sol:ProofsTest", "test/Bugs.t.sol:BugsTest"


def names(contract: str) -> list[str]:
    """Return the names of a contract's symbolic tests."""
    functions = [entry["name"] for entry in RECORD["artifacts"][contract]["abi"] if entry["type"] == "function"]
    return sorted(name for name in functions if name.startswith(("check", "prove", "test")))


def test_the_record_is_of_these_sources() -> None:
    assert RECORD["sources"] == golden.hashes()
    assert len(names(BUGS)) == 40


@pytest.mark.slow
@pytest.mark.parametrize("name", names(PROOFS))
def test_a_test_fails_if_its_name_says_so(name: str, tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], PROOFS, "prague") as test:
        found = test.run(name)
    assert found.status is (CaseStatus.FAILURE if name.endswith("Fails") else CaseStatus.SUCCESS), found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", names(BUGS))
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], BUGS, "prague") as test:
        found = test.run(name)
        assert found.status is CaseStatus.FAILURE, found.reason
        assert not test.call(found.counterexample[0].calldata)[0]


def test_the_documented_example_fails(tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], "test/Vault.t.sol:VaultTest", "prague") as test:
        found = test.run("check_withdrawalNeverExceedsDeposit")
    assert (found.status, found.reason) == (CaseStatus.FAILURE, "panic: assertion failed (0x01)")
    calldata = found.counterexample[0].calldata
    amount, taken = (int.from_bytes(calldata[at : at + 32], "big") for at in (4, 36))
    assert taken > amount >= taken % 2**64


@pytest.mark.slow
def test_counterexample_names_created_values(tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], PROOFS, "prague") as test:
        values, storage = (test.run(name) for name in ("check_createdValuesFails", "check_symbolicStorageFails"))
    words = f"{2**200} [1.606e60]"
    expected = f'svm=[createUint256("a")=5, createUint256("a")={words}, createBool("c")=true, createBytes(3, "d")=0x'
    assert expected in values.counterexample[0].text()
    assert storage.counterexample[0].text().endswith(f"[0x0]={77777777777777777:#x}]")


@pytest.mark.slow
def test_a_counterexample_becomes_a_unit_test(tmp_path: Path) -> None:
    with staged_artifacts(tmp_path / "run", RECORD["artifacts"], PROOFS, "prague") as test:
        names = ("check_createdValuesFails", "check_messageFails", "check_symbolicStorageFails", "check_warp")
        results = [test.run(name) for name in names]
        gate = results[2].counterexample[0].created.storage[0][0]
    suites = [SuiteResult(f"test/{folder}/Proofs.t.sol", "ProofsTest", results) for folder in "ab"]
    file, other = write_tests(suites, tmp_path, tmp_path / "test" / "found")
    text = file.read_text(encoding="utf-8")
    assert file.relative_to(tmp_path).as_posix() == "test/found/test/a/Proofs.ProofsTestCounterexamples.t.sol"
    assert other != file
    assert 'import {ProofsTest} from "../../../a/Proofs.t.sol";' in text
    assert text.count("function test_") == 3
    assert f".store({checksummed(gate)}, bytes32(uint256(0x0)), bytes32(uint256({77777777777777777:#x})));" in text
    assert f'delegatecall(hex"{results[1].counterexample[0].calldata.hex()}")' in text
    assert (
        text.count("mockCalls(0xF3993A62377BCd56AE39D773740A5390411E8BC9") == 4
    )  # "a" twice, "c", "d", and enabled storage
