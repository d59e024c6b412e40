"""Calls between actors: what is taken back and what is not, value, gas limits, read-only, depth, memory."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from hypervisor.address import Address
from hypervisor.blocks import Block
from hypervisor.call import Call
from hypervisor.call_manager import MAX_CALL_DEPTH
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.events import EventEntry, StampedEvent, events_root
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel, SendResult
from hypervisor.memory import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY, MemoryBudget
from hypervisor.runtime import Outcome
from hypervisor.tracing import Recorder
from hypervisor.types import INIT_ACTOR, METHOD_SEND, ActorID, BlockId, ChainEpoch, Gas, MethodNumber, TokenAmount
from store.cid import CBOR, DAG_CBOR, RAW, cid_of
from store.codec import encode, link
from tests.hypervisor.world import (
    GAS,
    SENDER,
    SENDER_BALANCE,
    Script,
    World,
    charges,
    charging,
    exiting,
    refused,
    returning,
    used,
)

METHOD = MethodNumber(2)
LOOKUP, UPDATE, INVOKE, TRANSFER = 500_000 * GAS, 475_000 * GAS, 75_000 * GAS, 6_000 * GAS


@dataclass
class Notes:
    """What scripts saw."""

    items: list[Any] = field(default_factory=list)

    def add(self, item: Any) -> None:
        self.items.append(item)


def sends(to: Address, method: int = METHOD, **options: Any) -> Script:
    """A script that sends once and passes the callee's exit code on."""

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(kernel.send(to, MethodNumber(method), **options).exit_code)

    return script


def number_of(address: Address) -> ActorID:
    number = address.actor_id()
    assert number is not None
    return number


# --- what is taken back -------------------------------------------------------------------------------------------


def emitting(key: str, then: Script | None = None) -> Script:
    def script(kernel: Kernel, params: BlockId) -> Outcome | None:
        kernel.events.emit([EventEntry(0, key, RAW, b"")])
        return then(kernel, params) if then else None

    return script


