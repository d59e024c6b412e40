"""Block reward streams at genesis, and at the upgrade to network version 29."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import init
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.migrations.nv29 import DENOM
from hypervisor.types import INIT_ACTOR, MARKET_ACTOR, REWARD_ACTOR, ActorID, decode_bigint
from hypervisor.versions.stream_settings import StreamSettings
from localnet import Network, stream_settings
from localnet.accounts import accounts
from localnet.chain.streams import describe_streams, weight_at
from localnet.ledger.upgrades import UpgradePlan
from store.blockstore import get_object
from store.codec import encode, unlink
from tests.localnet.conftest import ARTIFACTS, Clock
from tests.stand_in import stand_in

PERCENT = DENOM // 100
SWA, SRA, FIRST = accounts()[:3]
QUICK = stream_settings(SWA, SRA, FIRST, ramp=90, timelock=5)


def reward_state(network: Network) -> list[Any]:
    state = network.machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None
    fields: list[Any] = get_object(network.machine.store, state.head)
    return fields


def streams(network: Network) -> list[Any]:
    found: list[Any] = get_object(network.machine.store, unlink(reward_state(network)[14]))[0]
    return found


def id_bytes(network: Network, address: Address) -> bytes:
    actor = network.machine.state_tree.lookup_id(address)
    assert actor is not None
    return Address.id(ActorID(actor)).to_bytes()


def expected(network: Network, begin: int) -> list[Any]:
    """Return the weights computed by hand: 45 % in 90 epochs are half a per cent per epoch."""
    step = PERCENT // 2
    sra, first = id_bytes(network, to(SRA)), id_bytes(network, to(FIRST))
    return [
        [1, [95 * PERCENT, -step, begin, 50 * PERCENT, 95 * PERCENT], None],
        [2, [5 * PERCENT, step, begin, 5 * PERCENT, 10 * PERCENT], [sra, [[first, DENOM]], [], []]],
    ]


def to(account: Any) -> Address:
    address: Address = account.delegated
    return address


@pytest.mark.slow
def test_a_genesis_may_have_streams_of_its_own() -> None:
    with Network(streams=QUICK, clock=Clock()) as network:
        assert streams(network) == expected(network, 1)
        fields = reward_state(network)
        assert fields[11:14] == [5, id_bytes(network, to(SWA)), [[2, b""]]]
        miner = network.create_miner()
        network.set_producer(miner.address)
        for height in (7, 15):  # below the cap and at it
            network.mine(height - 1 - network.block_number)
            fields = reward_state(network)
            reward, accrued = decode_bigint(fields[4]) // 5, decode_bigint(fields[13][0][1])
            before = network.balance(miner.address)
            network.mine()
            # 5 % at epoch 1, and half a per cent more with each, 10 % at most; the miner's falls on.
            share = {7: 8 * PERCENT, 15: 10 * PERCENT}[height]
            assert decode_bigint(reward_state(network)[13][0][1]) - accrued == reward * share // DENOM
            kept = {7: 92 * PERCENT, 15: 88 * PERCENT}[height]
            assert network.balance(miner.address) - before == reward * kept // DENOM


def test_default_network_has_only_miner_reward_stream() -> None:
    with Network(clock=Clock()) as network:
        assert network.version == 29
        assert network.machine.manifest == Bundle.embedded("v19").manifest
        assert streams(network) == [[1, [DENOM, 0, 0, DENOM, DENOM], None]]


def test_later_deployed_contract_governs_from_genesis() -> None:
    """Its address is known beforehand; a placeholder has it, and the contract gets the placeholder's ID."""
    with Network(clock=Clock()) as network:
        address = network.deploy(ARTIFACTS / "Counter.json").address
    with Network(streams=stream_settings(swa=address), clock=Clock()) as network:
        governs = reward_state(network)[12]
        contract = network.deploy(ARTIFACTS / "Counter.json")
        assert contract.address == address
        state = network.machine.actor(address_of(network, governs))
        assert state is not None
        assert network.machine.manifest.name_of(state.code) == "evm"


def address_of(network: Network, data: bytes) -> Address:
    return Address.from_bytes(data)


def test_an_upgrade_needs_no_bundle_and_takes_the_streams() -> None:
    with Network(network=28, clock=Clock()) as network:
        network.mine(2)
        network.upgrade(29, streams=QUICK)
        assert (network.version, network.machine.manifest) == (29, Bundle.embedded("v19").manifest)
        assert streams(network) == expected(network, 3)
        network.mine(2)


