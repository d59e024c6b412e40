"""Verdicts on compiled Solidity: proofs, failures, and forty planted bugs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvm_hypervisor.soltest.results import CaseStatus, SuiteResult
from fvm_hypervisor.soltest.symbolic_tests import write_tests
from tests.fvm_hypervisor.soltest.symbolic import golden
from tests.fvm_hypervisor.soltest.symbolic.staged import staged_artifacts

RECORD = golden.read()
PROOFS, BUGS = "test/Proofs.t.sol:ProofsTest", "test/Bugs.t.sol:BugsTest"


def names(contract: str) -> list[str]:
    """Return the names of a contract's symbolic tests."""
    functions = [entry["name"] for entry in RECORD["artifacts"][contract]["abi"] if entry["type"] == "function"]
    return sorted(name for name in functions if name.startswith(("check", "prove", "test")))


def test_the_record_is_of_these_sources() -> None:
    assert RECORD["sources"] == golden.hashes()
    assert len(names(BUGS)) == 40


@pytest.mark.parametrize("name", names(PROOFS))
def test_a_test_fails_if_its_name_says_so(name: str, tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], PROOFS, "prague") as test:
        found = test.run(name)
    assert found.status is (CaseStatus.FAILURE if name.endswith("Fails") else CaseStatus.SUCCESS), found.reason


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


def test_a_counterexample_becomes_a_unit_test(tmp_path: Path) -> None:
    with staged_artifacts(tmp_path / "run", RECORD["artifacts"], PROOFS, "prague") as test:
        results = [test.run(name) for name in ("check_createdValuesFails", "check_messageFails", "check_warp")]
    suites = [SuiteResult("test/Proofs.t.sol", "ProofsTest", results)]
    (file,) = write_tests(suites, tmp_path, tmp_path / "test" / "found")
    text = file.read_text(encoding="utf-8")
    assert file.name == "ProofsTestCounterexamples.t.sol"
    assert 'import {ProofsTest} from "../Proofs.t.sol";' in text
    assert text.count("function test_") == 2
    assert f'delegatecall(hex"{results[1].counterexample[0].calldata.hex()}")' in text
    assert text.count("mockCalls(0xF3993A62377BCd56AE39D773740A5390411E8BC9") == 3  # by calldata: "a" twice, "c", "d"