def test_a_call_that_exits_with_a_code_leaves_no_state_no_events_and_no_journal() -> None:
    world, notes = World(), Notes()
    state = cid_of(encode(["state"]))

    def child(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.ipld.mark_reachable(state)
        kernel.self_.set_root(state)
        kernel.events.emit([EventEntry(0, "lost", RAW, b"")])
        kernel.journal.set("key", "child")
        kernel.send(SENDER, METHOD_SEND, value=TokenAmount(1))
        return Outcome(16)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.journal.set("key", "parent")
        kernel.events.emit([EventEntry(0, "kept", RAW, b"")])
        notes.add(kernel.send(child_at, METHOD, value=TokenAmount(3)).exit_code)
        notes.add(kernel.journal.get("key"))

    child_at = world.actor(child, balance=10)
    parent_at = world.actor(parent, balance=10)
    before = world.tree.get_actor(number_of(child_at))
    result = world.send(parent_at)
    assert result.exit_code == 0
    assert notes.items == [16, "parent"]
    assert world.tree.get_actor(number_of(child_at)) == before
    assert (world.balance(parent_at), world.balance(SENDER)) == (10, SENDER_BALANCE)
    assert result.events == (StampedEvent(number_of(parent_at), (EventEntry(0, "kept", RAW, b""),)),)
    assert result.receipt.events_root == events_root(result.events)


@pytest.mark.parametrize("ending", [exiting(0), exiting(1), exiting(16), exiting(0, 99)], ids=str.split("0 1 16 bad"))
def test_a_grandchild_lives_and_dies_with_the_child(ending: Script) -> None:
    world = World()
    grandchild = world.actor(emitting("grandchild"))

    def child(kernel: Kernel, params: BlockId) -> Outcome | None:
        kernel.send(grandchild, METHOD, value=TokenAmount(1))
        return ending(kernel, params)

    child_at = world.actor(child, balance=5)
    result = world.send(world.actor(emitting("parent", lambda k, p: sends(child_at)(k, p) and None)))
    ok = ending(None, BlockId(0)) == Outcome(0)  # type: ignore[arg-type]  # these scripts look at nothing
    assert [event.entries[0].key for event in result.events] == ["parent", "grandchild"] if ok else ["parent"]
    assert world.balance(grandchild) == (1 if ok else 0)


def test_a_message_that_fails_has_no_events_at_all() -> None:
    world = World()
    result = world.send(world.actor(emitting("lost", exiting(33))))
    assert (result.events, result.receipt.events_root) == ((), None)


@pytest.mark.parametrize("number", [ErrorNumber.NOT_FOUND, ErrorNumber.INSUFFICIENT_FUNDS])
def test_a_call_that_ends_in_an_error_number_is_taken_back_too(number: ErrorNumber) -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.journal.set("key", "child")
        kernel.events.emit([EventEntry(0, "lost", RAW, b"")])
        raise SyscallError(number, "as if the call itself had failed")

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(refused(number, kernel, lambda: kernel.send(child_at, METHOD, value=TokenAmount(1))))
        notes.add(kernel.journal.get("key"))

    child_at = world.actor(child)
    result = world.send(world.actor(parent, balance=1))
    assert result.exit_code == 0
    assert notes.items[1] is None
    assert (result.events, world.balance(child_at)) == ((), 0)


def test_gas_written_blocks_and_the_count_of_created_actors_are_not_taken_back() -> None:
    world, notes = World(), Notes()
    data, created = encode(["written"]), ActorID(9_000)

    def init(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.actors.create_actor(created, world.code("multisig"), None)
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, data))
        return Outcome(16)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        before = kernel.actors.next_actor_address()
        notes.add(used(kernel, lambda: notes.add(kernel.send(Address.id(INIT_ACTOR), METHOD).exit_code)))
        notes.add(kernel.actors.next_actor_address() == before)
        notes.add(kernel.calls.actors_created)

    world.runtime.actors[INIT_ACTOR] = init
    assert world.send(world.actor(parent)).exit_code == 0
    code, spent, same_address, count = notes.items
    assert (code, same_address, count) == (16, False, 1)
    assert spent > LOOKUP + UPDATE + 650_000 * GAS + 506_300 * GAS
    assert world.tree.get_actor(created) is None
    assert world.machine.store.has(cid_of(data))


