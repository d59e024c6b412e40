"""The actor's own root and balance, and self-destruct.

Errors and charges from network version 21 on are those of the reference in tests/golden/self.jsonl.gz.
"""

import pytest

from hypervisor.errors import Fatal
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import BURNT_FUNDS_ACTOR, ActorID
from store.cid import EMPTY_ARRAY_CID, cid_of
from store.codec import encode
from tests.hypervisor.world import GAS, NEW_KEY, SENDER, World, refused, used

STATE = encode(["state"])
STATE_CID = cid_of(STATE)
OWN_UPDATE = 475_000 * GAS


def actor_in(world: World, balance: int = 0) -> Kernel:
    address = world.actor(balance=balance)
    return world.kernel(address)


def own(kernel: Kernel) -> ActorState | None:
    return kernel.calls.tree.get_actor(kernel.context.receiver)


@pytest.mark.parametrize(("network", "gas"), [(18, 0), (28, 300)])
def test_root_is_reachable_once_requested(network: int, gas: int) -> None:
    world = World(network)
    kernel = actor_in(world)
    world.machine.store.put(EMPTY_ARRAY_CID, b"\x80")
    assert kernel.ipld.is_reachable(EMPTY_ARRAY_CID) == (network == 18)
    assert used(kernel, kernel.self_.root) == gas * GAS
    assert kernel.self_.root() == EMPTY_ARRAY_CID
    kernel.ipld.open(EMPTY_ARRAY_CID)


@pytest.mark.parametrize(("network", "gas"), [(18, 0), (28, 300)])
def test_the_root_is_set_for_one_update_of_the_actor(network: int, gas: int) -> None:
    kernel = actor_in(World(network))
    kernel.ipld.mark_reachable(STATE_CID)
    assert used(kernel, lambda: kernel.self_.set_root(STATE_CID)) == gas * GAS + OWN_UPDATE
    assert used(kernel, lambda: kernel.self_.set_root(STATE_CID)) == gas * GAS
    state = own(kernel)
    assert state is not None
    assert state.head == kernel.self_.root() == STATE_CID


def test_burning_without_a_place_for_burnt_money_is_fatal() -> None:
    world = World()
    kernel = actor_in(world, balance=5)
    world.tree.delete_actor(BURNT_FUNDS_ACTOR)
    with pytest.raises(Fatal, match="burning"):
        kernel.self_.self_destruct(burn=True)


def test_read_only_call_cannot_self_destruct() -> None:
    world = World()
    kernel = world.kernel(world.actor(), read_only=True)
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.self_.self_destruct(burn=True)) == 0
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.self_.self_destruct_to(SENDER)) == 0


def test_version_18_pays_a_beneficiary() -> None:
    world = World(18)
    kernel = actor_in(world, balance=5)
    heir = world.actor(balance=1)
    # the beneficiary is looked up and updated, the actor updated
    assert used(kernel, lambda: kernel.self_.self_destruct_to(heir)) == (500_000 + 475_000) * GAS + OWN_UPDATE
    assert (own(kernel), world.balance(heir)) == (None, 6)


def test_version_18_requires_existing_and_different_beneficiary() -> None:
    world = World(18)
    kernel = actor_in(world, balance=5)
    refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.self_.self_destruct_to(NEW_KEY))
    refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.self_.self_destruct_to(Address.id(ActorID(4_711))))
    itself = Address.id(kernel.context.receiver)
    refused(ErrorNumber.FORBIDDEN, kernel, lambda: kernel.self_.self_destruct_to(itself))
    assert own(kernel) is not None


def test_version_18_ignores_beneficiary_without_balance() -> None:
    kernel = actor_in(World(18))
    kernel.self_.self_destruct_to(NEW_KEY)
    assert own(kernel) is None
    kernel.self_.self_destruct_to(NEW_KEY)