@pytest.mark.slow
def test_a_folder_keeps_the_streams_of_a_planned_upgrade(tmp_path: Path) -> None:
    with Network(tmp_path, network=28, upgrades={3: 29}, streams=QUICK, clock=Clock()) as network:
        network.mine()
    with Network(tmp_path, clock=Clock()) as network:
        network.mine(4)
        assert network.version == 29
        assert streams(network) == expected(network, 4)
        assert reward_state(network)[11] == 5
    with Network(tmp_path, upgrades={3: 29}, streams=QUICK, clock=Clock()) as network:  # the same again
        assert network.version == 29
    with Network(tmp_path, streams=QUICK, clock=Clock()) as network:
        assert network.version == 29


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (replace(QUICK, timelock=6), "with a timelock of 5 epochs, not by .* with 6"),
        (replace(QUICK, authority=to(SRA)), "are governed by f0"),
    ],
)
def test_a_folder_is_not_opened_with_other_streams(tmp_path: Path, asked: StreamSettings, words: str) -> None:
    Network(tmp_path, streams=QUICK, clock=Clock()).close()
    Network(tmp_path, streams=QUICK, clock=Clock()).close()
    with pytest.raises(InvalidInput, match=words):
        Network(tmp_path, streams=asked, clock=Clock())


@pytest.mark.parametrize(
    ("network", "bundle", "plan", "asked", "words"),
    [
        (28, None, {5: 29}, stream_settings(swa="0x" + "77" * 20), "no actor has the address f410f.* create it before"),
        (28, None, {5: 29}, stream_settings(sra="f099"), "f099 cannot be the writer of shares"),
        (28, None, {5: (29, "own")}, None, "actors v18, which cannot read the states that nv29 writes: use"),
        (28, None, {5: (29, "own-supply-share")}, None, "has actors v18"),
        (27, None, {5: (28, "own-v19")}, None, "actors v19, which read the states that nv29 will write"),
        (28, "own-v19", {}, None, "nv29 will write: use older actors, or nv29 instead of nv28"),
        (28, None, {}, QUICK, "need network version nv29, this network has nv28: plan an upgrade to it"),
        (27, None, {5: 28}, QUICK, "need network version nv29, this network has nv27"),
        (29, "own-v19", {}, stream_settings(sra="f04242"), "no actor has the address f04242 of the writer"),
    ],
)  # fmt: skip
def test_chain_stopping_upgrade_plan_is_rejected(
    network: int, bundle: str | None, plan: UpgradePlan, asked: StreamSettings | None, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(network=network, bundle=bundle, upgrades=plan, streams=asked, clock=Clock())


def test_an_upgrade_that_brings_no_streams_takes_none() -> None:
    with Network(network=27, clock=Clock()) as network:
        with pytest.raises(InvalidInput, match="need network version nv29, this network has nv27"):
            network.upgrade(28, streams=QUICK)
        assert network.version == 27
        assert network.upgrade(28).height == 1


@pytest.mark.slow
def test_planned_upgrade_keeps_bundle_of_its_plan(tmp_path: Path) -> None:
    """The folder is reopened after a rebuild of the own bundle, with a plan that names no bundle."""
    older = stand_in(Bundle.embedded("v19"))
    Network(tmp_path, network=28, upgrades={3: (29, older)}, clock=Clock()).close()
    with pytest.raises(
        InvalidInput, match="nv29 at epoch 3 is planned with built-in actors other than the requested ones"
    ):
        Network(tmp_path, upgrades={3: (29, "own-v19")}, clock=Clock())
    with Network(tmp_path, upgrades={3: 29}, clock=Clock()) as network:
        network.mine(4)
        assert (network.version, network.machine.manifest.data) == (29, older.manifest.data)
    Network(tmp_path, upgrades={3: 29}, clock=Clock()).close()


@pytest.mark.slow
def test_streams_of_planned_upgrade_may_be_omitted_on_reopen(tmp_path: Path) -> None:
    Network(tmp_path, network=28, upgrades={3: 29}, streams=QUICK, clock=Clock()).close()
    Network(tmp_path, upgrades={3: 29}, clock=Clock()).close()
    words = "to nv29 at epoch 3 is planned with ramp 90 and not 91: omit it"
    for again in ({}, {3: 29}):
        with pytest.raises(InvalidInput, match=words):
            Network(tmp_path, upgrades=again, streams=replace(QUICK, ramp=91), clock=Clock())
    with Network(tmp_path, streams=QUICK, clock=Clock()) as network:
        network.mine(4)
        assert reward_state(network)[11] == 5
    with pytest.raises(InvalidInput, match=words):  # behind it, too
        Network(tmp_path, upgrades={3: 29}, streams=replace(QUICK, ramp=91), clock=Clock())
    with pytest.raises(InvalidInput, match=r"planned with swa f410f.* and not f410f"):
        Network(tmp_path, upgrades={3: 29}, streams=replace(QUICK, authority=to(SRA)), clock=Clock())


@pytest.mark.slow
def test_streams_of_a_plan_that_has_the_networks_own_are_refused(tmp_path: Path) -> None:
    Network(tmp_path, network=28, upgrades={3: 29}, clock=Clock()).close()
    with pytest.raises(InvalidInput, match="is planned with the network's default streams, not the requested ones"):
        Network(tmp_path, streams=QUICK, clock=Clock())


def without_market(network: Network) -> StreamSettings:
    network.machine.state_tree.delete_actor(MARKET_ACTOR)
    return QUICK


def without_reward(network: Network) -> StreamSettings:
    network.machine.state_tree.delete_actor(REWARD_ACTOR)
    return QUICK


def paid_by_channel(network: Network) -> StreamSettings:
    """Return a payment channel as the first orchestrator."""
    manifest = network.machine.manifest
    params = encode([SWA.native.to_bytes(), SRA.native.to_bytes()])
    creation = init.exec(manifest.code("paymentchannel"), params)
    sender = network.machine.actor(SWA.native)
    assert sender is not None
    applied = network.machine.apply_implicit(
        Message(Address.id(INIT_ACTOR), SWA.native, method=creation.method, params=creation.params)
    )
    assert applied.exit_code == 0, applied.message
    return replace(QUICK, recipient=init.ExecReturn.decode(applied.return_data).id_address)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_market, "actor f05, whose state the upgrade changes, does not exist"),
        (without_reward, "actor f02, whose state the upgrade changes, does not exist"),
        (paid_by_channel, "cannot be the first recipient: it is a payment channel"),
    ],
)
def test_a_state_that_cannot_be_upgraded_stays_as_it_is(
    change: Callable[[Network], StreamSettings], words: str
) -> None:
    with Network(network=28, clock=Clock()) as network:
        network.mine()
        snapshot = network.machine.snapshot()
        asked = change(network)
        root, plan = network.machine.root, network.chain.record.upgrades
        with pytest.raises(InvalidInput, match=words):
            network.upgrade(29, streams=asked)
        assert (network.version, network.machine.root, network.chain.record.upgrades) == (28, root, plan)
        network.machine.restore(snapshot)
        network.mine(2)
        assert network.version == 28
        network.upgrade(29, streams=QUICK)
        assert network.version == 29


