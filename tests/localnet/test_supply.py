"""The circulating supply: vested and mined minus burnt and pledged."""

import pytest

from hypervisor.bundles.genesis import REWARD_FUNDS
from hypervisor.messages.address import Address
from hypervisor.types import BURNT_FUNDS_ACTOR, REWARD_ACTOR, TokenAmount
from localnet import Network
from localnet.chain.supply import Supply, supply_of
from store.blockstore import get_object
from store.cid import Cid
from tests.conftest import data_file, kinds
from tests.localnet.conftest import BUNDLE, Clock

FIL = 10**18
FUNDS = TokenAmount(200_000 * FIL)


@pytest.mark.parametrize("kind", kinds())
def test_supply_counts_rewards_burnt_fees_and_pledges(kind: str) -> None:
    with Network(bundle=None if kind == "own" else data_file(BUNDLE), clock=Clock()) as network:
        assert network.machine.context.circulating_supply == FUNDS
        network.mine(3)
        supply = supply_of(network.machine, FUNDS)
        # Rewards of blocks without a producer are burnt. These blocks have no tips.
        assert supply.mined == supply.burnt == REWARD_FUNDS - network.balance(Address.id(REWARD_ACTOR))
        assert (3 * 7 * FIL < supply.mined < 3 * 8 * FIL, supply.circulating) == (True, FUNDS)
        miner = network.create_miner(sectors=1 if kind == "own" else 0)
        network.set_producer(miner.address)
        network.mine(2)
        supply = supply_of(network.machine, FUNDS)
        state = get_object(network.machine.store, _head(network, miner.address))
        deposit = int.from_bytes(state[2][1:], "big")
        assert supply.locked == miner.pledge() + deposit > 7 * FIL  # of two rewards three quarters are locked
        assert supply.burnt == network.balance(Address.id(BURNT_FUNDS_ACTOR))
        assert supply.disbursed == 0
        assert supply.circulating == FUNDS + supply.mined - supply.burnt - supply.locked


def test_supply_is_constant_within_an_epoch() -> None:
    with Network(clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        before = supply_of(network.machine, FUNDS).circulating
        assert network.machine.context.circulating_supply < FUNDS  # the gas is burnt
        network.mine()
        assert network.chain.machine_before(network.head).context.circulating_supply == before


def test_reverted_chain_has_the_earlier_supply() -> None:
    with Network(clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        snapshot, before = network.snapshot(), supply_of(network.machine, FUNDS).circulating
        network.send(network.accounts[1], 5)
        after = network.machine.context.circulating_supply
        assert network.revert(snapshot)
        assert network.machine.context.circulating_supply == before > after


def test_circulating_supply_is_never_negative() -> None:
    parts = [TokenAmount(number) for number in (1, 2, 3, 4, 5)]
    assert Supply(*parts).circulating == 0


def _head(network: Network, address: Address) -> Cid:
    actor = network.machine.actor(address)
    assert actor is not None
    return actor.head
