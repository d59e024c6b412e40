"""Value transfers, parameters and returns between actors: order of charges, errors, links."""

from __future__ import annotations

import pytest

from hypervisor.address import Address
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel, SendResult
from hypervisor.runtime import Outcome
from hypervisor.tracing import Recorder
from hypervisor.types import METHOD_SEND, BlockId, Gas, MethodNumber, TokenAmount
from store.cid import CBOR, DAG_CBOR, RAW, cid_of
from store.codec import encode, link
from tests.hypervisor.world import (
    GAS,
    Notes,
    World,
    charges,
    exiting,
    refused,
    returning,
    sends,
    used,
)

METHOD = MethodNumber(2)
LOOKUP, UPDATE, INVOKE, TRANSFER = 500_000 * GAS, 475_000 * GAS, 75_000 * GAS, 6_000 * GAS


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
        ("OnActorLookup", LOOKUP),
        ("OnValueTransfer", TRANSFER),
        ("OnActorUpdate", UPDATE),  # from
        ("OnActorUpdate", UPDATE),  # to
        ("OnMethodInvocation", INVOKE),
    ]


def test_self_send_moves_no_value_and_updates_no_state() -> None:
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


def test_insufficient_funds_error_follows_lookup_transfer_charge() -> None:
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
def test_send_to_absent_actor_is_not_found_and_creates_none(to: Address, paid: int) -> None:
    kernel = World().kernel()
    assert refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.send(to, METHOD)) == paid


# --- parameters and returns -------------------------------------------------------------------------------------------

LEAF = encode(["leaf"])
NODE = encode([link(cid_of(LEAF)), link(cid_of(LEAF))])


def test_param_links_cost_300_each_and_are_openable_by_callee() -> None:
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


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_opaque_returns_are_free_below_the_top(codec: int) -> None:
    world, notes = World(), Notes()
    child_at = world.actor(returning(bytes(1000), codec, 33))

    def parent(kernel: Kernel, _params: BlockId) -> None:
        spent = used(kernel, lambda: notes.add(kernel.send(child_at, METHOD)))
        notes.add(spent - LOOKUP - INVOKE - 10 * 1000 * GAS)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [SendResult(33, BlockId(1), codec, 1000), 0]


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


def test_a_return_that_cannot_be_paid_is_out_of_gas() -> None:
    world = World()
    to = world.actor(returning(bytes(1000), RAW))
    exact = 560_663 + 75_000 + 10_000 + 1_300_000
    assert world.machine.apply(world.message(to, gas_limit=Gas(exact)), 0).exit_code == 0
    short = world.machine.apply(world.message(to, gas_limit=Gas(exact - 1)), 0)
    assert (short.exit_code, short.return_data) == (7, b"")


@pytest.mark.parametrize("code", [0, 33])
def test_exit_with_unknown_block_handle_is_missing_return(code: int) -> None:
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
