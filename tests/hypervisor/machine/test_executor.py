"""Rejected gas limits, gas premium, and missing system actors; helpers for messages with fees.

Refusals and charges from network version 21 on are those of the reference in tests/golden/fees.jsonl.gz.
"""

from typing import Any

import pytest

from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, MessageError
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import BURNT_FUNDS_ACTOR, METHOD_SEND, REWARD_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from hypervisor.versions.network_versions import network_version
from tests.hypervisor.world import SENDER, World

BASE_FEE = 100
LENGTH = 100
UPDATE = 475_000


def world_at(base_fee: int = BASE_FEE, **fields: Any) -> World:
    context = MachineContext(network_version(28), epoch=ChainEpoch(5), base_fee=TokenAmount(base_fee))
    return World(context=context, **fields)


def apply(world: World, message: Message) -> ApplyResult:
    return world.machine.apply(message, LENGTH)


def priced(world: World, to: Address, gas_limit: int = 2_000_000, **fields: Any) -> Message:
    """Return a message with a fee cap of twice the base fee."""
    fees = {"gas_limit": Gas(gas_limit), "gas_fee_cap": TokenAmount(2 * BASE_FEE), "gas_premium": TokenAmount(7)}
    return world.message(to, **{"method": METHOD_SEND, **fees, **fields})


@pytest.mark.parametrize("limit", [0, 1 << 63, (1 << 64) - 1])
def test_invalid_gas_limit_raises_message_error(limit: int) -> None:
    world = world_at()
    before = world.machine.root
    for ask in (world.machine.apply, world.machine.apply_implicit, world.machine.call):
        with pytest.raises(MessageError, match="gas limit"):
            ask(priced(world, SENDER, gas_limit=limit))
    assert world.machine.root == before


def test_actor_sees_nonnegative_premium_limited_by_fee_cap() -> None:
    world = world_at()
    to = world.actor()
    for cap, premium, seen in [(200, 7, 7), (105, 7, 5), (100, 7, 0), (60, 7, 0), (200, 0, 0)]:
        message = priced(world, to, method=2, gas_fee_cap=TokenAmount(cap), gas_premium=TokenAmount(premium))
        assert apply(world, message).exit_code == 0
        assert world.runtime.invoked[-1].gas_premium == seen


@pytest.mark.parametrize("missing", [BURNT_FUNDS_ACTOR, REWARD_ACTOR])
def test_unpayable_gas_outputs_are_fatal_and_revert_message(missing: ActorID) -> None:
    world = world_at()
    to = world.actor()
    world.tree.delete_actor(missing)
    before = world.machine.root
    with pytest.raises(Fatal, match="cannot credit"):
        apply(world, priced(world, to, value=TokenAmount(5)))
    assert world.machine.root == before
    assert world.tree.flush() == before  # no transaction is left open
