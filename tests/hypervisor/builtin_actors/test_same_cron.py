"""Cron: our actor compared with the official one."""

import pytest

from hypervisor import Address, Hypervisor
from hypervisor.state.state_tree import ActorState
from hypervisor.types import CRON_ACTOR, SYSTEM_ACTOR, ActorID
from store.cid import EMPTY_ARRAY_CID
from store.codec import encode
from tests.hypervisor.builtin_actors.people import ALICE, STRANGER, packed, raw
from tests.hypervisor.builtin_actors.twins import Twins

CRON = Address.id(CRON_ACTOR)
EPOCH_TICK = 2
SPARE = ActorID(700)


@pytest.mark.slow
def test_the_tick_is_the_systems(twins: Twins) -> None:
    assert twins.send(CRON, EPOCH_TICK, b"", 0, ALICE).exit_code == 18
    assert twins.send_as(CRON_ACTOR, CRON, EPOCH_TICK).exit_code == 18
    assert twins.send_as(SYSTEM_ACTOR, CRON, EPOCH_TICK, b"\x80").exit_code == 16
    for epoch in range(5):
        twins.advance(epoch=epoch)
        assert twins.send_as(SYSTEM_ACTOR, CRON, EPOCH_TICK).exit_code == 0
    assert twins.send_as(SYSTEM_ACTOR, CRON, 3).exit_code == 22


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [[raw(Address.id(4)), 5], [raw(Address.id(5)), 9]],
        [[raw(Address.id(99_999)), 5], [raw(Address.actor(b"x")), 9], [raw(STRANGER), 0]],
        [[raw(Address.id(1)), 2], [raw(Address.id(700)), 2], [raw(Address.id(7)), 48890204], [raw(ALICE), 1 << 24]],
        [[raw(ALICE), 2**64 - 1]],
    ],
)
def test_entries_that_fail_keep_no_others_from_running(twins: Twins, entries: list[object]) -> None:
    def place(machine: Hypervisor) -> None:
        machine.state_tree.set_actor(SPARE, ActorState(machine.manifest.code("cron"), EMPTY_ARRAY_CID))

    twins.change(place)
    spare = Address.id(SPARE)
    assert twins.send_as(CRON_ACTOR, spare, 1, packed(entries)).exit_code == 18
    assert twins.send_as(SYSTEM_ACTOR, spare, 1, encode(entries)).exit_code == 21
    assert twins.send_as(SYSTEM_ACTOR, spare, 1, packed(entries)).exit_code == 0
    assert twins.send_as(SYSTEM_ACTOR, spare, 1, packed(entries)).exit_code == 20
    assert twins.send_as(SYSTEM_ACTOR, spare, EPOCH_TICK).exit_code == 0
