"""Migrations to network versions 19 to 29: roots of forest, single fields by hand, and states that are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.migrations.migration import migrate_state
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion
from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore
from store.blockstore import Blockstore, get_object, put_object
from store.cid import Cid, show
from store.codec import link, unlink
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from tests.hypervisor.migrations.random_states import EPOCHS, manifest_of, random_state

FOREST: dict[str, Any] = json.loads((Path(__file__).parent / "forest_migrations.json").read_text(encoding="utf-8"))
"""Per version: the code CIDs before and after, and forest's roots of the first random states (`make migrations`)."""
MINER, POWER, MARKET, CONTRACT, RESERVE = map(ActorID, (1000, 4, 5, 2000, 90))


@pytest.mark.parametrize(
    ("version", "seed"), [(int(version), seed) for version, row in FOREST.items() for seed in range(len(row["roots"]))]
)
def test_roots_are_those_of_forest(version: int, seed: int) -> None:
    store = MemoryStore()
    old, new = manifests(store, version)
    root = random_state(store, version, old, seed)
    assert show(migrated(store, root, old, new, version)) == FOREST[str(version)]["roots"][seed]


def test_a_jump_equals_its_steps() -> None:
    """One upgrade from actors v10 to v16 equals six with the same epoch."""
    store = MemoryStore()
    steps = [19, 21, 22, 23, 24, 25]
    first = root = random_state(store, 19, manifests(store, 19)[0], 7)
    for version in steps:
        old, new = manifests(store, version)
        root = migrate_state(StateTree(store, root), old, new, *step(version), EPOCHS[25])
    begin, end = manifests(store, 19)[0], manifests(store, 25)[1]
    ends = NETWORK_VERSIONS[18], NETWORK_VERSIONS[25]
    assert migrate_state(StateTree(store, first), begin, end, *ends, EPOCHS[25]) == root


# --- fields by hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(5, 10), (8, 13), (9, 14), (12, 12)])
def test_nv19_replaces_the_proof_type(before: int, after: int) -> None:
    """`RegisteredPoStProof` of ref-fvm: StackedDRGWindow2KiBV1 is 5, StackedDRGWindow2KiBV1P1 is 10."""

    def change(store: Blockstore, states: dict[ActorID, list[Any]]) -> None:
        info = get_object(store, unlink(states[MINER][0]))
        info[6] = before
        states[MINER][0] = link(put_object(store, info))
        claims = Hamt(store)
        claims.set(b"\0\x64", [before, b"\0\1", b"\0\2"])
        states[POWER][13] = link(claims.flush())

    store, states = rewritten(19, change)
    assert get_object(store, unlink(states[MINER][0]))[6] == after
    assert Hamt(store, unlink(states[POWER][13])).get(b"\0\x64") == [after, b"\0\1", b"\0\2"]


@pytest.mark.parametrize(("key", "activation"), [(None, 1000), (link(Cid(b"\1\x71\xa0\xe4\2\x20" + bytes(32))), 990)])
def test_nv21_moves_the_activation_of_a_replaced_sector_back(key: Any, activation: int) -> None:
    def change(store: Blockstore, states: dict[ActorID, list[Any]]) -> None:
        info = [1, 8, key or link(state_root(store)), [], 1000, 2000, b"", b"", b"", b"", b"", 10, b"", key, True]
        sectors = Amt(store, None, 5)
        sectors.set(1, info)
        states[MINER][9] = link(sectors.flush())

    store, states = rewritten(21, change)
    sector = Amt(store, unlink(states[MINER][9])).get(1)
    assert sector is not None
    assert (sector[4], sector[11], sector[14]) == (activation, 1000, 1)


def test_nv22_gives_live_deals_their_sector() -> None:
    """Deals: 3 is live, 4 ended before the upgrade, 5 was slashed, 6 is in an expired sector, 7 is in none."""
    epoch = EPOCHS[22]

    def change(store: Blockstore, states: dict[ActorID, list[Any]]) -> None:
        sectors, proposals, deals = Amt(store, None, 5), Amt(store, None, 5), Amt(store, None, 6)
        nothing = link(state_root(store))
        for number, held, expiration in ((12, [3, 4, 5], epoch), (13, [6], epoch - 1), (14, [], epoch)):
            info = [number, 8, nothing, held, 1, expiration, b"", b"", b"", b"", b"", 1, b"", None, 0]
            sectors.set(number, info)
        for deal in (3, 4, 5, 6, 7):
            end = epoch - 1 if deal == 4 else epoch
            proposals.set(deal, [nothing, 2048, False, b"\0\1", b"\0\1", "", 1, end, b"", b"", b""])
            deals.set(deal, [20, 21, 9 if deal == 5 else -1, 77])
        states[MINER][9] = link(sectors.flush())
        states[MARKET][:2] = [link(proposals.flush()), link(deals.flush())]

    store, states = rewritten(22, change)
    deals = Amt(store, unlink(states[MARKET][1]))
    assert dict(deals.items()) == {
        3: [12, 20, 21, -1], 4: [0, 20, 21, -1], 5: [0, 20, 21, 9], 6: [0, 20, 21, -1], 7: [0, 20, 21, -1],
    }  # fmt: skip
    sectors = Hamt(store, unlink(states[MARKET][12])).get(b"\xe8\x07")
    assert dict(Hamt(store, unlink(sectors)).items()) == {b"\x0c": [3, 4, 5]}


