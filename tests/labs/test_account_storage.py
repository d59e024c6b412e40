"""Lab `accounts`: storage of delegating accounts, which the node shows, proves and changes."""

import pytest

from bridge.ethereum.delegations import DELEGATION_PREFIX
from bridge.filecoin.evm_state import EMPTY_CODE_HASH
from bridge.filecoin.parameters import unwrap_return
from hypervisor.errors import InvalidInput
from localnet.calls.proofs import prove_account
from localnet.state.contract_state import nonce_of
from localnet.state.controls import set_storage
from store.keccak import keccak
from tests.labs.test_accounts import NOBODY, NOTES, Stage, number


def test_account_proof_uses_delegation_designator_as_code(stage: Stage) -> None:
    assert prove_account(stage.machine, stage.bob.delegated, [1]).code_hash == EMPTY_CODE_HASH
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    found = prove_account(stage.machine, stage.bob.delegated, [1, 9])
    assert found.code_hash == keccak(DELEGATION_PREFIX + NOTES)
    assert [slot.value for slot in found.slots] == [stage.carol.address.rjust(32, b"\0"), bytes(32)]
    assert all(slot.proof.blocks for slot in found.slots)
    assert found.storage != bytes(32)
    assert found.nonce == nonce_of(stage.machine, stage.bob.delegated)


def test_account_storage_outlives_delegation(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    stage.lend(stage.bob, NOBODY, 1)
    found = prove_account(stage.machine, stage.bob.delegated, [1])
    assert (found.code_hash, found.slots[0].value[12:]) == (EMPTY_CODE_HASH, stage.carol.address)


def test_delegated_account_storage_can_be_set(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    set_storage(stage.machine, stage.bob.delegated, {1: 5, 7: 8})
    assert (stage.slot(stage.bob, 7), stage.code_of(stage.bob)) == (8, DELEGATION_PREFIX + NOTES)
    stage.call(stage.bob)
    assert [stage.slot(stage.bob, slot) for slot in (1, 7)] == [number(stage.carol.address), 8]
    set_storage(stage.machine, stage.bob.delegated, {2: 3}, only=True)
    assert [stage.slot(stage.bob, slot) for slot in (1, 2, 7)] == [0, 3, 0]
    with pytest.raises(InvalidInput, match="is not a contract and has no storage"):
        set_storage(stage.machine, stage.carol.delegated, {1: 5})


def test_account_storage_survives_conversion_to_contract(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    stage.code(stage.bob.address, "1 SLOAD 0 MSTORE 32 0 RETURN")
    assert unwrap_return(stage.call(stage.bob).return_data) == stage.carol.address.rjust(32, b"\0")
