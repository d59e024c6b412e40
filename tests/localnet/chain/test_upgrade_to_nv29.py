"""Upgrades of running networks to version 29: our own chain, an official one that switches to our actors, and a fork.

Expected results are the table of docs/network-versions.md, and states computed by hand from the layouts of actors v19.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.bindings import datacap, reward, storagemarket
from hypervisor import Address
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import MARKET_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, ActorID, decode_bigint
from hypervisor.versions.network_versions import NV29
from hypervisor.versions.stream_settings import StreamSettings
from localnet import Network
from localnet.rpc.server.server import serving
from store.blockstore import get_object
from store.cid import Cid
from store.codec import encode, unlink
from tests.conftest import data_file, newer_rows, with_data
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.localnet.solstice import DATACAP, MARKET, REWARD, SIZE, Life, answers, fields_of, total, waiting_allocations

PAGE = Path(__file__).resolve().parents[3] / "docs" / "network-versions.md"
ROW = re.compile(r"\| `([a-z]+\.[^`]+)` \| (\d+) \| (\d+) \| (the same|another|none) \|")
NEW = Bundle.embedded("v19")


@dataclass
class Situation:
    """A network of version 28 and its history; for a fork, the history is that of the origin."""

    network: Network
    life: Life

    def machine(self) -> Hypervisor:
        """Return a copy of the machine with the new actors in its store."""
        machine = self.network.machine.fork()
        machine.store.put_many(NEW.blocks)
        return machine


@pytest.fixture(scope="module", params=["own", *with_data("official"), "fork"])
def first_situation(request: pytest.FixtureRequest) -> Iterator[Situation]:
    bundle = data_file(BUNDLE) if request.param == "official" else None
    with Network(bundle=bundle, network=28, evm="fast", clock=Clock()) as network:
        life = Life(network)
        if request.param != "fork":
            yield Situation(network, life)
            return
        with serving(network) as url, Network.fork(url, clock=Clock()) as forked:
            yield Situation(forked, life)


@pytest.fixture
def situation(first_situation: Situation) -> Iterator[Situation]:
    snapshot = first_situation.network.snapshot()
    yield first_situation
    first_situation.network.revert(snapshot)


@pytest.mark.slow
def test_actor_answers_before_and_after_upgrade_match_page(situation: Situation) -> None:
    """The actors are called in the same epoch, on the state before the upgrade and the one after it."""
    machine, questions = situation.machine(), list(situation.life.questions())
    before = answers(machine, questions)
    machine.upgrade(NV29, NEW.manifest)
    after = answers(machine, questions)
    written = {name: (int(old), int(new), same) for name, old, new, same in ROW.findall(PAGE.read_text())}
    assert list(written) == [question.name for question in questions]
    for name, (old, new, same) in written.items():
        assert (name, before[name][0], after[name][0]) == (name, old, new)
        assert (before[name] == after[name]) == (same == "the same"), name


@pytest.mark.parametrize("name", newer_rows())
def test_official_bundle_gives_same_answers_and_states(situation: Situation, name: str) -> None:
    """An installed official bundle of v19 is required; the test data has none."""
    ours, theirs, questions = situation.machine(), situation.machine(), list(situation.life.questions())
    bundle = Bundle.open(name)
    theirs.store.put_many(bundle.blocks)
    ours.upgrade(NV29, NEW.manifest)
    theirs.upgrade(NV29, bundle.manifest)
    assert answers(theirs, questions) == answers(ours, questions)
    for machine in (ours, theirs):
        claim = reward.award_block_reward(situation.life.miner.address, 0, 0, 1)
        award = Message(REWARD, Address.id(SYSTEM_ACTOR), method=claim.method, params=claim.params)
        assert machine.apply_implicit(award).exit_code == 0
        machine.state_tree.flush()
    heads = [
        {actor: (state.head, state.balance) for actor, state in machine.state_tree.actors() if actor != SYSTEM_ACTOR}
        for machine in (ours, theirs)
    ]
    assert heads[0] == heads[1]


@pytest.mark.slow
def test_upgraded_states_have_expected_fields(situation: Situation) -> None:
    """Fields 10 and 11 of the reward actor and 12 of the market are dropped; slopes are computed by hand."""
    machine, epoch = situation.machine(), situation.network.block_number
    reward_before, market_before = fields_of(machine, REWARD_ACTOR), fields_of(machine, MARKET_ACTOR)
    assert (len(reward_before), len(market_before)) == (11, 13)
    assert len(waiting_allocations(machine)) == 1
    actors, names = dict(machine.state_tree.actors()), machine.manifest
    client, stranger = situation.life.client_id, machine.state_tree.lookup_id(situation.life.stranger.native)
    assert stranger is not None
    roles = StreamSettings(7, 1_000, Address.id(client), situation.life.stranger.native, Address.id(client))
    machine.upgrade(NV29, NEW.manifest, roles)

    after = fields_of(machine, REWARD_ACTOR)
    assert after[:9] == reward_before[:9]
    assert after[9:14] == [b"", b"", 7, Address.id(client).to_bytes(), [[2, b""]]]
    assert len(after) == 15
    slope = 450_000_000_000_000  # 45 % of 10^18 over 1,000 epochs
    mine = [Address.id(stranger).to_bytes(), [[Address.id(client).to_bytes(), 10**18]], [], []]
    assert get_object(machine.store, unlink(after[14])) == [
        [
            [1, [950_000_000_000_000_000, -slope, epoch + 1, 500_000_000_000_000_000, 950_000_000_000_000_000], None],
            [2, [50_000_000_000_000_000, slope, epoch + 1, 50_000_000_000_000_000, 100_000_000_000_000_000], mine],
        ],
        [],
        [],
    ]
    assert fields_of(machine, MARKET_ACTOR) == market_before[:11] + market_before[12:]
    assert [unlink(field) for field in fields_of(machine, SYSTEM_ACTOR)] == [NEW.manifest.data]

    machine.state_tree.flush()
    now = dict(machine.state_tree.actors())
    assert now.keys() == actors.keys()
    for actor, old in actors.items():
        kind = names.name_of(old.code)
        assert kind is not None
        assert now[actor].code == NEW.manifest.code(kind)
        assert (now[actor].nonce, now[actor].balance) == (old.nonce, old.balance)
        assert now[actor].delegated_address == old.delegated_address
        if actor not in (SYSTEM_ACTOR, REWARD_ACTOR, MARKET_ACTOR):
            assert now[actor].head == old.head


@pytest.mark.slow
def test_rewards_are_split_from_first_epoch_preserving_supply(situation: Situation) -> None:
    """The first stream's weight is 95 % at the first epoch; the second one's 5 % accrue for their recipient, f00."""
    network, life = situation.network, situation.life
    money = total(network.machine)
    network.set_producer(life.miner.address)
    before = _amounts(network)
    network.upgrade(29, "own-v19")
    minted = _amounts(network)[0] - before[0]
    assert minted > 0
    waiting = minted * 5 // 100
    assert _amounts(network) == [before[0] + minted, minted - minted * 95 // 100 - waiting, waiting]
    assert fields_of(network.machine, REWARD_ACTOR)[13] == [[2, fields_of(network.machine, REWARD_ACTOR)[10]]]
    assert total(network.machine) == money

    network.mine(50)
    accrued, held = _amounts(network)[2], network.balance(Address.id(SYSTEM_ACTOR))
    paid = network.invoke(REWARD, reward.claim(2, [Address.id(SYSTEM_ACTOR)]), sender=life.stranger)
    assert paid.amounts[0] >= accrued > waiting
    assert network.balance(Address.id(SYSTEM_ACTOR)) == held + paid.amounts[0]
    assert total(network.machine) == money


@pytest.mark.slow
def test_sectors_deals_and_contracts_live_on(situation: Situation) -> None:
    network, life = situation.network, situation.life
    network.upgrade(29, "own-v19")
    miner, questions = life.miner, {question.name: question for question in life.questions()}
    upgrade = questions["storageminer.UpgradeSectorQuality"]
    network.send_native(miner.address, upgrade.method, upgrade.params, sender=miner.owner)
    power = answers(network.machine, [questions["storagepower.MinerPower"]])["storagepower.MinerPower"]
    assert power == (0, encode([_big(2 * SIZE), _big(11 * SIZE)]))
    assert network.create_miner(network.accounts[7], sectors=1).power() == (SIZE, 10 * SIZE)

    held = network.ask(DATACAP, datacap.balance(life.client.native))
    publish = storagemarket.publish_storage_deals([life.proposal(b"another file")])
    deal = network.invoke(MARKET, publish, sender=miner.owner).ids[0]
    assert network.ask(MARKET, storagemarket.get_deal_verified(deal))
    assert network.ask(DATACAP, datacap.balance(life.client.native)) == held
    with pytest.raises(InvalidInput, match="DataCap is frozen on this network of nv29"):
        network.grant_datacap(life.client.native, 1024)

    counter = network.contract(life.counter.address, ARTIFACTS / "Counter.json")
    counter.send("increment")
    assert counter.call("number") == 2
    network.mine(null_rounds=130)  # two deadlines' ends, with cron


@pytest.mark.slow
def test_a_fork_comes_to_the_root_that_its_origin_comes_to() -> None:
    with Network(network=28, clock=Clock()) as there:
        Life(there)
        with serving(there) as url, Network.fork(url, clock=Clock()) as network:
            network.upgrade(29, "own-v19")
            here: Cid = network.machine.root
        there.upgrade(29, "own-v19")
        assert there.machine.root == here


@pytest.mark.slow
def test_an_orchestrator_that_is_a_payment_channel_is_refused(situation: Situation) -> None:
    machine = situation.machine()
    channel = ActorID(5_000)
    machine.state_tree.set_actor(channel, ActorState(machine.manifest.code("paymentchannel")))
    root = machine.root
    nobody = Address.id(SYSTEM_ACTOR)
    with pytest.raises(InvalidInput, match="f05000 cannot be the first recipient: it is a payment channel"):
        machine.upgrade(NV29, NEW.manifest, StreamSettings(1, 1, nobody, nobody, Address.id(channel)))
    assert (machine.root, machine.context.network) == (root, situation.network.machine.context.network)


@pytest.mark.slow
def test_supply_share_chain_upgrades_to_current_pledge_rule() -> None:
    """On the supply-share chain the first sector is free; afterwards, 2 KiB of tenfold quality need the maximum."""
    with Network(bundle=Bundle.embedded("supply-share"), network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=1)
        network.set_producer(miner.address)
        network.mine(3)
        money, pledge = total(network.machine), miner.pledge()
        assert pledge == 0
        network.upgrade(29, "own-v19")
        assert (miner.power(), miner.pledge()) == ((SIZE, SIZE), pledge)
        miner.commit(1)
        assert (miner.power(), miner.pledge()) == ((2 * SIZE, 11 * SIZE), 596_046_438_400)
        network.mine(100)
        assert total(network.machine) == money


def _amounts(network: Network) -> list[int]:
    """Return fields 9 to 11 of the reward actor: minted, and at nv29 burnt and reserved for explicit streams."""
    fields = fields_of(network.machine, REWARD_ACTOR)
    return [decode_bigint(field) for field in fields[8 : 11 if len(fields) == 15 else 9]]


def _big(number: int) -> bytes:
    return b"\x00" + number.to_bytes((number.bit_length() + 7) // 8, "big")