@pytest.mark.parametrize(("code", "again"), [(16, LOOKUP), (0, 0)])
def test_an_access_made_in_a_reverted_call_is_paid_again_and_in_a_kept_one_not(code: int, again: int) -> None:
    world, notes = World(), Notes()
    other = number_of(world.actor())

    def child(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.actors.balance_of(other)
        return Outcome(code)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(child_at, METHOD)
        notes.add(used(kernel, lambda: kernel.actors.balance_of(other)))
        notes.add(used(kernel, lambda: kernel.actors.balance_of(number_of(child_at))))

    child_at = world.actor(child)
    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [again, again]


def test_actors_may_call_each_other_back_and_see_each_others_changes() -> None:
    world, notes = World(), Notes()

    def first(kernel: Kernel, _params: BlockId) -> None:
        if kernel.context.method == 2:
            kernel.send(second_at, METHOD, value=TokenAmount(4))
            notes.add(kernel.self_.current_balance())

    def second(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(first_at, MethodNumber(3), value=TokenAmount(1))

    first_at = world.actor(first, balance=10)
    second_at = world.actor(second)
    assert world.send(first_at).exit_code == 0
    assert notes.items == [7]
    assert world.balance(second_at) == 3


# --- value --------------------------------------------------------------------------------------------------------


def test_charges_of_a_call_with_value_come_in_the_networks_order() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    to = world.actor()
    world.send(world.actor(sends(to, value=TokenAmount(5)), balance=9))
    names = charges(recorder)
    assert names[0][0] == "OnChainMessage"
    assert names[1:] == [
        ("OnMethodInvocation", INVOKE),  # of the first actor, which the message may look at for free
        ("OnActorLookup", LOOKUP),
        ("OnValueTransfer", TRANSFER),
        ("OnActorUpdate", UPDATE),  # from
        ("OnActorUpdate", UPDATE),  # to
        ("OnMethodInvocation", INVOKE),
    ]


def test_a_call_to_itself_moves_nothing_and_updates_nothing() -> None:
    world, notes = World(), Notes()

    def script(kernel: Kernel, _params: BlockId) -> None:
        itself = Address.id(kernel.context.receiver)
        notes.add(used(kernel, lambda: kernel.send(itself, METHOD_SEND, value=TokenAmount(10))))
        notes.add(
            refused(
                ErrorNumber.INSUFFICIENT_FUNDS,
                kernel,
                lambda: kernel.send(itself, METHOD_SEND, value=TokenAmount(11)),
            )
        )

    at = world.actor(script, balance=10)
    assert world.send(at).exit_code == 0
    assert notes.items == [TRANSFER, TRANSFER]
    assert world.balance(at) == 10


def test_money_that_is_not_there_is_an_error_number_after_look_and_transfer_are_paid() -> None:
    world, notes = World(), Notes()
    to = world.actor()

    def script(kernel: Kernel, _params: BlockId) -> None:
        number = ErrorNumber.INSUFFICIENT_FUNDS
        notes.add(refused(number, kernel, lambda: kernel.send(to, METHOD, value=TokenAmount(11))))

    assert world.send(world.actor(script, balance=10)).exit_code == 0
    assert notes.items == [LOOKUP + TRANSFER]
    assert len(world.runtime.invoked) == 1


def test_a_bare_send_runs_no_code_of_its_receiver() -> None:
    world = World()
    to = world.actor(exiting(33))
    assert world.send(world.actor(sends(to, METHOD_SEND, value=TokenAmount(1)), balance=1)).exit_code == 0
    assert world.balance(to) == 1


def test_a_negative_value_is_an_illegal_argument() -> None:
    world = World()
    kernel = world.kernel(world.actor(balance=5))
    to = world.actor(balance=5)
    number = ErrorNumber.ILLEGAL_ARGUMENT
    assert refused(number, kernel, lambda: kernel.send(to, METHOD_SEND, value=TokenAmount(-1))) == LOOKUP + TRANSFER
    assert world.balance(to) == 5


@pytest.mark.parametrize(
    ("to", "paid"),
    [(Address.id(99_999), LOOKUP), (Address.actor(b"nobody"), 0), (Address.delegated(32, b"x"), 0)],
    ids=["f0", "f2", "f4 of another namespace"],
)
def test_nobody_is_not_found_and_not_created(to: Address, paid: int) -> None:
    kernel = World().kernel()
    assert refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.send(to, METHOD)) == paid


# --- parameters and returns ---------------------------------------------------------------------------------------

LEAF = encode(["leaf"])
NODE = encode([link(cid_of(LEAF)), link(cid_of(LEAF))])


def test_links_in_parameters_cost_300_each_and_can_be_opened_by_the_callee() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, params: BlockId) -> None:
        notes.add(kernel.ipld.stat(params))
        kernel.ipld.open(cid_of(LEAF))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, LEAF))
        handle = kernel.ipld.create(DAG_CBOR, NODE)
        kernel.send(child_at, METHOD, handle)

    recorder = Recorder()
    world.machine.tracer = recorder
    assert world.send(world.actor(parent)).exit_code == 0
    assert [cost for name, cost in charges(recorder) if name == "OnMethodInvocation"] == [INVOKE, INVOKE + 600 * GAS]
    assert (notes.items[0].id, notes.items[0].codec, notes.items[0].size) == (1, DAG_CBOR, len(NODE))


