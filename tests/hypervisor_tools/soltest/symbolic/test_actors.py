"""Symbolic tests that call Filecoin's precompiles and built-in actors: the same outcomes as on the concrete machine."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus
from tests.hypervisor_tools.soltest.symbolic import golden
from tests.hypervisor_tools.soltest.symbolic.staged import staged_artifacts

RECORD = golden.read()
SUITE = "test/Actors.t.sol:ActorsTest"
SIGNATURES = {
    entry["name"]: f"{entry['name']}({','.join(one['type'] for one in entry['inputs'])})"
    for entry in RECORD["artifacts"][SUITE]["abi"]
    if entry["type"] == "function" and entry["name"].startswith("check_")
}
UNDECIDED = {
    "check_undecidedSymbolicMethod": "with symbolic input, value, balance or origin",
    "check_undecidedSymbolicValue": "with symbolic input, value, balance or origin",
    "check_undecidedCallback": "a call of an actor that calls a contract or creates an account",
    "check_undecidedCreation": "after an account was created",
}


@pytest.mark.parametrize("name", sorted(SIGNATURES.keys() - UNDECIDED))
def test_concrete_calls_have_the_outcome_of_the_machine(name: str, tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], SUITE, "prague") as test:
        found = test.run(name)
        if name.endswith("Fails"):
            assert found.status is CaseStatus.FAILURE, found.reason
            assert int.from_bytes(found.counterexample[0].calldata[4:], "big") == 12345
            return
        assert found.status is CaseStatus.SUCCESS, found.reason
        for argument in range(2):
            assert test.call(selector(SIGNATURES[name]) + argument.to_bytes(32, "big"))[0]


@pytest.mark.parametrize(("name", "reason"), UNDECIDED.items())
def test_other_calls_are_not_decided(name: str, reason: str, tmp_path: Path) -> None:
    with staged_artifacts(tmp_path, RECORD["artifacts"], SUITE, "prague") as test:
        found = test.run(name)
    assert found.status is CaseStatus.UNDECIDED
    assert reason in (found.reason or "")
