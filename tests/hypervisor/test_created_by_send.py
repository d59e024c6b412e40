"""Accounts and placeholders created by a send to their address.

The charge is 2,700,000 gas for storing an actor, and looking up and assigning its address, followed by a lookup and an
update of the new actor.

Errors and charges from network version 21 on are those of the reference in tests/golden (send, fees).
"""

from typing import Any

import pytest

from hypervisor.errors import Fatal, OutOfGas
from hypervisor.kernel import Kernel
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import ActorCreated, Recorder
from hypervisor.types import METHOD_SEND, SYSTEM_ACTOR, ActorID, BlockId, MethodNumber, TokenAmount
from store.cid import CBOR, EMPTY_ARRAY_CID
from store.codec import encode
from tests.hypervisor.world import GAS, NEW_BLS, NEW_ETH, NEW_KEY, World, charges, exiting, returning

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
