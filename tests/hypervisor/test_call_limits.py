"""Calls with their own gas limit, and read-only calls.

Errors and charges from network version 21 on are those of the reference in tests/golden/send.jsonl.gz.
"""

from __future__ import annotations

from hypervisor.kernel import Kernel
from hypervisor.types import BlockId, ChainEpoch, MethodNumber, TokenAmount
from tests.hypervisor.world import (
    Notes,
    World,
    sends,
)

METHOD = MethodNumber(2)


def test_future_epoch_randomness_burns_only_the_call_gas_limit() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.random.chain(ChainEpoch(kernel.machine.context.epoch + 1))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=1_000_000).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7]


def test_read_only_sticks_to_everything_below() -> None:
    world = World()
    leaf = world.actor()
    middle = world.actor(sends(leaf))
    world.send(world.actor(sends(middle, read_only=True)))
    assert [context.read_only for context in world.runtime.invoked] == [False, True, True]


def test_the_caller_of_a_read_only_call_may_write_again() -> None:
    world, notes = World(), Notes()
    to = world.actor()

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(to, METHOD, read_only=True)
        notes.add(kernel.send(to, METHOD, value=TokenAmount(1)).exit_code)

    assert world.send(world.actor(parent, balance=1)).exit_code == 0
    assert notes.items == [0]
