"""Calls with their own gas limit, and read-only calls."""

from __future__ import annotations

from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.types import METHOD_SEND, BlockId, ChainEpoch, Gas, MethodNumber, TokenAmount
from store.cid import DAG_CBOR, EMPTY_ARRAY_CID
from tests.hypervisor.world import (
    GAS,
    Notes,
    World,
    charging,
    refused,
    sends,
    used,
)

METHOD = MethodNumber(2)


# --- gas limits -------------------------------------------------------------------------------------------------------


def test_call_over_its_gas_limit_exits_7_and_caller_continues() -> None:
    world, notes = World(), Notes()
    child_at = world.actor(charging(10**9))

    def parent(kernel: Kernel, _params: BlockId) -> None:
        spent = used(
            kernel, lambda: notes.add(kernel.send(child_at, METHOD, value=TokenAmount(1), gas_limit=3_000_000))
        )
        notes.add(spent)

    result = world.send(world.actor(parent, balance=1))
    assert result.exit_code == 0
    assert notes.items[0].exit_code == 7
    assert notes.items[1] == 3_000_000 * GAS
    assert world.balance(child_at) == 0


def test_call_limit_counts_gas_from_receiver_lookup_on() -> None:
    world, notes = World(), Notes()
    child_at = world.actor(charging(1_000))
    exact = 500_000 + 75_000 + 1_000

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=exact - 1).exit_code)
        # the first attempt was rolled back, including its lookup of the receiver
        notes.add(kernel.send(child_at, METHOD, gas_limit=exact).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7, 0]


def test_a_limit_of_zero_is_a_real_limit() -> None:
    world, notes = World(), Notes()
    to = world.actor()

    def parent(kernel: Kernel, _params: BlockId) -> None:
        spent = used(kernel, lambda: notes.add(kernel.send(to, METHOD_SEND, gas_limit=0).exit_code))
        notes.add(spent)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7, 0]


def test_call_limit_above_remaining_gas_fails_whole_message() -> None:
    world, notes = World(), Notes()
    child_at = world.actor(charging(10**12))

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(child_at, METHOD, gas_limit=(1 << 64) - 1)
        notes.add("the parent went on")

    result = world.send(world.actor(parent), gas_limit=Gas(10_000_000))
    assert (result.exit_code, result.gas_used) == (7, 10_000_000)
    assert not notes.items


def test_out_of_gas_unwinds_to_nearest_limit_with_caller_gas() -> None:
    world, notes = World(), Notes()
    leaf = world.actor(charging(10**12))

    def middle(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD)  # without its own limit: fails with the caller's
        notes.add("the middle went on")

    middle_at = world.actor(middle)

    def top(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(middle_at, METHOD, gas_limit=5_000_000).exit_code)

    assert world.send(world.actor(top)).exit_code == 0
    assert notes.items == [7]


def test_nested_limits_never_exceed_the_outer_one() -> None:
    world, notes = World(), Notes()
    leaf = world.actor(lambda kernel, _: notes.add(kernel.gas.available))

    def middle(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD, gas_limit=100_000_000)

    world.send(world.actor(sends(world.actor(middle), gas_limit=2_000_000)))
    # the lookup and call of the middle, then of the leaf
    assert notes.items == [(2_000_000 - 575_000 - 575_000) * GAS]


def test_out_of_gas_in_nested_call_reverts_its_state() -> None:
    world = World()
    leaf = world.actor()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        kernel.gas.charge("Test", 10**15)

    child_at = world.actor(child, balance=1)
    assert world.send(world.actor(sends(child_at, gas_limit=5_000_000))).exit_code == 7
    assert (world.balance(child_at), world.balance(leaf)) == (1, 0)


def test_future_epoch_randomness_burns_only_the_call_gas_limit() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.random.chain(ChainEpoch(kernel.machine.context.epoch + 1))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=1_000_000).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7]


# --- read-only --------------------------------------------------------------------------------------------------------


def test_read_only_sticks_to_everything_below() -> None:
    world = World()
    leaf = world.actor()
    middle = world.actor(sends(leaf))
    world.send(world.actor(sends(middle, read_only=True)))
    assert [context.read_only for context in world.runtime.invoked] == [False, True, True]


def test_read_only_send_with_value_is_refused_without_charge() -> None:
    world = World()
    to = world.actor()
    number = ErrorNumber.READ_ONLY
    kernel = world.kernel(world.actor(balance=5))
    assert refused(number, kernel, lambda: kernel.send(to, METHOD, value=TokenAmount(1), read_only=True)) == 0
    inside = world.kernel(world.actor(balance=5), read_only=True)
    assert refused(number, inside, lambda: inside.send(to, METHOD, value=TokenAmount(1))) == 0
    assert refused(number, inside, lambda: inside.send(to, METHOD, BlockId(9), TokenAmount(1))) == 0


def test_a_read_only_call_still_makes_and_links_blocks() -> None:
    world = World()
    kernel = world.kernel(read_only=True)
    assert kernel.ipld.link(kernel.ipld.create(DAG_CBOR, b"\x80")) == EMPTY_ARRAY_CID


def test_the_caller_of_a_read_only_call_may_write_again() -> None:
    world, notes = World(), Notes()
    to = world.actor()

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(to, METHOD, read_only=True)
        notes.add(kernel.send(to, METHOD, value=TokenAmount(1)).exit_code)

    assert world.send(world.actor(parent, balance=1)).exit_code == 0
    assert notes.items == [0]
