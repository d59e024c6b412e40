"""Test a contract that calls the DataCap actor, on a local Filecoin network in the process of the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ape
import pytest
from ape.contracts import ContractContainer
from ape.exceptions import ConversionError
from ethpm_types import ContractType

ARTIFACT = Path(__file__).parents[4] / "examples/solidity/artifacts/DataCapName.json"
FIL = 10**18


@pytest.fixture
def contract(accounts: Any) -> Any:
    artifact = json.loads(ARTIFACT.read_text())
    kind = ContractType(abi=artifact["abi"], deploymentBytecode={"bytecode": artifact["bytecode"]})
    return accounts[0].deploy(ContractContainer(kind))


def test_a_contract_calls_a_built_in_actor(contract: Any, accounts: Any) -> None:
    receipt = contract.keep(sender=accounts[1])
    assert contract.kept() == "DataCap"
    assert [log.event_name for log in receipt.events] == ["Kept"]
    receipt.show_trace()


def test_a_snapshot_restores_the_state(contract: Any, accounts: Any, chain: Any) -> None:
    before = chain.snapshot()
    contract.keep(sender=accounts[1])
    chain.restore(before)
    assert contract.kept() == ""


def test_blocks_and_time_are_controlled(chain: Any) -> None:
    number = chain.blocks.head.number
    chain.mine(3)
    assert chain.blocks.head.number == number + 3
    chain.mine(1, timestamp=chain.blocks.head.timestamp + 1000)
    assert chain.blocks[-1].timestamp - chain.blocks[-2].timestamp >= 1000


def test_filecoin_addresses_are_accepted(accounts: Any, networks: Any) -> None:
    network = networks.provider.filecoin
    receiver = network.accounts[1].native
    before = network.balance(receiver)
    accounts[0].transfer(str(receiver), FIL)
    assert network.balance(receiver) == before + FIL
    miner = network.create_miner()
    assert ape.convert(f"f0{miner.id}", ape.types.AddressType).lower() == f"0xff{miner.id:038x}"
    with pytest.raises(ConversionError):
        ape.convert("f410invalid", ape.types.AddressType)


def test_a_payment_that_the_contract_rejects_reverts(contract: Any, accounts: Any) -> None:
    with ape.reverts():
        accounts[0].transfer(contract, 1)


def test_the_balance_of_an_account_can_be_set(accounts: Any) -> None:
    accounts[2].balance = 5 * FIL
    assert accounts[2].balance == 5 * FIL
