"""State that a failed call rolls back, and state that it does not."""

import pytest

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry, StampedEvent, events_root
from hypervisor.types import INIT_ACTOR, METHOD_SEND, ActorID, BlockId, MethodNumber, TokenAmount
from store.cid import DAG_CBOR, RAW, cid_of
from store.codec import encode
from tests.hypervisor.world import (
    GAS,
    SENDER,
    SENDER_BALANCE,
    Notes,
    Script,
    World,
    exiting,
    number_of,
    refused,
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


def test_reentrant_actors_see_each_others_changes() -> None:
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
