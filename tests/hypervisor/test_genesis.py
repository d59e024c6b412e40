"""The initial state.

- The initial state: singletons, system accounts, requested accounts, and the constructors' parameters.
- Recorded states of singletons: the same state roots as with the constructors, and no stale record.
"""

import subprocess
import sys

import pytest

from hypervisor import Bundle, Hypervisor, fil
from hypervisor.bundles.bundle_library import own_bundles
from hypervisor.bundles.genesis import Genesis, constructor_key, store_constructed_state
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import CreationFailed
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import MessageStarted, Recorder
from hypervisor.types import CRON_ACTOR, ActorID, ChainEpoch, TokenAmount
from hypervisor.versions.features import with_features
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from store.blocks.memory import MemoryStore
from store.blockstore import get_object
from store.cid import Cid, cid_of, parse_cid, show
from store.codec import encode, link
from store.links import reachable
from tests.hypervisor.constructed_states import FILE, record
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


GENESIS = Genesis("mine", {Address.delegated(10, bytes(19) + b"\x07"): fil(5)})
FIRST = 21
"""First network version whose syscalls the embedded bundles can use."""


def opened(network: int, rules: str, bundle: str | None = None, epoch: int = 0, *, run: bool = False) -> set[Cid]:
    """Return the genesis root and all blocks below it; with `run`, of a genesis that ran the constructors."""
    context = MachineContext(network_version(network), epoch=ChainEpoch(epoch), rules=rules)
    tracer = Recorder() if run else None
    with Hypervisor.open(bundle=bundle, genesis=GENESIS, context=context, tracer=tracer) as machine:
        if tracer is not None:
            assert sum(isinstance(event, MessageStarted) for event in tracer.events) == 7
        return {machine.root, *reachable(machine.base, [machine.root])}


def test_the_record_is_exactly_that_of_the_constructors() -> None:
    assert FILE.read_bytes() == record()


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
@pytest.mark.parametrize("network", [number for number in NETWORK_VERSIONS if number >= FIRST])
def test_the_state_is_that_of_the_constructors_on_every_network(network: int, rules: str) -> None:
    assert opened(network, rules) == opened(network, rules, run=True)


@pytest.mark.parametrize("bundle", sorted(own_bundles()))
def test_the_state_is_that_of_the_constructors_for_every_bundle(bundle: str) -> None:
    network = 29 if "v19" in bundle else 28
    assert opened(network, "filecoin", bundle) == opened(network, "filecoin", bundle, run=True)


def test_constructors_do_not_depend_on_the_epoch() -> None:
    assert opened(28, "filecoin", epoch=123_456) == opened(28, "filecoin", epoch=123_456, run=True)
    assert opened(28, "filecoin", epoch=123_456) == opened(28, "filecoin")


@pytest.mark.parametrize("network", [number for number in NETWORK_VERSIONS if number < FIRST])
def test_versions_that_cannot_run_the_actors_still_fail_at_genesis(network: int) -> None:
    with pytest.raises(CreationFailed, match="cannot be run"):
        opened(network, "filecoin")


def test_a_recorded_state_requires_the_same_code_parameters_and_syscalls() -> None:
    store = MemoryStore()
    manifest = Bundle.embedded().manifest
    params = dict(Genesis.constructors())[CRON_ACTOR]
    cron, power = manifest.code("cron"), manifest.code("storagepower")
    head = store_constructed_state(store, cron, params, "v4")
    assert head is not None
    assert store.has(head)
    assert store_constructed_state(store, power, params, "v4") is None
    assert store_constructed_state(store, cron, params + b"\x00", "v4") is None
    assert store_constructed_state(store, cron, params, "v3") is None
    assert len({constructor_key(*key) for key in ((cron, params, "v4"), (power, params, "v4"), (cron, b"", "v4"))}) == 3


@pytest.mark.slow
def test_an_overlay_runs_the_constructors() -> None:
    cheap = opened(28, "filecoin")
    with Hypervisor.open(network=28, overlay=with_features(["upgrade-actor"]), genesis=GENESIS) as machine:
        assert machine.root in cheap
        assert native_was_loaded("overlay=with_features(['upgrade-actor'])")


def native_was_loaded(options: str) -> bool:
    """Open a machine with these options in a new process; return True if that loaded the WASM runtime."""
    script = (
        "import sys; from hypervisor import Hypervisor; from hypervisor.versions.features import with_features; "
        f"Hypervisor.open({options}).close(); print('runtimes.wasm.runtime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {"True\n": True, "False\n": False}[done.stdout]


@pytest.mark.slow
def test_opening_a_machine_does_not_load_the_wasm_runtime() -> None:
    assert not native_was_loaded("")
    assert not native_was_loaded("rules='ethereum'")
