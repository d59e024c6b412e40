"""The initial state: singletons, system accounts, requested accounts, and the constructors' parameters."""

import pytest

from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, TokenAmount
from store.blockstore import get_object
from store.cid import cid_of, parse_cid, show
from store.codec import encode, link
from tests.hypervisor.world import FIL, NEW_BLS, NEW_ETH, NEW_KEY, SENDER, SENDER_BALANCE, World

SINGLETONS = {
    0: "system",
    1: "init",
    2: "reward",
    3: "cron",
    4: "storagepower",
    5: "storagemarket",
    6: "verifiedregistry",
    7: "datacap",
    10: "eam",
    80: "account",
    90: "account",
    99: "account",
    100: "account",
}


def test_every_singleton_has_its_id_and_code() -> None:
    world = World()
    assert {number: state.code for number, state in world.tree.actors()} == {
        ActorID(number): world.code(name) for number, name in SINGLETONS.items()
    }


def test_the_system_actor_points_at_the_manifest() -> None:
    world = World()
    system = world.tree.get_actor(ActorID(0))
    assert system is not None
    assert get_object(world.machine.store, system.head) == [link(world.manifest.data)]


def test_genesis_funds_only_reward_and_reserve_actors() -> None:
    world = World()
    assert world.balance(2) == 1_100_000_000 * FIL
    assert world.balance(90) == 300_000_000 * FIL
    assert [world.balance(number) for number in (0, 1, 3, 4, 5, 6, 7, 10, 80, 99)] == [0] * 10


def test_genesis_accounts_get_ids_from_100_in_order() -> None:
    amounts = {NEW_BLS: TokenAmount(1), NEW_ETH: TokenAmount(2), NEW_KEY: TokenAmount(3)}
    world = World(genesis=Genesis("mine", amounts))
    assert [world.tree.lookup_id(address) for address in amounts] == [100, 101, 102]
    assert [world.balance(address) for address in amounts] == [1, 2, 3]
    assert world.tree.init_state().next_id == 103
    assert world.tree.init_state().network_name == "mine"


def test_key_account_state_has_its_address_and_ethaccount_none() -> None:
    world = World(genesis=Genesis("mine", {NEW_KEY: TokenAmount(3), NEW_ETH: TokenAmount(2)}))
    key, eth = world.machine.actor(NEW_KEY), world.machine.actor(NEW_ETH)
    assert key is not None
    assert get_object(world.machine.store, key.head) == [NEW_KEY.to_bytes()]
    assert (key.code, key.delegated_address) == (world.code("account"), None)
    assert eth == ActorState(world.code("ethaccount"), balance=TokenAmount(2), delegated_address=NEW_ETH)


@pytest.mark.parametrize(
    "address", [Address.id(100), Address.actor(b"x"), Address.delegated(32, bytes(20))], ids=["f0", "f2", "f432"]
)
def test_only_keys_and_ethereum_addresses_are_accounts(address: Address) -> None:
    with pytest.raises(InvalidInput, match="expected f1, f3 or f410"):
        World(genesis=Genesis("mine", {address: TokenAmount(1)}))


def test_genesis_root_is_deterministic_and_depends_on_name() -> None:
    amounts = {SENDER: SENDER_BALANCE}
    roots = [World(genesis=Genesis(name, amounts)).machine.root for name in ("a", "a", "b")]
    assert roots[0] == roots[1] != roots[2]


def test_genesis_constructor_params_match_network() -> None:
    params = dict(Genesis.constructors())
    assert params[ActorID(2)].hex() == "40"  # no realised power yet
    # the cron table of the network, whose state has this CID on every network
    [entries] = [encode([[[b"\x00\x04", 5], [b"\x00\x05", 9]]])]
    assert params[ActorID(3)] == entries
    assert cid_of(params[ActorID(3)]) == parse_cid("bafy2bzacebs5dwwxmsjmzvoqcamx3qtl2x5qpqgpqxgnzl7scccmbvd37ulvs")
    assert show(cid_of(params[ActorID(3)])).startswith("bafy")
    assert params[ActorID(6)].hex() == "420050"  # f080
    assert params[ActorID(7)].hex() == "420006"  # f06
    assert params[ActorID(4)] == params[ActorID(5)] == params[ActorID(10)] == b""
