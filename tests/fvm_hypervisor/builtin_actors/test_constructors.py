"""State heads that constructors write, compared with those of the official actors since v10."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypervisor import Address, Hypervisor
from hypervisor.state_tree import ActorState
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    CRON_ACTOR,
    DATACAP_ACTOR,
    EAM_ACTOR,
    INIT_ACTOR,
    MARKET_ACTOR,
    METHOD_CONSTRUCTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
)
from store.cid import EMPTY_ARRAY_CID, show
from store.codec import encode
from tests.fvm_hypervisor.builtin_actors.world import KEY_ACCOUNT, World

EMPTY_TUPLE = "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a"
HEADS = [
    ("system", SYSTEM_ACTOR, b"", "bafy2bzacediz3ac65um45ud2yy2teiwu65kvrwq6rmykjdtqizsfjadmttp6g"),
    ("init", INIT_ACTOR, encode(["localnet"]), "bafy2bzaceblpzywtmpbawk2ffanp5c2x634vptiinjr6kakm5klsckos7dkgo"),
    (
        "cron",
        CRON_ACTOR,
        bytes.fromhex("818282420004058242000509"),
        "bafy2bzacebs5dwwxmsjmzvoqcamx3qtl2x5qpqgpqxgnzl7scccmbvd37ulvs",
    ),
    (
        "datacap",
        DATACAP_ACTOR,
        encode(Address.id(6).to_bytes()),
        "bafy2bzacedvbi5u76loih5l52kha6yuq7tz25r76lthjofph2mcocmdwbb5q4",
    ),
    ("reward", REWARD_ACTOR, encode(b""), "bafy2bzaceaslbmsgmgmfi6pn2osvqcfuqinauuyt67zifnefurhpk4zxd2fos"),
    ("storagepower", POWER_ACTOR, b"", "bafy2bzaceasliok4bbcsxu5i47crjwa4kit7uwdz6257fu2o66vqtot3trak4"),
    (
        "verifiedregistry",
        VERIFIED_REGISTRY_ACTOR,
        encode(Address.id(80).to_bytes()),
        "bafy2bzacea3u25p5rea2k2gs5k5ldo3jqwsfw7sra7sm4rmpdnx4snxapzgvk",
    ),
    ("storagemarket", MARKET_ACTOR, b"", "bafy2bzaceb3ikngdghhmbj2fxh5ovckfm7kecirnv5tef2ka6okhva6yv3pbm"),
    ("eam", EAM_ACTOR, b"", EMPTY_TUPLE),
]


def make_unconstructed(world: World, name: str, actor: ActorID) -> None:
    code = world.machine.manifest.code(name)
    world.machine.state_tree.set_actor(actor, ActorState(code, EMPTY_ARRAY_CID))


@pytest.fixture(scope="module")
def before_nv29() -> Iterator[Hypervisor]:
    """A machine of network version 28: the states are those of actors v18, and reward's and market's change later."""
    with Hypervisor.open(network=28) as machine:
        yield machine


@pytest.mark.parametrize(("name", "actor", "params", "head"), HEADS, ids=[row[0] for row in HEADS])
def test_constructors_write_the_official_states(
    before_nv29: Hypervisor, name: str, actor: ActorID, params: bytes, head: str
) -> None:
    world = World(before_nv29.fork())
    make_unconstructed(world, name, actor)
    result = world.send_as(SYSTEM_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params)
    assert result.exit_code == 0, result.message
    state = world.machine.state_tree.get_actor(actor)
    assert state is not None
    assert show(state.head) == head


@pytest.mark.parametrize(("name", "actor", "params", "head"), HEADS, ids=[row[0] for row in HEADS])
def test_only_system_can_construct_actors(world: World, name: str, actor: ActorID, params: bytes, head: str) -> None:
    make_unconstructed(world, name, actor)
    assert world.send_as(BURNT_FUNDS_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params).exit_code == 18


@pytest.mark.parametrize(("name", "params"), [("system", b""), ("init", encode(["again"]))])
def test_a_second_construction_is_refused(world: World, name: str, params: bytes) -> None:
    actor = {"system": SYSTEM_ACTOR, "init": INIT_ACTOR}[name]
    assert world.send_as(SYSTEM_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params).exit_code == 20


def test_an_account_is_constructed_with_a_key_address_only(world: World) -> None:
    account = ActorID(700)
    for address, exit_code in ((KEY_ACCOUNT, 0), (Address.id(99), 16), (Address.actor(b"x"), 16)):
        make_unconstructed(world, "account", account)
        params = encode(address.to_bytes())
        assert world.send_as(SYSTEM_ACTOR, Address.id(account), METHOD_CONSTRUCTOR, params).exit_code == exit_code


def test_an_ethereum_account_needs_an_f410_address(world: World) -> None:
    account = ActorID(700)
    code = world.machine.manifest.code("ethaccount")
    for delegated, exit_code in ((Address.delegated(10, bytes(20)), 0), (Address.delegated(11, b"x"), 16), (None, 16)):
        state = ActorState(code, EMPTY_ARRAY_CID, delegated_address=delegated)
        world.machine.state_tree.set_actor(account, state)
        assert world.send_as(SYSTEM_ACTOR, Address.id(account), METHOD_CONSTRUCTOR).exit_code == exit_code
