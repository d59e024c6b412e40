"""Calls between actors: values, transactions, limits, depth, and actors created by a send.

- State that a failed call rolls back, and state that it does not.
- Value transfers, parameters and returns between actors: order of charges, errors, links.
- Calls with their own gas limit, and read-only calls.
- Accounts and placeholders created by a send to their address.
- Depth of nested calls, their threads, interrupts, and memory of active calls.

Refusals and charges from network version 21 on are those of the reference in tests/golden/send.jsonl.gz.

Errors and charges from network version 21 on are those of the reference in tests/golden/send.jsonl.gz.

The charge is 2,700,000 gas for storing an actor, and looking up and assigning its address, followed by a lookup and an
update of the new actor.

Errors and charges from network version 21 on are those of the reference in tests/golden (send, fees).
"""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hypervisor.errors import Fatal, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel, SendResult
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY, Call, MemoryBudget
from hypervisor.machine.call_manager import MAX_CALL_DEPTH
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry, StampedEvent, events_tree
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import ActorCreated, Recorder
from hypervisor.types import (
    INIT_ACTOR,
    METHOD_SEND,
    SYSTEM_ACTOR,
    ActorID,
    BlockId,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from store.cid import CBOR, DAG_CBOR, EMPTY_ARRAY_CID, RAW, cid_of
from store.codec import encode, link
from tests.hypervisor.world import (
    GAS,
    NEW_BLS,
    NEW_ETH,
    NEW_KEY,
    SENDER,
    SENDER_BALANCE,
    Notes,
    Script,
    World,
    charges,
    exiting,
    number_of,
    refused,
    returning,
    sends,
    used,
)

METHOD = MethodNumber(2)
LOOKUP, UPDATE = 500_000 * GAS, 475_000 * GAS


def emitting(key: str, then: Script | None = None) -> Script:
    def script(kernel: Kernel, params: BlockId) -> Outcome | None:
        kernel.events.emit([EventEntry(0, key, RAW, b"")])
        return then(kernel, params) if then else None

    return script


def test_aborted_call_reverts_state_events_and_journal() -> None:
    world, notes = World(), Notes()
    state = cid_of(encode(["state"]))

    def child(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.ipld.reachable.add(state)
        kernel.set_root(state)
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
    assert (result.receipt.events_root, result.event_blocks) == events_tree(result.events)


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


@pytest.mark.parametrize("number", [ErrorNumber.NOT_FOUND, ErrorNumber.INSUFFICIENT_FUNDS])
def test_call_ending_in_error_number_is_reverted(number: ErrorNumber) -> None:
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


def test_gas_blocks_and_created_actor_count_survive_revert() -> None:
    world, notes = World(), Notes()
    data, created = encode(["written"]), ActorID(9_000)

    def init(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.create_actor(created, world.code("multisig"), None)
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, data))
        return Outcome(16)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        before = kernel.next_actor_address()
        notes.add(used(kernel, lambda: notes.add(kernel.send(Address.id(INIT_ACTOR), METHOD).exit_code)))
        notes.add(kernel.next_actor_address() == before)
        notes.add(kernel.calls.actors_created)

    world.runtime.actors[INIT_ACTOR] = init
    assert world.send(world.actor(parent)).exit_code == 0
    code, spent, same_address, count = notes.items
    assert (code, same_address, count) == (16, False, 1)
    assert spent > LOOKUP + UPDATE + 650_000 * GAS + 506_300 * GAS
    assert world.tree.get_actor(created) is None
    assert world.machine.store.has(cid_of(data))


def test_reentrant_actors_see_each_others_changes() -> None:
    world, notes = World(), Notes()

    def first(kernel: Kernel, _params: BlockId) -> None:
        if kernel.context.method == 2:
            kernel.send(second_at, METHOD, value=TokenAmount(4))
            notes.add(kernel.current_balance())

    def second(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(first_at, MethodNumber(3), value=TokenAmount(1))

    first_at = world.actor(first, balance=10)
    second_at = world.actor(second)
    assert world.send(first_at).exit_code == 0
    assert notes.items == [7]
    assert world.balance(second_at) == 3


VALUE_LOOKUP, VALUE_UPDATE, INVOKE, TRANSFER = 500_000 * GAS, 475_000 * GAS, 75_000 * GAS, 6_000 * GAS


# --- value ------------------------------------------------------------------------------------------------------------


def test_charges_of_a_call_with_value_come_in_the_networks_order() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    to = world.actor()
    world.send(world.actor(sends(to, value=TokenAmount(5)), balance=9))
    names = charges(recorder)
    assert names[0][0] == "OnChainMessage"
    assert names[1:] == [
        ("OnMethodInvocation", INVOKE),  # the message's receiver, whose lookup is free
        ("OnActorLookup", VALUE_LOOKUP),
        ("OnValueTransfer", TRANSFER),
        ("OnActorUpdate", VALUE_UPDATE),  # from
        ("OnActorUpdate", VALUE_UPDATE),  # to
        ("OnMethodInvocation", INVOKE),
    ]


# --- parameters and returns -------------------------------------------------------------------------------------------

LEAF = encode(["leaf"])
NODE = encode([link(cid_of(LEAF)), link(cid_of(LEAF))])


def test_param_links_cost_300_each_and_are_openable_by_callee() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, params: BlockId) -> None:
        notes.add(kernel.ipld.block(params))
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
    assert notes.items == [Block(DAG_CBOR, NODE)]


def test_nested_return_links_cost_300_each_and_caller_opens_them() -> None:
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
    returns = [(name, cost) for name, cost in charges(recorder) if name.startswith(("OnReturn", "OnChainReturn"))]
    assert returns == [("OnReturnValue", 600 * GAS), ("OnChainReturnValue", 1_300 * len(NODE) * GAS)]


def test_version_18_returns_links_free_but_charges_at_top_level() -> None:
    recorder = Recorder()
    world = World(18, tracer=recorder)
    child_at = world.actor(returning(NODE, DAG_CBOR))

    def parent(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(0, kernel.send(child_at, METHOD).block_id)

    assert world.send(world.actor(parent)).return_data == NODE
    costs = dict(charges(recorder))
    assert costs["OnReturnValue"] == 0
    assert costs["OnChainReturnValue"] == 1_300 * len(NODE) * GAS


def test_a_sender_with_no_room_for_a_return_does_not_call(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    kernel = world.kernel(world.actor(balance=1))
    to = world.actor(returning(b"x"))
    kernel.ipld.create(RAW, b"")
    monkeypatch.setattr("hypervisor.kernel.ipld.MAX_BLOCKS", 1)
    number = ErrorNumber.LIMIT_EXCEEDED
    assert refused(number, kernel, lambda: kernel.send(to, METHOD, value=TokenAmount(1))) == 0
    assert world.balance(to) == 0


def test_future_epoch_randomness_burns_only_the_call_gas_limit() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.random.chain(ChainEpoch(kernel.machine.context.epoch + 1))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=1_000_000).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7]


CREATE, SEND_LOOKUP, SEND_UPDATE, SEND_INVOKE, SEND_TRANSFER = 2_700_000, 500_000, 475_000, 75_000, 6_000
FIRST_NEW = ActorID(101)  # f0100 is the sender


@pytest.mark.parametrize("address", [NEW_KEY, NEW_BLS], ids=["f1", "f3"])
def test_a_send_to_a_new_key_makes_an_account(address: Address) -> None:
    world = World()
    result = world.machine.apply(world.message(address, METHOD_SEND, value=TokenAmount(5)), 0)
    assert result.exit_code == 0
    # the constructor is called once, without a lookup or transfer
    assert result.gas_used == 560_663 + CREATE + SEND_LOOKUP + SEND_UPDATE + SEND_INVOKE + SEND_TRANSFER
    assert world.tree.lookup_id(address) == FIRST_NEW
    assert world.tree.get_actor(FIRST_NEW) == ActorState(
        world.code("account"), EMPTY_ARRAY_CID, 0, TokenAmount(5), None
    )
    assert world.tree.init_state().next_id == FIRST_NEW + 1


def test_a_send_to_a_new_ethereum_address_makes_a_placeholder() -> None:
    world = World()
    result = world.machine.apply(world.message(NEW_ETH, METHOD_SEND, value=TokenAmount(5)), 0)
    assert result.exit_code == 0
    assert result.gas_used == 560_663 + CREATE + SEND_LOOKUP + SEND_UPDATE + SEND_TRANSFER
    assert world.tree.get_actor(FIRST_NEW) == ActorState(
        world.code("placeholder"), EMPTY_ARRAY_CID, 0, TokenAmount(5), NEW_ETH
    )
    assert not world.runtime.invoked


def test_the_charges_come_in_the_networks_order() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    world.send(NEW_KEY, METHOD_SEND, value=TokenAmount(5))
    assert charges(recorder)[1:] == [
        ("OnCreateActor", CREATE * GAS),
        ("OnActorLookup", SEND_LOOKUP * GAS),
        ("OnActorUpdate", SEND_UPDATE * GAS),
        ("OnMethodInvocation", SEND_INVOKE * GAS),
        ("OnValueTransfer", SEND_TRANSFER * GAS),
    ]
    assert [event for event in recorder.events if isinstance(event, ActorCreated)] == [ActorCreated(FIRST_NEW, NEW_KEY)]


def test_implicit_constructor_is_system_call_1_with_address() -> None:
    world = World()
    seen: list[Any] = []

    def constructor(kernel: Kernel, params: BlockId) -> None:
        block = kernel.ipld.block(params)
        seen.append((block.codec, block.data, block.links, kernel.calls.depth))

    world.runtime.codes[world.code("account")] = constructor
    assert world.send(NEW_KEY, METHOD_SEND, value=TokenAmount(5)).exit_code == 0
    # at the depth of the send itself
    assert seen == [(CBOR, encode(NEW_KEY.to_bytes()), (), 1)]
    [context] = world.runtime.invoked
    assert (context.caller, context.receiver, context.method, context.value, context.read_only) == (
        SYSTEM_ACTOR, FIRST_NEW, MethodNumber(1), 0, False
    )  # fmt: skip


@pytest.mark.parametrize("code", [4, 16, 24])
def test_the_exit_code_of_the_constructor_is_ignored(code: int) -> None:
    world = World()
    world.runtime.codes[world.code("account")] = exiting(code)
    assert world.send(NEW_KEY, METHOD_SEND, value=TokenAmount(5)).exit_code == 0
    assert world.balance(NEW_KEY) == 5


def test_top_level_constructor_return_value_is_charged_on_chain() -> None:
    world = World()
    world.runtime.codes[world.code("account")] = returning(bytes(10))
    result = world.machine.apply(world.message(NEW_KEY, METHOD_SEND), 0)
    assert result.gas_used == 560_663 + CREATE + SEND_LOOKUP + SEND_UPDATE + SEND_INVOKE + 100 + 13_000
    assert result.return_data == b""


def failing(error: BaseException) -> Any:
    def constructor(_kernel: Kernel, _params: BlockId) -> None:
        raise error

    return constructor


def test_implicit_constructor_fatal_error_or_oog_fails_the_send() -> None:
    for error, code in ((OutOfGas("x"), 7), (Fatal("x"), 10)):
        world = World()
        world.runtime.codes[world.code("account")] = failing(error)
        assert world.send(NEW_KEY, METHOD_SEND, value=TokenAmount(5)).exit_code == code
        assert world.tree.lookup_id(NEW_KEY) is None


def test_code_of_the_new_account_runs_after_its_constructor() -> None:
    world = World()
    world.runtime.codes[world.code("account")] = returning(b"pong")
    result = world.send(NEW_KEY, 7)
    assert (result.exit_code, result.return_data) == (0, b"pong")
    assert [context.method for context in world.runtime.invoked] == [1, 7]


# --- depth ------------------------------------------------------------------------------------------------------------


def recursing(notes: Notes, then: Callable[[Kernel], None] | None = None) -> Script:
    """Return a script that calls itself until the machine rejects it."""

    def script(kernel: Kernel, _params: BlockId) -> None:
        try:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
        except SyscallError as error:
            notes.add((kernel.calls.depth, error.number))
        if then:
            then(kernel)

    return script


@pytest.mark.slow
def test_calls_nest_1024_deep_and_the_next_one_is_refused() -> None:
    world, notes = World(), Notes()
    result = world.send(world.actor(recursing(notes)))
    assert result.exit_code == 0
    assert notes.items == [(MAX_CALL_DEPTH, ErrorNumber.LIMIT_EXCEEDED)]
    assert len(world.runtime.invoked) == MAX_CALL_DEPTH == 1024


def test_refused_depth_is_free_and_bare_send_counts_as_call() -> None:
    world, notes = World(), Notes()

    def bottom(kernel: Kernel) -> None:
        if kernel.calls.depth == MAX_CALL_DEPTH:
            number = ErrorNumber.LIMIT_EXCEEDED
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD, gas_limit=1_000)))
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD_SEND)))

    assert world.send(world.actor(recursing(Notes(), bottom))).exit_code == 0
    assert notes.items == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "stays"), [(18, True), (20, True), (21, False), (28, False)])
