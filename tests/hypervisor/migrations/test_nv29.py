"""The migration to network version 29: resulting states of reward and market, and rejected states."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.bindings import storagepower
from hypervisor import Genesis, Hypervisor, Message, fil
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.integers import decode_bigint, encode_bigint
from hypervisor.messages.address import Address
from hypervisor.migrations.nv29 import DENOM, first_streams
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
)
from hypervisor.versions.network_versions import NV28, NV29
from hypervisor.versions.stream_settings import DEVELOPMENT, STREAM_SETTINGS, StreamSettings
from store.blockstore import get_object, put_object
from store.codec import encode, unlink

ALICE = Address.from_bytes(b"\x03" + b"\x03" * 48)
WRITER = Address.from_bytes(b"\x03" + b"\x04" * 48)
SOMEBODY_ELSE = Address.from_bytes(b"\x03" + b"\x05" * 48)
SETTINGS = StreamSettings(20, 900, ALICE, WRITER, SOMEBODY_ELSE)
UPGRADE_EPOCH = ChainEpoch(10)


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={ALICE: fil(10), WRITER: fil(1), SOMEBODY_ELSE: fil(1)})
    with Hypervisor.open(genesis=genesis, network=28) as opened:
        opened.store.put_many(Bundle.embedded("v19").blocks)
        opened.advance(epoch=UPGRADE_EPOCH)
        yield opened


def upgrade(machine: Hypervisor, settings: StreamSettings | None = SETTINGS) -> None:
    machine.upgrade(NV29, Bundle.embedded("v19").manifest, settings)


def fields_of(machine: Hypervisor, actor: ActorID) -> list[object]:
    state = machine.state_tree.get_actor(actor)
    assert state is not None
    fields: list[object] = get_object(machine.store, state.head)
    return fields


def test_reward_migration_keeps_fields_and_adds_streams(machine: Hypervisor) -> None:
    """The layout has 15 fields; the weight is 5 % * 10^18, as specified in FIP-0118."""
    before = fields_of(machine, REWARD_ACTOR)
    upgrade(machine)
    after = fields_of(machine, REWARD_ACTOR)
    assert (len(before), len(after)) == (11, 15)
    assert after[:9] == before[:9]
    assert after[9:14] == [b"", b"", 20, bytes([0, 100]), [[2, b""]]]
    streams, tombstones, pending = get_object(machine.store, unlink(after[14]))
    slope = 500_000_000_000_000
    assert streams == [
        [1, [95 * 10**16, -slope, 11, 50 * 10**16, 95 * 10**16], None],
        [2, [5 * 10**16, slope, 11, 5 * 10**16, 10 * 10**16], [bytes([0, 101]), [[bytes([0, 102]), DENOM]], [], []]],
    ]
    assert (tombstones, pending) == ([], [])


def test_market_loses_the_allocations_of_waiting_deals(machine: Hypervisor) -> None:
    before = fields_of(machine, MARKET_ACTOR)
    upgrade(machine)
    after = fields_of(machine, MARKET_ACTOR)
    assert (len(before), len(after)) == (13, 12)
    assert after == before[:11] + before[12:]


def test_every_actor_has_the_code_of_its_kind(machine: Hypervisor) -> None:
    old = {actor: machine.manifest.name_of(state.code) for actor, state in machine.state_tree.actors()}
    upgrade(machine)
    machine.state_tree.flush()
    new = {actor: machine.manifest.name_of(state.code) for actor, state in machine.state_tree.actors()}
    assert machine.manifest == Bundle.embedded("v19").manifest
    assert old == new


@pytest.mark.parametrize(
    ("network", "slope", "timelock"),
    [
        ("mainnet", 190_132_864_846, 20_160),
        ("calibrationnet", 17_361_111_111_112, 720),
        ("localnet", 500_000_000_000_000, 50),
    ],
)
def test_each_network_has_its_ramp(machine: Hypervisor, network: str, slope: int, timelock: int) -> None:
    """The slopes are those printed by forest and go-state-types for their networks."""
    settings = STREAM_SETTINGS.get(network, DEVELOPMENT)
    there = replace(settings, authority=ALICE, writer=ALICE, recipient=ALICE)
    (miners, second), _ = first_streams(machine.state_tree, there, 7, machine.manifest)
    assert (miners[1][1], second[1][1], settings.timelock) == (-slope, slope, timelock)


def test_zero_ramp_leaves_only_miner_stream(machine: Hypervisor) -> None:
    upgrade(machine, replace(SETTINGS, ramp=0))
    after = fields_of(machine, REWARD_ACTOR)
    (streams, _, _) = get_object(machine.store, unlink(after[14]))
    assert streams == [[1, [DENOM, 0, 0, DENOM, DENOM], None]]
    assert after[13] == []


def test_a_reward_is_split_from_the_next_epoch_on(machine: Hypervisor) -> None:
    """Miners get 95 % in the first epoch and one per cent less twenty epochs later (20 * 0.05 %)."""
    miner = _miner(machine)
    upgrade(machine)
    for epoch, percent in ((11, 95), (31, 94)):
        machine.advance(epoch=ChainEpoch(epoch))
        reward = decode_bigint(fields_of(machine, REWARD_ACTOR)[4]) // 5
        accrued = _accrued(machine)
        before = machine.balance(miner)
        params = encode([miner.to_bytes(), encode_bigint(0), encode_bigint(0), 1])
        applied = machine.apply_implicit(
            Message(Address.id(REWARD_ACTOR), Address.id(SYSTEM_ACTOR), method=MethodNumber(2), params=params)
        )
        assert applied.exit_code == 0, applied.message
        assert machine.balance(miner) - before == reward * percent // 100
        assert _accrued(machine) - accrued == reward * (100 - percent) // 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": Address.id(ActorID(4242))}, "no actor has the address f04242 of the first recipient"),
        ({"writer": Address.id(BURNT_FUNDS_ACTOR)}, "f099 cannot be the writer of shares"),
        ({"authority": Address.from_bytes(b"\x03" + b"\x09" * 48)}, "of the stream-weight authority"),
        ({"timelock": -1}, r"-1 epochs cannot be the timelock of streams: expected a whole number, 0 to 2\^62 - 1"),
    ],
)
def test_actors_that_cannot_have_a_role_are_refused(machine: Hypervisor, changes: dict[str, Any], words: str) -> None:
    root = machine.root
    with pytest.raises(InvalidInput, match=words):
        upgrade(machine, replace(SETTINGS, **changes))
    assert machine.root == root
    assert machine.context.network is NV28


def test_a_state_that_was_migrated_already_is_refused(machine: Hypervisor) -> None:
    upgrade(machine)
    root = machine.root
    machine.advance(network=NV28)
    with pytest.raises(InvalidInput, match="actors v18, which cannot read the states of the current actors v19: nv29"):
        machine.upgrade(NV29, Bundle.embedded().manifest, SETTINGS)
    assert machine.root == root


def test_a_state_without_a_market_is_refused(machine: Hypervisor) -> None:
    machine.state_tree.delete_actor(MARKET_ACTOR)
    root = machine.root
    with pytest.raises(InvalidInput, match="actor f05, whose state the upgrade changes, does not exist"):
        upgrade(machine)
    assert machine.root == root


def test_a_damaged_reward_state_is_refused(machine: Hypervisor) -> None:
    state = machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None
    head = put_object(machine.store, {"not": "a tuple"})
    machine.state_tree.set_actor(REWARD_ACTOR, state.with_head(head))
    with pytest.raises(InvalidInput, match="the state of the reward actor has no fields, expected 11"):
        upgrade(machine)


def _miner(machine: Hypervisor) -> Address:
    creation = storagepower.create_miner(ALICE, ALICE, 10, b"", [])
    applied = machine.apply_implicit(
        Message(Address.id(POWER_ACTOR), ALICE, value=fil(1), method=creation.method, params=creation.params)
    )
    assert applied.exit_code == 0, applied.message
    return storagepower.CreateMinerReturn.decode(applied.return_data).id_address


def _accrued(machine: Hypervisor) -> int:
    rows = fields_of(machine, REWARD_ACTOR)[13]
    assert isinstance(rows, list)
    return decode_bigint(rows[0][1])
