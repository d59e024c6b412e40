"""Init: who may create what, and that a failed creation leaves nothing. What succeeds is in the official cases."""

from __future__ import annotations

import pytest

from bridge.addresses import EthAddress, to_filecoin
from hypervisor import Address
from hypervisor.types import EAM_ACTOR, INIT_ACTOR
from store.codec import encode, link
from tests.fvm_hypervisor.builtin_actors.world import ETH_ACCOUNT, World

EXEC, EXEC4 = 2, 3
INIT = Address.id(INIT_ACTOR)
SINGLETON_OR_BY_OTHER_WAYS = [
    "system", "init", "cron", "account", "storagepower", "storageminer", "storagemarket", "reward",
    "verifiedregistry", "datacap", "placeholder", "evm", "eam", "ethaccount",
]  # fmt: skip


@pytest.mark.parametrize("name", SINGLETON_OR_BY_OTHER_WAYS)
def test_exec_refuses_the_types_that_users_may_not_create(world: World, name: str) -> None:
    params = encode([link(world.machine.manifest.code(name)), b""])
    assert world.send(INIT, EXEC, params).exit_code == 18


def test_exec_refuses_user_code(world: World) -> None:
    counter = world.create_counter()
    state = world.machine.actor(counter)
    assert state is not None
    assert world.send(INIT, EXEC, encode([link(state.code), b""])).exit_code == 18


@pytest.mark.parametrize("name", ["multisig", "paymentchannel"])
def test_actor_is_not_created_if_its_constructor_fails(world: World, name: str) -> None:
    before, params = world.state_of(INIT_ACTOR), encode([link(world.machine.manifest.code(name)), b""])
    result = world.send(INIT, EXEC, params, value=5)
    assert result.exit_code == 16
    assert world.state_of(INIT_ACTOR) == before


def test_miners_are_created_for_the_power_actor_alone(world: World) -> None:
    params = encode([link(world.machine.manifest.code("storageminer")), b""])
    assert world.send_as(2, INIT, EXEC, params).exit_code == 18
    assert world.send_as(4, INIT, EXEC, params).exit_code == 16  # its constructor takes parameters


def test_exec4_is_for_the_eam_alone(world: World) -> None:
    params = encode([link(world.machine.manifest.code("ethaccount")), b"", bytes(20)])
    assert world.send(INIT, EXEC4, params).exit_code == 18


def test_exec4_refuses_an_address_that_is_taken(world: World) -> None:
    params = encode([link(world.machine.manifest.code("evm")), b"", ETH_ACCOUNT.subaddress()])
    assert world.send_as(EAM_ACTOR, INIT, EXEC4, params).exit_code == 18


def test_exec4_refuses_a_subaddress_that_is_too_long(world: World) -> None:
    params = encode([link(world.machine.manifest.code("evm")), b"", bytes(55)])
    assert world.send_as(EAM_ACTOR, INIT, EXEC4, params).exit_code == 16


def test_exec4_over_placeholder_keeps_id_and_balance(world: World) -> None:
    target = EthAddress(bytes([0xAB]) * 20)
    assert world.send(to_filecoin(target), 0, value=7).exit_code == 0
    placeholder = world.id_of(to_filecoin(target))
    constructor = encode([bytes(20), b""])  # creator and initcode: a contract without code
    params = encode([link(world.machine.manifest.code("evm")), constructor, target])
    result = world.send_as(EAM_ACTOR, INIT, EXEC4, params)
    assert result.exit_code == 0, result.message
    state = world.machine.state_tree.get_actor(placeholder)
    assert state is not None
    assert (state.code, state.balance) == (world.machine.manifest.code("evm"), 7)
    assert world.next_id() == placeholder + 1


@pytest.mark.parametrize(
    ("method", "params", "exit_code"),
    [(EXEC, b"", 16), (EXEC, encode([b""]), 21), (EXEC, encode("x"), 21), (4, b"", 22), (1 << 24, b"", 22)],
)
def test_bad_calls_get_distinct_exit_codes(world: World, method: int, params: bytes, exit_code: int) -> None:
    assert world.send(INIT, method, params).exit_code == exit_code


def test_internal_init_methods_reject_user_actors_and_contracts(world: World) -> None:
    world.create_counter()
    contract = world.id_of(to_filecoin(world.deploy("Counter")))
    params = encode([link(world.machine.manifest.code("multisig")), b""])
    for sender in (world.counter, contract):
        assert world.send_as(sender, INIT, EXEC, params).exit_code == 18
        assert world.send_as(sender, INIT, 9).exit_code == 18  # before the method is looked at
        assert world.send_as(sender, INIT, 1 << 24).exit_code == 22  # exported numbers are open
