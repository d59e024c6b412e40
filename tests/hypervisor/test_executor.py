"""Preflight checks, gas prepayment and settlement.

Figures: inclusion costs 560,663 gas plus 1,300 per byte, a transfer 6,000, the first update of an actor 475,000.

Refusals and charges from network version 21 on are those of the reference in tests/golden/fees.jsonl.gz.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hypervisor.address import Address
from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, MessageError
from hypervisor.executor import ApplyResult
from hypervisor.gas_outputs import GasOutputs
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.state_tree import ActorState
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    METHOD_SEND,
    REWARD_ACTOR,
    ActorID,
    ChainEpoch,
    Gas,
    TokenAmount,
)
from tests.hypervisor.world import (
    FIL,
    NEW_ETH,
    SENDER,
    SENDER_BALANCE,
    SENDER_ID,
    World,
    exiting,
)

BASE_FEE = 100
LENGTH = 100
INCLUSION = 560_663 + 1_300 * LENGTH
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


# --- preflight --------------------------------------------------------------------------------------------------------


def refuses(world: World, message: Message, code: int, penalty: int) -> None:
    """Assert that the message fails with this code: empty receipt, miner penalty, unchanged state."""
    before = world.machine.root
    result = apply(world, message)
    assert (result.exit_code, result.return_data, result.gas_used) == (code, b"", 0)
    assert result.receipt.events_root is None
    assert result.gas == GasOutputs(miner_penalty=TokenAmount(penalty))
    assert result.message
    assert world.machine.root == before
    assert not world.runtime.invoked


@pytest.mark.parametrize(
    "state",
    [
        {"delegated_address": Address.delegated(32, bytes(20))},
        {"delegated_address": NEW_ETH, "nonce": 1},
        {"delegated_address": None},
    ],
    ids=["another namespace", "nonce 1", "no address"],
)
def test_placeholder_sends_only_at_nonce_zero_with_f410_address(state: dict[str, Any]) -> None:
    world = world_at()
    number = ActorID(2_000)
    placeholder = ActorState(world.code("placeholder"), balance=TokenAmount(FIL))
    world.tree.set_actor(number, replace(placeholder, **state))
    refuses(world, replace(priced(world, SENDER), from_=Address.id(number)), 1, BASE_FEE * 2_000_000)


def test_a_sender_at_the_last_nonce_sends_no_more() -> None:
    world = world_at()
    last = (1 << 64) - 1
    state = world.tree.get_actor(SENDER_ID)
    assert state is not None
    world.tree.set_actor(SENDER_ID, replace(state, nonce=last))
    refuses(world, priced(world, SENDER, nonce=last), 2, BASE_FEE * 2_000_000)


@pytest.mark.parametrize("limit", [0, 1 << 63, (1 << 64) - 1])
def test_invalid_gas_limit_raises_message_error(limit: int) -> None:
    world = world_at()
    before = world.machine.root
    for ask in (world.machine.apply, world.machine.apply_implicit, world.machine.call):
        with pytest.raises(MessageError, match="gas limit"):
            ask(priced(world, SENDER, gas_limit=limit))
    assert world.machine.root == before


def test_the_largest_gas_limit_is_one() -> None:
    world = world_at(base_fee=0)
    message = world.message(SENDER, METHOD_SEND, gas_limit=Gas((1 << 63) - 1))
    assert apply(world, message).exit_code == 0


# --- a placeholder's first message ------------------------------------------------------------------------------------


def test_first_eth_message_turns_placeholder_into_account() -> None:
    world = world_at()
    world.tree.set_actor(
        world.tree.register_address(NEW_ETH),
        ActorState(world.code("placeholder"), balance=TokenAmount(FIL), delegated_address=NEW_ETH),
    )
    message = replace(priced(world, SENDER), from_=NEW_ETH, nonce=0)
    result = apply(world, message)
    account = world.machine.actor(NEW_ETH)
    assert result.exit_code == 0
    assert account is not None
    assert (account.code, account.nonce, account.delegated_address) == (world.code("ethaccount"), 1, NEW_ETH)
    # also if the message itself fails
    assert apply(world, replace(message, nonce=1, value=TokenAmount(2 * FIL))).exit_code == 6
    again = world.machine.actor(NEW_ETH)
    assert again is not None
    assert (again.code, again.nonce) == (world.code("ethaccount"), 2)


def test_a_placeholder_stays_one_where_its_message_is_refused() -> None:
    world = world_at()
    number = world.tree.register_address(NEW_ETH)
    placeholder = ActorState(world.code("placeholder"), balance=TokenAmount(1), delegated_address=NEW_ETH)
    world.tree.set_actor(number, placeholder)
    message = replace(priced(world, SENDER), from_=NEW_ETH)
    refuses(world, replace(message, nonce=1), 2, BASE_FEE * 2_000_000)
    refuses(world, replace(message, nonce=0), 2, BASE_FEE * 2_000_000)
    assert world.tree.get_actor(number) == placeholder


# --- what a bare send costs -------------------------------------------------------------------------------------------


def test_zero_value_send_costs_only_inclusion() -> None:
    world = world_at()
    assert apply(world, priced(world, world.actor())).gas_used == INCLUSION


# --- money for gas ----------------------------------------------------------------------------------------------------


def test_burn_tip_and_refund_sum_to_prepaid_gas_cost() -> None:
    world = world_at()
    to = world.actor(code="account")
    reward, burnt = world.balance(REWARD_ACTOR), world.balance(BURNT_FUNDS_ACTOR)
    used, limit = INCLUSION + 6_000 + UPDATE, 2_000_000
    assert used == 1_171_663
    result = apply(world, priced(world, to, limit, value=TokenAmount(5)))
    # over-estimated: 2,000,000 - floor(1.1 * 1,171,663) = 711,171; burnt of the 828,337 left: * 711,171 / 1,171,663
    burned = 828_337 * 711_171 // used
    assert result.gas == GasOutputs(
        base_fee_burn=TokenAmount(BASE_FEE * used),
        over_estimation_burn=TokenAmount(BASE_FEE * burned),
        miner_tip=TokenAmount(7 * limit),
        refund=TokenAmount(2 * BASE_FEE * limit - BASE_FEE * used - BASE_FEE * burned - 7 * limit),
        gas_refund=Gas(828_337 - burned),
        gas_burned=Gas(burned),
    )
    assert world.balance(BURNT_FUNDS_ACTOR) - burnt == BASE_FEE * (used + burned)
    assert world.balance(REWARD_ACTOR) - reward == 7 * limit
    assert world.balance(SENDER) == SENDER_BALANCE - 5 - BASE_FEE * (used + burned) - 7 * limit


def test_failed_message_pays_gas_and_increments_nonce() -> None:
    world = world_at()
    to = world.actor(exiting(33))
    result = apply(world, priced(world, to, method=2))
    paid = result.gas.base_fee_burn + result.gas.over_estimation_burn + result.gas.miner_tip
    sender = world.machine.actor(SENDER)
    assert result.exit_code == 33
    assert sender is not None
    assert (sender.nonce, sender.balance) == (1, SENDER_BALANCE - paid)


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