def test_links_in_a_return_cost_300_each_below_the_top_and_can_be_opened_by_the_caller() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, LEAF))
        return Outcome(0, kernel.ipld.create(DAG_CBOR, NODE))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> Outcome:
        first = kernel.ipld.create(RAW, b"mine")
        result = kernel.send(child_at, METHOD)
        notes.add((first, result))
        kernel.ipld.open(cid_of(LEAF))
        return Outcome(0, result.block_id)

    recorder = Recorder()
    world.machine.tracer = recorder
    result = world.send(world.actor(parent))
    assert result.return_data == NODE
    assert notes.items == [(1, SendResult(0, BlockId(2), DAG_CBOR, len(NODE)))]
    returns = [(name, cost) for name, cost in charges(recorder) if name.startswith(("OnReturn", "OnMethodReturn"))]
    assert returns == [("OnMethodReturn", 600 * GAS), ("OnReturnValue", 1_300 * len(NODE) * GAS)]


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_opaque_returns_are_free_below_the_top(codec: int) -> None:
    world, notes = World(), Notes()
    child_at = world.actor(returning(bytes(1000), codec, 33))

    def parent(kernel: Kernel, _params: BlockId) -> None:
        spent = used(kernel, lambda: notes.add(kernel.send(child_at, METHOD)))
        notes.add(spent - LOOKUP - INVOKE - 10 * 1000 * GAS)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [SendResult(33, BlockId(1), codec, 1000), 0]


def test_version_18_returns_links_for_free_and_still_pays_at_the_top() -> None:
    recorder = Recorder()
    world = World(18, tracer=recorder)
    child_at = world.actor(returning(NODE, DAG_CBOR))

    def parent(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(0, kernel.send(child_at, METHOD).block_id)

    assert world.send(world.actor(parent)).return_data == NODE
    costs = dict(charges(recorder))
    assert costs["OnMethodReturn"] == 0
    assert costs["OnReturnValue"] == 1_300 * len(NODE) * GAS


def test_a_return_that_cannot_be_paid_is_out_of_gas() -> None:
    world = World()
    to = world.actor(returning(bytes(1000), RAW))
    exact = 560_663 + 75_000 + 10_000 + 1_300_000
    assert world.machine.apply(world.message(to, gas_limit=Gas(exact)), 0).exit_code == 0
    short = world.machine.apply(world.message(to, gas_limit=Gas(exact - 1)), 0)
    assert (short.exit_code, short.return_data) == (7, b"")


@pytest.mark.parametrize("code", [0, 33])
def test_a_return_of_a_handle_that_was_never_given_is_a_missing_return(code: int) -> None:
    world, notes = World(), Notes()
    child_at = world.actor(exiting(code, 99))
    world.send(world.actor(lambda kernel, _: notes.add(kernel.send(child_at, METHOD, value=TokenAmount(1))), balance=1))
    assert notes.items == [SendResult(11)]
    assert world.balance(child_at) == 0
    assert world.send(child_at).exit_code == 11


@pytest.mark.parametrize("handle", [1, 99])
def test_parameters_under_an_unknown_handle_are_refused_for_free(handle: int) -> None:
    world = World()
    kernel = world.kernel()
    to = world.actor()
    number = ErrorNumber.INVALID_HANDLE
    assert refused(number, kernel, lambda: kernel.send(to, METHOD, BlockId(handle))) == 0


def test_a_sender_with_no_room_for_a_return_does_not_call(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    kernel = world.kernel(world.actor(balance=1))
    to = world.actor(returning(b"x"))
    kernel.ipld.create(RAW, b"")
    monkeypatch.setattr("hypervisor.blocks.MAX_BLOCKS", 1)
    number = ErrorNumber.LIMIT_EXCEEDED
    assert refused(number, kernel, lambda: kernel.send(to, METHOD, value=TokenAmount(1))) == 0
    assert world.balance(to) == 0


# --- gas limits ---------------------------------------------------------------------------------------------------


def test_a_call_that_uses_up_its_own_limit_exits_with_7_and_the_caller_goes_on() -> None:
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


def test_a_limit_counts_everything_from_the_look_at_the_receiver_on() -> None:
    world, notes = World(), Notes()
    child_at = world.actor(charging(1_000))
    exact = 500_000 + 75_000 + 1_000

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=exact - 1).exit_code)
        # the first attempt was taken back, and its look at the receiver with it
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