def test_refused_depth_leaks_call_gas_limit_before_nv21(network: int, stays: bool) -> None:
    """ref-fvm v3.14.1 call_manager/default.rs `send` returns before `pop_limit`; v4.8.4 `call_actor` pops always.

    The next return closes the leftover frame instead of its own, and the use outside of it is never added.
    """
    world, notes = World(network), Notes()

    def script(kernel: Kernel, _params: BlockId) -> None:
        bottom = kernel.calls.depth == MAX_CALL_DEPTH
        limit = 5_000 if bottom else None
        before = kernel.calls.gas.available
        try:
            kernel.send(Address.id(kernel.context.receiver), METHOD, gas_limit=limit)
        except SyscallError:
            notes.add((before, kernel.calls.gas.available))
            kernel.calls.gas.charge("OnTest", 1_000 * 1_000)

    result = world.send(world.actor(script), gas_limit=1_000_000_000)
    assert result.exit_code == 0
    ((before, after),) = notes.items
    assert after == (5_000 * 1_000 if stays else before)
    # The gas used outside of the frame is lost: inclusion and a thousand invocations.
    assert (result.gas_used == 1_000) is stays


@pytest.mark.slow
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


def test_failure_at_maximum_depth_reverts_every_level() -> None:
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


def test_calls_run_on_new_thread_every_eight_levels() -> None:
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


