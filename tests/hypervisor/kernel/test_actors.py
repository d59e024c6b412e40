"""Operations on other actors: results, access gas, and creation by the init actor.

Errors and charges from network version 21 on are those of the reference in tests/golden/actor.jsonl.gz.
"""

import json
from base64 import b64decode

import pytest

from hypervisor.errors import Fatal, OutOfGas
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
from store.cid import EMPTY_ARRAY_CID
from store.codec import decode
from tests.conftest import data_file
from tests.hypervisor.world import GAS, NEW_ETH, SENDER, SENDER_ID, World, refused, used

LOOKUP, UPDATE, CREATE = 500_000 * GAS, 475_000 * GAS, 650_000 * GAS
NEW_ID = ActorID(5_000)


# --- new addresses ------------------------------------------------------------------------------------------------


def test_created_miner_addresses_match_mainnet() -> None:
    paths = sorted(data_file("vectors/fvm-nv18/fil_10_storagepower/CreateMiner").rglob("*.json"))
    assert paths
    for path in paths:
        vector = json.loads(path.read_text())
        message = Message.from_cbor(b64decode(vector["apply_messages"][0]["bytes"]))
        _, robust = decode(b64decode(vector["postconditions"]["receipts"][0]["return"]))
        kernel = World().kernel(nonce=message.nonce, origin=message.from_)
        assert kernel.actors.next_actor_address() == Address.from_bytes(robust)


def test_next_address_depends_on_origin_nonce_and_actor_count() -> None:
    world = World()

    def next_address(nonce: int, origin: Address, created: int) -> Address:
        kernel = world.kernel(nonce=nonce, origin=origin)
        kernel.calls.actors_created = created
        assert used(kernel, kernel.actors.next_actor_address) == 0
        return kernel.actors.next_actor_address()

    cases = [(0, SENDER, 0), (1, SENDER, 0), (0, SENDER, 1), (0, Address.id(SENDER_ID), 0)]
    assert len({next_address(*case) for case in cases}) == 4


# --- creation -----------------------------------------------------------------------------------------------------


def init_kernel(world: World, *, read_only: bool = False, limit: int = 10**15) -> Kernel:
    return world.kernel(INIT_ACTOR, read_only=read_only, limit=limit)


def test_create_actor_charges_lookup_creation_and_update() -> None:
    world = World()
    kernel = init_kernel(world)
    create = kernel.actors.create_actor
    assert used(kernel, lambda: create(NEW_ID, world.code("multisig"), None)) == LOOKUP + CREATE + UPDATE
    assert world.tree.get_actor(NEW_ID) == ActorState(world.code("multisig"), EMPTY_ARRAY_CID)
    assert kernel.calls.actors_created == 1


def test_a_created_actor_keeps_its_delegated_address() -> None:
    world = World()
    init_kernel(world).actors.create_actor(NEW_ID, world.code("evm"), NEW_ETH)
    assert world.tree.get_actor(NEW_ID) == ActorState(world.code("evm"), delegated_address=NEW_ETH)


def test_read_only_call_cannot_create_actor() -> None:
    world = World()
    kernel = init_kernel(world, read_only=True)
    create = kernel.actors.create_actor
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: create(NEW_ID, world.code("multisig"), None)) == 0


def test_a_placeholder_is_not_created_by_name() -> None:
    world = World()
    kernel = init_kernel(world)
    create = kernel.actors.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(NEW_ID, world.code("placeholder"), NEW_ETH)) == 0


def test_an_actor_that_exists_is_not_created_again() -> None:
    world = World()
    number = world.actor(balance=1).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    create = kernel.actors.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(number, world.code("evm"), NEW_ETH)) == LOOKUP
    assert kernel.calls.actors_created == 0


def test_a_placeholder_takes_code_and_keeps_everything_else() -> None:
    world = World()
    number = world.actor(balance=9, code="placeholder", delegated=NEW_ETH).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    # the actor exists already: no creation charge
    assert used(kernel, lambda: kernel.actors.create_actor(number, world.code("evm"), NEW_ETH)) == LOOKUP + UPDATE
    assert world.tree.get_actor(number) == ActorState(world.code("evm"), EMPTY_ARRAY_CID, 0, TokenAmount(9), NEW_ETH)
    assert kernel.calls.actors_created == 1


@pytest.mark.parametrize("given", [None, Address.delegated(10, bytes(20)), Address.delegated(32, b"x")], ids=str)
def test_a_placeholder_is_only_taken_under_its_own_address(given: Address | None) -> None:
    world = World()
    number = world.actor(code="placeholder", delegated=NEW_ETH).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    create = kernel.actors.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(number, world.code("evm"), given)) == LOOKUP
    assert world.tree.get_actor(number) == ActorState(world.code("placeholder"), delegated_address=NEW_ETH)


def test_a_placeholder_without_an_address_is_a_broken_state() -> None:
    world = World()
    number = world.actor(code="placeholder").actor_id()
    assert number is not None
    with pytest.raises(Fatal, match="no delegated address"):
        init_kernel(world).actors.create_actor(number, world.code("evm"), None)


def test_create_actor_out_of_gas_creates_and_counts_nothing() -> None:
    world = World()
    kernel = init_kernel(world, limit=LOOKUP + CREATE + UPDATE - 1)
    with pytest.raises(OutOfGas):
        kernel.actors.create_actor(NEW_ID, world.code("multisig"), None)
    assert world.tree.get_actor(NEW_ID) is None
    assert kernel.calls.actors_created == 0