def test_nv23_makes_the_reserve_an_account() -> None:
    store = MemoryStore()
    old, new = manifests(store, 23)
    tree = StateTree(store, random_state(store, 23, old, 0))
    tree.set_actor(RESERVE, ActorState(old.code("multisig"), state_root(store), 3, TokenAmount(5)))
    after = StateTree(store, migrate_state(tree, old, new, *step(23), EPOCHS[23])).get_actor(RESERVE)
    assert after is not None
    assert (after.code, after.nonce, after.balance) == (new.code("account"), 3, 5)
    assert get_object(store, after.head) == [Address.id(RESERVE).to_bytes()]


def test_nv24_adds_the_ramp_of_the_main_network() -> None:
    """A year of 2,880 epochs a day (FIP-0081)."""
    _, states = rewritten(24, lambda store, states: None)
    assert states[POWER][11:13] == [4_461_240, 1_051_200]


def test_nv25_moves_the_first_vesting_entry_into_the_state() -> None:
    def change(store: Blockstore, states: dict[ActorID, list[Any]]) -> None:
        states[MINER][3] = link(put_object(store, [[[9, b"\0\1"], [10, b"\0\2"]]]))

    store, states = rewritten(25, change)
    head, tail = states[MINER][3]
    assert (head, get_object(store, unlink(tail))) == ([9, b"\0\1"], [[10, b"\0\2"]])


# --- refused states ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "actor", "change", "reason"),
    [
        (19, MINER, lambda state: state[:14], r"f01000 \(storageminer\): the state has 14 fields, expected 15"),
        (21, MINER, lambda state: [*state[:12], state[0], *state[13:]], "deadlines has 14 fields, expected 1"),
        (22, MARKET, lambda state: [*state, 0], r"f05 \(storagemarket\): the state has 13 fields, expected 12"),
        (24, POWER, lambda state: {}, r"f04 \(storagepower\): the state has no tuple, expected 15"),
        (25, MINER, lambda state: [*state[:3], 5, *state[4:]], "expected a link, found"),
    ],
)
def test_a_state_with_another_layout_is_refused(
    version: int, actor: ActorID, change: Callable[[list[Any]], Any], reason: str
) -> None:
    store = MemoryStore()
    old, new = manifests(store, version)
    tree = StateTree(store, random_state(store, version, old, 0))
    state = tree.get_actor(actor)
    assert state is not None
    tree.set_actor(actor, state.with_head(put_object(store, change(get_object(store, state.head)))))
    root = tree.flush()
    with pytest.raises(InvalidInput, match=rf"the migration to nv{version} cannot read the state of .*{reason}"):
        migrated(store, root, old, new, version)
    assert tree.flush() == root


@pytest.mark.parametrize("proof", [4, 15, None])
def test_nv19_refuses_other_proofs(proof: int | None) -> None:
    def change(store: Blockstore, states: dict[ActorID, list[Any]]) -> None:
        claims = Hamt(store)
        claims.set(b"\0\x64", [proof, b"", b""])
        states[POWER][13] = link(claims.flush())

    with pytest.raises(InvalidInput, match=f"claims/0064/window_post_proof_type is {proof}, expected .* 5 to 14"):
        rewritten(19, change)


def test_older_actors_are_refused() -> None:
    store = MemoryStore()
    old, new = manifests(store, 25)
    root = random_state(store, 27, new, 0)
    with pytest.raises(InvalidInput, match="actors v15, which cannot read the states of the current actors v16: nv25"):
        migrated(store, root, new, old, 27)


def manifests(store: Blockstore, version: int) -> tuple[Manifest, Manifest]:
    """Return the official manifests of the main network before and after a version's upgrade."""
    row = FOREST[str(version)]
    return manifest_of(store, row["old"]), manifest_of(store, row["new"])


def step(version: int) -> tuple[NetworkVersion, NetworkVersion]:
    """Return the rows before and after the upgrade to a version."""
    return NETWORK_VERSIONS[version - 1], NETWORK_VERSIONS[version]


def migrated(store: Blockstore, root: Cid, old: Manifest, new: Manifest, version: int) -> Cid:
    return migrate_state(StateTree(BufferedStore(store), root), old, new, *step(version), EPOCHS[version])


def state_root(store: Blockstore) -> Cid:
    return put_object(store, [])


def rewritten(
    version: int, change: Callable[[Blockstore, dict[ActorID, list[Any]]], None]
) -> tuple[Blockstore, dict[ActorID, list[Any]]]:
    """Migrate a random state, after `change` has edited some states, and return these states afterwards."""
    store = MemoryStore()
    old, new = manifests(store, version)
    tree = StateTree(store, random_state(store, version, old, 0))
    edited = (MINER, POWER, MARKET)
    states = {actor: get_object(store, _actor(tree, actor).head) for actor in edited}
    change(store, states)
    for actor, fields in states.items():
        tree.set_actor(actor, _actor(tree, actor).with_head(put_object(store, fields)))
    after = StateTree(store, migrate_state(tree, old, new, *step(version), EPOCHS[version]))
    return store, {actor: get_object(store, _actor(after, actor).head) for actor in edited}


def _actor(tree: StateTree, actor: ActorID) -> ActorState:
    state = tree.get_actor(actor)
    assert state is not None
    return state
