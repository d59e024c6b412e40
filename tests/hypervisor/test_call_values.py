"""Value transfers, parameters and returns between actors: order of charges, errors, links.

Refusals and charges from network version 21 on are those of the reference in tests/golden/send.jsonl.gz.
"""

import pytest

from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel, SendResult
from hypervisor.machine.registry import Outcome
from hypervisor.tracing import Recorder
from hypervisor.types import BlockId, MethodNumber, TokenAmount
from store.cid import DAG_CBOR, RAW, cid_of
from store.codec import encode, link
from tests.hypervisor.world import GAS, Notes, World, charges, refused, returning, sends

METHOD = MethodNumber(2)
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
    monkeypatch.setattr("hypervisor.kernel.blocks.MAX_BLOCKS", 1)
    number = ErrorNumber.LIMIT_EXCEEDED
    assert refused(number, kernel, lambda: kernel.send(to, METHOD, value=TokenAmount(1))) == 0
    assert world.balance(to) == 0