def test_a_limit_above_what_is_left_ends_the_message_when_it_is_used_up() -> None:
    world, notes = World(), Notes()
    child_at = world.actor(charging(10**12))

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(child_at, METHOD, gas_limit=(1 << 64) - 1)
        notes.add("the parent went on")

    result = world.send(world.actor(parent), gas_limit=Gas(10_000_000))
    assert (result.exit_code, result.gas_used) == (7, 10_000_000)
    assert not notes.items


def test_running_out_unwinds_to_the_nearest_limit_whose_caller_has_gas() -> None:
    world, notes = World(), Notes()
    leaf = world.actor(charging(10**12))

    def middle(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD)  # no limit of its own: goes down with the caller's
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
    # the middle's look and call, then the leaf's
    assert notes.items == [(2_000_000 - 575_000 - 575_000) * GAS]


def test_gas_that_runs_out_inside_leaves_the_state_of_the_call_behind() -> None:
    world = World()
    leaf = world.actor()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        kernel.gas.charge("Test", 10**15)

    child_at = world.actor(child, balance=1)
    assert world.send(world.actor(sends(child_at, gas_limit=5_000_000))).exit_code == 7
    assert (world.balance(child_at), world.balance(leaf)) == (1, 0)


def test_a_future_epochs_randomness_uses_up_only_the_limit_of_the_call() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.random.chain(ChainEpoch(kernel.machine.epoch + 1))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=1_000_000).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7]


# --- read-only ----------------------------------------------------------------------------------------------------


def test_read_only_sticks_to_everything_below() -> None:
    world = World()
    leaf = world.actor()
    middle = world.actor(sends(leaf))
    world.send(world.actor(sends(middle, read_only=True)))
    assert [context.read_only for context in world.runtime.invoked] == [False, True, True]


def test_a_read_only_call_carries_no_value_and_says_so_for_free() -> None:
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
    assert kernel.ipld.link(kernel.ipld.create(DAG_CBOR, LEAF)) == cid_of(LEAF)


def test_the_caller_of_a_read_only_call_may_write_again() -> None:
    world, notes = World(), Notes()
    to = world.actor()

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(to, METHOD, read_only=True)
        notes.add(kernel.send(to, METHOD, value=TokenAmount(1)).exit_code)

    assert world.send(world.actor(parent, balance=1)).exit_code == 0
    assert notes.items == [0]


# --- depth --------------------------------------------------------------------------------------------------------


def recursing(notes: Notes, then: Callable[[Kernel], None] | None = None) -> Script:
    """Calls itself until the machine refuses."""

    def script(kernel: Kernel, _params: BlockId) -> None:
        try:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
        except SyscallError as error:
            notes.add((kernel.calls.depth, error.number))
        if then:
            then(kernel)

    return script


def test_calls_nest_1024_deep_and_the_next_one_is_refused() -> None:
    world, notes = World(), Notes()
    result = world.send(world.actor(recursing(notes)))
    assert result.exit_code == 0
    assert notes.items == [(MAX_CALL_DEPTH, ErrorNumber.LIMIT_EXCEEDED)]
    assert len(world.runtime.invoked) == MAX_CALL_DEPTH == 1024


def test_a_refused_depth_costs_nothing_and_a_bare_send_counts_as_a_call() -> None:
    world, notes = World(), Notes()

    def bottom(kernel: Kernel) -> None:
        if kernel.calls.depth == MAX_CALL_DEPTH:
            number = ErrorNumber.LIMIT_EXCEEDED
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD, gas_limit=1_000)))
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD_SEND)))

    assert world.send(world.actor(recursing(Notes(), bottom))).exit_code == 0
    assert notes.items == [0, 0]


def test_depth_is_left_level_by_level_and_can_be_used_again() -> None:
    world, notes = World(), Notes()

    def again(kernel: Kernel) -> None:
        if kernel.calls.depth == 1000:
            notes.add(kernel.send(leaf, METHOD).exit_code)

    leaf = world.actor()
    deep = world.actor(recursing(Notes(), again))
    assert world.send(deep).exit_code == 0
    assert world.send(deep).exit_code == 0
    assert notes.items == [0, 0]


