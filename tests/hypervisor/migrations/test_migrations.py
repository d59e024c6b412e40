"""Migrations of the state to a network version.

- Migrations to network versions 19 to 29: roots of forest, single fields by hand, and states that are refused.
- The migration to network version 29: resulting states of reward and market, and rejected states.
- Migration of states with many actors: rewritten nodes, memory and progress reports.

`make migration` does the same with a million actors.
"""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import storagepower
from hypervisor import Genesis, Hypervisor, Message, fil
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.messages.address import Address
from hypervisor.migrations.migration import migrate_state
from hypervisor.migrations.nv29 import DENOM, first_streams
from hypervisor.state.state_tree import STATE_TREE_VERSION, ActorState, StateTree
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    encode_bigint,
)
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NV28, NV29, NetworkVersion
from hypervisor.versions.stream_settings import DEVELOPMENT, STREAM_SETTINGS, StreamSettings
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import Blockstore, get_object, put_object
from store.cid import Cid, show
from store.codec import encode, link, unlink
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from tests.hypervisor.migrations.migration_run import check
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


ALICE = Address.from_bytes(b"\x03" + b"\x03" * 48)
WRITER = Address.from_bytes(b"\x03" + b"\x04" * 48)
SOMEBODY_ELSE = Address.from_bytes(b"\x03" + b"\x05" * 48)
SETTINGS = StreamSettings(20, 900, ALICE, WRITER, SOMEBODY_ELSE)
UPGRADE_EPOCH = ChainEpoch(10)


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={ALICE: fil(10), WRITER: fil(1), SOMEBODY_ELSE: fil(1)})
    with Hypervisor.open(genesis=genesis, network=28) as opened:
        opened.store.put_many(Bundle.embedded("v19").blocks)
        opened.advance(epoch=UPGRADE_EPOCH)
        yield opened


def upgrade(machine: Hypervisor, settings: StreamSettings | None = SETTINGS) -> None:
    machine.upgrade(NV29, Bundle.embedded("v19").manifest, settings)


def fields_of(machine: Hypervisor, actor: ActorID) -> list[object]:
    state = machine.state_tree.get_actor(actor)
    assert state is not None
    fields: list[object] = get_object(machine.store, state.head)
    return fields


def test_reward_migration_keeps_fields_and_adds_streams(machine: Hypervisor) -> None:
    """The layout has 15 fields; the weight is 5 % * 10^18, as specified in FIP-0118."""
    before = fields_of(machine, REWARD_ACTOR)
    upgrade(machine)
    after = fields_of(machine, REWARD_ACTOR)
    assert (len(before), len(after)) == (11, 15)
    assert after[:9] == before[:9]
    assert after[9:14] == [b"", b"", 20, bytes([0, 100]), [[2, b""]]]
    streams, tombstones, pending = get_object(machine.store, unlink(after[14]))
    slope = 500_000_000_000_000
    assert streams == [
        [1, [95 * 10**16, -slope, 11, 50 * 10**16, 95 * 10**16], None],
        [2, [5 * 10**16, slope, 11, 5 * 10**16, 10 * 10**16], [bytes([0, 101]), [[bytes([0, 102]), DENOM]], [], []]],
    ]
    assert (tombstones, pending) == ([], [])


def test_market_loses_the_allocations_of_waiting_deals(machine: Hypervisor) -> None:
    before = fields_of(machine, MARKET_ACTOR)
    upgrade(machine)
    after = fields_of(machine, MARKET_ACTOR)
    assert (len(before), len(after)) == (13, 12)
    assert after == before[:11] + before[12:]


def test_every_actor_has_the_code_of_its_kind(machine: Hypervisor) -> None:
    old = {actor: machine.manifest.name_of(state.code) for actor, state in machine.state_tree.actors()}
    upgrade(machine)
    machine.state_tree.flush()
    new = {actor: machine.manifest.name_of(state.code) for actor, state in machine.state_tree.actors()}
    assert machine.manifest == Bundle.embedded("v19").manifest
    assert old == new


