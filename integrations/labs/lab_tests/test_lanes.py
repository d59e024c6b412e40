"""Lab `lanes`: invariants over random mempools, and a miner's proof in a flood."""

from dataclasses import replace

import pytest

from bridge.bindings import storageminer
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import REWARD_ACTOR, Gas, TokenAmount
from hypervisor_labs.lanes import LANES, LaneBuilding, shares_of
from lab_tests.flood import flood
from lab_tests.lanes import NO_MACHINE, GivenLanes, message, run
from localnet import Network
from localnet.chain.mempool import MAX_PENDING
from localnet.errors import TransactionRefused
from tests.conftest import bundle_file, samples
from tests.localnet.conftest import BUNDLE


@pytest.mark.slow
@pytest.mark.sampled
def test_blocks_of_random_mempools_keep_every_invariant() -> None:
    assert run(7, samples(2_000), 1)[1] == []


@pytest.mark.slow
def test_a_miners_proof_lands_at_once_in_a_flood() -> None:
    flooded = flood("lab:lanes", 1_000)
    assert (flooded.waited, flooded.in_time, flooded.executed) == (0, True, 1_000)


@pytest.mark.slow
def test_system_lane_flood_takes_no_provider_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may send messages to the reward actor, and these count as the system's."""
    monkeypatch.setattr("localnet.chain.mempool.MAX_PENDING", 300)
    flooded = flood("lab:lanes", 2_000, system=True)
    assert (flooded.waited, flooded.in_time, flooded.executed) == (0, True, 2_000)


@pytest.mark.slow
def test_transaction_without_lanes_waits_for_end_of_flood() -> None:
    assert flood("filecoin", 1_000).waited == 5


@pytest.mark.slow
def test_the_networks_own_proof_lands_on_official_actors() -> None:
    flooded = flood("lab:lanes", 400, bundle_file(BUNDLE))
    assert (flooded.waited, flooded.in_time) == (0, True)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("0/50/50", "the lane 'system' has no gas"),
        ("50/50/0", "the lane 'users' has no gas"),
        ("10/40/51", "add up to 101 per cent"),
        ("10/90", "expected three whole per cents"),
        ("10/-40/130", "expected three whole per cents"),
        ("1e1/40/50", "expected three whole per cents"),
        ("99999999999/0/0", "expected three whole per cents"),
    ],
)
def test_shares_that_cannot_be_are_refused(option: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Network(rules=f"lab:lanes={option}")


def test_the_shares_of_an_option_are_the_lanes() -> None:
    assert shares_of("10/40/50") == LANES
    assert [lane.share for lane in shares_of("1/2/97")] == [1, 2, 97]


def test_message_above_its_lane_share_uses_leftover_gas() -> None:
    building, big = GivenLanes(LANES), message(1, 0, 1, premium=1, limit=90, cap=100)
    assert building.choose(NO_MACHINE, [[big]], lambda _: 0, 100) == [big]
    assert building.choose(NO_MACHINE, [[big], []], lambda _: 0, 89) == []


def test_users_cannot_fill_the_places_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.chain.mempool.MAX_PENDING", 10)
    with Network(rules="lab:lanes") as network:
        assert isinstance(network.rules.building, LaneBuilding)
        miner = network.create_miner(sectors=1)
        network.automine = False
        users_message = message(0, 0, 0, 1, 1, 1)
        assert network.rules.building.pool_class(network.machine, users_message, MAX_PENDING) == (2, MAX_PENDING)
        users = network.accounts[1:]
        for number in range(10):
            network.submit_unsigned(_transfer(users[number % 9].native, number // 9))
        with pytest.raises(TransactionRefused, match="10 transactions are pending"):
            network.submit_unsigned(_transfer(users[8].native, 2))
        owner = network.machine.actor(miner.owner.native)
        assert owner is not None
        call = storageminer.development_only_prove_deadline()
        proof = Message(
            miner.address, miner.owner.native, owner.nonce, method=call.method, params=call.params,
            gas_limit=Gas(10**8), gas_fee_cap=TokenAmount(10**6),
        )  # fmt: skip
        network.submit_unsigned(proof)
        assert len(network.mempool) == 11
        to_system = Message(
            Address.id(REWARD_ACTOR), users[0].native, 1, method=call.method, gas_limit=Gas(10**7),
            gas_fee_cap=TokenAmount(10**6), gas_premium=TokenAmount(1),
        )  # fmt: skip
        network.submit_unsigned(to_system)  # in the place of a user's message, whose own is free again
        network.submit_unsigned(_transfer(users[8].native, 1))
        with pytest.raises(TransactionRefused, match="txpool is full: 1 transactions are pending"):
            network.submit_unsigned(replace(to_system, from_=users[1].native, nonce=0))
        assert len(network.mempool) == 12


def _transfer(sender: Address, nonce: int) -> Message:
    return Message(sender, sender, nonce, gas_limit=Gas(10**7), gas_fee_cap=TokenAmount(10**6))