def test_a_failure_at_the_bottom_takes_back_every_level() -> None:
    world = World()
    leaf = world.actor()

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        try:
            return Outcome(kernel.send(Address.id(kernel.context.receiver), METHOD).exit_code)
        except SyscallError:
            return Outcome(33)

    at = world.actor(script, balance=5_000)
    assert world.send(at, gas_limit=Gas(10**12)).exit_code == 33
    assert (world.balance(at), world.balance(leaf)) == (5_000, 0)


def test_gas_that_runs_out_at_the_bottom_unwinds_every_level() -> None:
    world = World()
    at = world.actor(recursing(Notes(), lambda kernel: kernel.gas.charge("Test", 10**18)))
    result = world.send(at)
    assert (result.exit_code, result.gas_used) == (7, 10_000_000_000)


def test_code_runs_off_the_callers_thread_on_a_fresh_one_every_eight_levels() -> None:
    world, idents = World(), []

    def script(kernel: Kernel, _params: BlockId) -> None:
        idents.append(threading.get_ident())
        if kernel.calls.depth < 20:
            kernel.send(Address.id(kernel.context.receiver), METHOD)

    world.send(world.actor(script))
    assert threading.get_ident() not in idents
    blocks = [idents[start : start + 8] for start in range(0, 20, 8)]
    assert [len(set(block)) for block in blocks] == [1, 1, 1]
    assert len(set(idents)) == 3


def test_an_interrupt_ends_the_message_and_leaves_the_state_as_it_was() -> None:
    world, ended = World(), threading.Event()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        if kernel.calls.depth < 12:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
            return
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        give_up = time.monotonic() + 20
        try:
            while time.monotonic() < give_up:  # as a guest in an endless loop, that pays as it goes
                kernel.gas.charge("Test", 1)
        except OutOfGas:
            ended.set()
            raise

    leaf = world.actor()
    at = world.actor(script, balance=100)
    before = world.machine.root
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            world.send(at, gas_limit=Gas(1 << 60))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert ended.is_set()
    assert world.machine.root == before
    assert world.send(leaf, METHOD_SEND, value=TokenAmount(1)).exit_code == 0


# --- memory -------------------------------------------------------------------------------------------------------


def test_memory_of_a_call_is_given_back_however_it_ends() -> None:
    world, notes = World(), Notes()

    def grow(kernel: Kernel, _params: BlockId) -> Outcome:
        assert kernel.memory.grow(0, 1 << 20)
        match kernel.context.method:
            case 3:
                return Outcome(16)
            case 4:
                raise SyscallError(ErrorNumber.NOT_FOUND, "x")
            case 5:
                kernel.gas.charge("Test", 10**15)
        return Outcome(0)

    child_at = world.actor(grow)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.memory.grow(0, 100)
        for method in (2, 3, 5):
            kernel.send(child_at, MethodNumber(method), gas_limit=10_000_000)
            notes.add(kernel.memory.used)
        refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.send(child_at, MethodNumber(4)))
        notes.add(kernel.memory.used)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [100] * 4


def test_an_instance_grows_to_512_mib_and_all_of_them_to_2_gib() -> None:
    assert (MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY) == (512 << 20, 2 << 30)
    budget = MemoryBudget()
    assert not budget.grow(0, (512 << 20) + 1)
    for _ in range(4):
        assert budget.grow(0, 512 << 20)
    assert not budget.grow(0, 1)
    assert budget.used == 2 << 30
    assert not budget.grow(1 << 20, (1 << 20) + 1)
    assert budget.grow(5, 5)


# --- blocks that callers hand over --------------------------------------------------------------------------------


def test_a_call_manager_takes_calls_from_outside_any_actor() -> None:
    world = World()
    to = world.actor(returning(b"answer", RAW))
    calls = world.calls()
    result = calls.send(Call(ActorID(100), to, METHOD, Block(CBOR, b"\x80")))
    assert (result.exit_code, result.block) == (0, Block(RAW, b"answer"))
    assert (calls.depth, calls.invocations) == (0, 1)
    with pytest.raises(OutOfGas):
        world.calls(limit=10).send(Call(ActorID(100), to, METHOD))