@pytest.mark.parametrize(
    ("network", "slope", "timelock"),
    [
        ("mainnet", 190_132_864_846, 20_160),
        ("calibrationnet", 17_361_111_111_112, 720),
        ("localnet", 500_000_000_000_000, 50),
    ],
)
def test_each_network_has_its_ramp(machine: Hypervisor, network: str, slope: int, timelock: int) -> None:
    """The slopes are those printed by forest and go-state-types for their networks."""
    settings = STREAM_SETTINGS.get(network, DEVELOPMENT)
    there = replace(settings, authority=ALICE, writer=ALICE, recipient=ALICE)
    (miners, second), _ = first_streams(machine.state_tree, there, 7, machine.manifest)
    assert (miners[1][1], second[1][1], settings.timelock) == (-slope, slope, timelock)


def test_zero_ramp_leaves_only_miner_stream(machine: Hypervisor) -> None:
    upgrade(machine, replace(SETTINGS, ramp=0))
    after = fields_of(machine, REWARD_ACTOR)
    (streams, _, _) = get_object(machine.store, unlink(after[14]))
    assert streams == [[1, [DENOM, 0, 0, DENOM, DENOM], None]]
    assert after[13] == []


def test_a_reward_is_split_from_the_next_epoch_on(machine: Hypervisor) -> None:
    """Miners get 95 % in the first epoch and one per cent less twenty epochs later (20 * 0.05 %)."""
    miner = _miner(machine)
    upgrade(machine)
    for epoch, percent in ((11, 95), (31, 94)):
        machine.advance(epoch=ChainEpoch(epoch))
        reward = decode_bigint(fields_of(machine, REWARD_ACTOR)[4]) // 5
        accrued = _accrued(machine)
        before = machine.balance(miner)
        params = encode([miner.to_bytes(), encode_bigint(0), encode_bigint(0), 1])
        applied = machine.apply_implicit(
            Message(Address.id(REWARD_ACTOR), Address.id(SYSTEM_ACTOR), method=MethodNumber(2), params=params)
        )
        assert applied.exit_code == 0, applied.message
        assert machine.balance(miner) - before == reward * percent // 100
        assert _accrued(machine) - accrued == reward * (100 - percent) // 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": Address.id(ActorID(4242))}, "no actor has the address f04242 of the first recipient"),
        ({"writer": Address.id(BURNT_FUNDS_ACTOR)}, "f099 cannot be the writer of shares"),
        ({"authority": Address.from_bytes(b"\x03" + b"\x09" * 48)}, "of the stream-weight authority"),
        ({"timelock": -1}, r"-1 epochs cannot be the timelock of streams: expected a whole number, 0 to 2\^62 - 1"),
    ],
)
def test_actors_that_cannot_have_a_role_are_refused(machine: Hypervisor, changes: dict[str, Any], words: str) -> None:
    root = machine.root
    with pytest.raises(InvalidInput, match=words):
        upgrade(machine, replace(SETTINGS, **changes))
    assert machine.root == root
    assert machine.context.network is NV28


def test_a_state_that_was_migrated_already_is_refused(machine: Hypervisor) -> None:
    upgrade(machine)
    root = machine.root
    machine.advance(network=NV28)
    with pytest.raises(InvalidInput, match="actors v18, which cannot read the states of the current actors v19: nv29"):
        machine.upgrade(NV29, Bundle.embedded().manifest, SETTINGS)
    assert machine.root == root


def test_a_state_without_a_market_is_refused(machine: Hypervisor) -> None:
    machine.state_tree.delete_actor(MARKET_ACTOR)
    root = machine.root
    with pytest.raises(InvalidInput, match="actor f05, whose state the upgrade changes, does not exist"):
        upgrade(machine)
    assert machine.root == root


def test_a_damaged_reward_state_is_refused(machine: Hypervisor) -> None:
    state = machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None
    head = put_object(machine.store, {"not": "a tuple"})
    machine.state_tree.set_actor(REWARD_ACTOR, state.with_head(head))
    with pytest.raises(InvalidInput, match="the state of the reward actor has no fields, expected 11"):
        upgrade(machine)