def test_interrupt_ends_message_and_leaves_state_unchanged() -> None:
    world, ended = World(), threading.Event()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        if kernel.calls.depth < 12:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
            return
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        give_up = time.monotonic() + 20
        try:
            while time.monotonic() < give_up:  # like a guest in an endless loop that is charged continuously
                kernel.gas.charge("Test", 1)
        except OutOfGas:
            ended.set()
            raise

    leaf = world.actor()
    at = world.actor(script, balance=100)
    before = world.machine.root
    with pytest.raises(KeyboardInterrupt):
        world.send(at, gas_limit=Gas(1 << 60))
    assert ended.is_set()
    assert world.machine.root == before
    assert world.send(leaf, METHOD_SEND, value=TokenAmount(1)).exit_code == 0


# --- memory -----------------------------------------------------------------------------------------------------------


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


# --- blocks passed by callers -----------------------------------------------------------------------------------------


def test_a_call_manager_takes_calls_from_outside_any_actor() -> None:
    world = World()
    to = world.actor(returning(b"answer", RAW))
    calls = world.calls()
    result = calls.send(Call(ActorID(100), to, METHOD, Block(CBOR, b"\x80")))
    assert (result.exit_code, result.block) == (0, Block(RAW, b"answer"))
    assert (calls.depth, calls.invocations) == (0, 1)
    with pytest.raises(OutOfGas):
        world.calls(limit=10).send(Call(ActorID(100), to, METHOD))
