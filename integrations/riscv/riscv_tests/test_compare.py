"""The comparison of both forms of a contract by random calls."""

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_riscv.compare import Contract, compare, plan
from riscv_tests.contracts import forms, word


def contract(name: str, arguments: bytes = b"") -> Contract:
    found = forms(name)
    return Contract(found.abi, found.evm, found.riscv, arguments, (forms("Child").riscv,))


@pytest.mark.parametrize("seed", range(3))
def test_forms_of_a_contract_are_equal(seed: int) -> None:
    counter = contract("Counter")
    calls = [call for call in plan(counter.abi, 60, seed) if not call.text.startswith("spin")]
    assert [str(found) for found in compare(counter, calls)] == []
    child = contract("Child", word(6))
    assert [str(found) for found in compare(child, plan(child.abi, 30, seed))] == []


def test_differences_that_contracts_can_see_are_reported() -> None:
    """A contract that CREATE2 creates has another address, because the blob is not solc's init code."""
    caller = contract("Caller")
    calls = [call for call in plan(caller.abi, 200, 1) if call.text.startswith("make2")]
    found = compare(caller, calls[:3])
    assert {difference.field for difference in found} == {"output", "slots"}
    assert "make2(" in str(found[0])


def test_comparison_ends_when_states_differ() -> None:
    counter, child = contract("Counter"), contract("Child", word(6))
    mixed = Contract(counter.abi, counter.evm, child.riscv, word(6))
    bumps = [call for call in plan(counter.abi, 40, 1) if call.text.startswith("bump(1")]
    found = compare(mixed, bumps)
    assert {difference.call for difference in found} == {bumps[0]}
    assert {"output", "logs", "slots"} <= {difference.field for difference in found}


def test_a_constructor_that_fails_ends_the_comparison() -> None:
    counter, child = contract("Counter"), contract("Child")  # its argument is missing
    with pytest.raises(InvalidInput, match=r"the constructor fails in both forms: .*; pass --arguments"):
        compare(child, plan(child.abi, 3, 1))
    (found,) = compare(Contract(counter.abi, child.evm, counter.riscv, b""), plan(counter.abi, 3, 1))[:1]
    assert found.call.text == "constructor"