def _miner(machine: Hypervisor) -> Address:
    creation = storagepower.create_miner(ALICE, ALICE, 10, b"", [])
    applied = machine.apply_implicit(
        Message(Address.id(POWER_ACTOR), ALICE, value=fil(1), method=creation.method, params=creation.params)
    )
    assert applied.exit_code == 0, applied.message
    return storagepower.CreateMinerReturn.decode(applied.return_data).id_address


def _accrued(machine: Hypervisor) -> int:
    rows = fields_of(machine, REWARD_ACTOR)[13]
    assert isinstance(rows, list)
    return decode_bigint(rows[0][1])


COUNT = 12_000
FIRST = 10_000


@pytest.fixture
def long_migration_machine() -> Iterator[Hypervisor]:
    with Hypervisor.open(network=NV28.number) as opened:
        opened.store.put_many(Bundle.embedded("v19").blocks)
        yield opened


def add(machine: Hypervisor, kind: str, count: int = COUNT) -> None:
    """Add actors of a type, flush, and return a tree without cached actors."""
    code = machine.manifest.code(kind)
    for number in range(count):
        machine.state_tree.set_actor(ActorID(FIRST + number), ActorState(code, balance=TokenAmount(number)))
    machine.flush()
    machine.restore(machine.snapshot())
    machine.store.put_many(Bundle.embedded("v19").blocks)


@pytest.mark.slow
def test_a_slice_of_the_long_run_keeps_its_promises() -> None:
    record = check(count=12_000, seed=3)
    assert record.findings == []
    assert record.stages == {"with code that changes": 10_800, "right afterwards": 12_000}


@pytest.mark.slow
def test_long_migration_visits_every_actor_and_reports_progress(long_migration_machine: Hypervisor) -> None:
    add(long_migration_machine, "storageminer")
    messages: list[int] = []
    long_migration_machine.upgrade(NV29, Bundle.embedded("v19").manifest, progress=messages.append)
    assert messages == [10_000]
    code = Bundle.embedded("v19").manifest.code("storageminer")
    found = {actor: state for actor, state in long_migration_machine.state_tree.actors() if actor >= FIRST}
    assert found == {ActorID(FIRST + n): ActorState(code, balance=TokenAmount(n)) for n in range(COUNT)}


@pytest.mark.slow
def test_unchanged_nodes_are_neither_written_nor_held(long_migration_machine: Hypervisor) -> None:
    """A walk that keeps all actors needs about 500 bytes per actor, 6 MB here."""
    add(long_migration_machine, "ethaccount")
    old, new = (
        manifest.code("reward") for manifest in (long_migration_machine.manifest, Bundle.embedded("v19").manifest)
    )
    pending = len(long_migration_machine.store.pending)
    tracemalloc.start()
    try:
        long_migration_machine.state_tree.exchange_code({old: new})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000
    assert len(long_migration_machine.store.pending) - pending < 6  # the path to the changed actor, and the root


def test_code_exchange_on_malformed_actor_leaves_tree_unchanged(long_migration_machine: Hypervisor) -> None:
    add(long_migration_machine, "storageminer", 40)
    version, actors, info = get_object(long_migration_machine.store, long_migration_machine.root)
    tree = Hamt(long_migration_machine.store, unlink(actors))
    tree.set(b"\x00\x7f", [link(long_migration_machine.manifest.code("account")), 1])
    broken = put_object(long_migration_machine.store, [version, link(tree.flush()), info])
    state = StateTree(long_migration_machine.store, broken)
    old, new = (
        long_migration_machine.manifest.code("storageminer"),
        Bundle.embedded("v19").manifest.code("storageminer"),
    )
    with pytest.raises(Fatal, match="the actors of the state tree cannot be read"):
        state.exchange_code({old: new})
    assert version == STATE_TREE_VERSION
    assert state.flush() == broken
