"""A contract that reads facts of a miner, compared with the network's own view of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.bindings import storageminer
from examples.conftest import Refused, actor_id
from localnet import Contract, Miner, Network

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def miner(chain: Network) -> Miner:
    return chain.create_miner(sectors=1)


@pytest.fixture
def facts(network: Network, miner: Miner) -> Contract:
    return network.deploy(HERE / "MinerFacts.json")


@pytest.mark.slow
def test_the_facts_are_those_that_native_calls_give(network: Network, facts: Contract, miner: Miner) -> None:
    owner = actor_id(network, miner.owner.native)
    available = network.ask(miner.address, storageminer.get_available_balance())
    found = facts.call("facts", miner.id)
    assert found == (owner, owner, 2048, 2048, True, available)


def test_miner_control_is_reported(network: Network, facts: Contract, miner: Miner) -> None:
    assert facts.call("isControlledBy", miner.id, miner.owner.address) is False  # the native address does, not this one
    assert facts.call("isControlledBy", miner.id, facts.address) is False


def test_non_miner_is_refused_with_power_actor_exit_code(network: Network, facts: Contract, refused: Refused) -> None:
    account = actor_id(network, network.accounts[1].native)
    for stranger in (account, 5, 999_999):
        refusal = refused(facts, "facts", stranger)
        assert refusal.reason == f'Refused({stranger}, "MinerRawPower", 16)'
        assert refusal.exits == [("evm", 33), ("storagepower", 16)]


def test_is_controlled_by_returns_false_for_unknown_address(network: Network, facts: Contract, miner: Miner) -> None:
    assert facts.call("isControlledBy", miner.id, bytes(19) + b"\x77") is False


def test_account_accepts_any_method_so_power_actor_is_queried(network: Network) -> None:
    account = network.accounts[1].native
    assert network.send_native(account, storageminer.GET_OWNER).return_data == b""