def test_stream_option_is_parsed() -> None:
    with Network(streams=QUICK, clock=Clock()) as network:
        read = partial(get_object, network.machine.store)
        swa, sra = (Address.from_bytes(id_bytes(network, to(account))) for account in (SWA, SRA))
        assert describe_streams(reward_state(network), read, 5) == (
            f"1: 93 % to miners, 2: 7 % to 1 recipient (writer {sra}); governed by {swa}, timelock 5 epochs"
        )
        # Of 90 epochs 45 %: at epoch 21 miners have 85 %, the second stream has stopped at 10 %.
        assert "1: 85 % to miners, 2: 10 % to 1 recipient" in describe_streams(reward_state(network), read, 21)
        assert ", 5 % is burnt; governed by" in describe_streams(reward_state(network), read, 21)
    with Network(network=28, clock=Clock()) as network:
        assert describe_streams(reward_state(network), read, 5) == "none: miners receive the whole reward"
    with pytest.raises(InvalidInput, match="an unknown layout"):
        describe_streams([1, 2], read, 5)


@pytest.mark.parametrize(
    ("epoch", "weight"), [(10, 95), (11, 94), (55, 50), (56, 50), (1 << 62, 50), (0, 95)]
)  # 95 - (epoch - 10), from 50 to 95: by hand
def test_a_weight_moves_between_floor_and_cap(epoch: int, weight: int) -> None:
    assert weight_at([95, -1, 10, 50, 95], epoch) == weight
