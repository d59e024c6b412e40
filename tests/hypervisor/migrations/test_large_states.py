"""Migrations of large states on a folder: their blocks are stored before the root, and lost by no collection.

The machine reports progress every ten thousand actors, and stores the blocks then; here it is every few actors.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.migrations.migration import migrate_state, rehearse
from hypervisor.state import state_tree
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NV29
from store.blocks.bounded import BoundedStore
from store.blocks.memory import BufferedStore, MemoryStore, OverlayStore, ReadOnlyStore
from store.blockstore import SpillStore, put_object
from store.cid import Cid, show
from store.codec import link
from store.links import reachable
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from store.roots import HEAD, SPILLED
from tests.hypervisor.migrations.random_states import EPOCHS, random_state
from tests.hypervisor.migrations.test_migrations import FOREST, manifests, step

FIRST, COUNT, EVERY = ActorID(1_000_000), 300, 25
"""First additional actor, number of them, and number of actors between two reports."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_tree, "_PROGRESS", EVERY)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Hypervisor]:
    """Return a machine of version 28 on a folder, with additional actors in its committed state."""
    with Hypervisor.open(tmp_path / "state", network=28) as opened:
        fill(opened)
        opened.flush()
        yield opened


def fill(machine: Hypervisor) -> None:
    code = machine.manifest.code("storageminer")
    for number in range(COUNT):
        machine.state_tree.set_actor(ActorID(FIRST + number), ActorState(code, balance=TokenAmount(number)))


def upgrade(machine: Hypervisor, progress: Callable[[int], None] | None = None) -> Cid:
    bundle = Bundle.embedded("v19")
    machine.store.put_many(bundle.blocks)
    machine.upgrade(NV29, bundle.manifest, progress=progress)
    return machine.state_tree.flush()


def plain_root() -> Cid:
    with Hypervisor.open(network=28) as machine:
        fill(machine)
        machine.flush()
        return upgrade(machine)


def collect(machine: Hypervisor) -> None:
    assert isinstance(machine.base, RocksStore)
    GarbageCollector(machine.base, batch=50).run()


def read_everything(machine: Hypervisor) -> set[Cid]:
    """Return all blocks of the committed state; raises BlockNotFound for a missing one."""
    return reachable(machine.base, [Cid(machine.base.metadata(HEAD) or b"")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "seed"), [(int(version), seed) for version, row in FOREST.items() for seed in range(len(row["roots"]))]
)
def test_roots_are_those_of_forest(version: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are stored after each actor, so that every migration goes on from stored ones."""
    monkeypatch.setattr(state_tree, "_PROGRESS", 1)
    with RocksStore.open(tmp_path, sync=False) as base:
        old, new = manifests(base, version)
        root = random_state(base, version, old, seed)
        plain, spilled = BufferedStore(base), BufferedStore(base)
        expected = migrate_state(StateTree(plain, root), old, new, *step(version), EPOCHS[version])
        tree = StateTree(spilled, root)
        found = migrate_state(
            tree, old, new, *step(version), EPOCHS[version], progress=lambda _: spilled.spill(base)
        )  # fmt: skip
        assert show(found) == FOREST[str(version)]["roots"][seed]
        base.commit(spilled.reachable(found), {HEAD: found, SPILLED: None})
        assert all(base.has(cid) for cid, _ in plain.reachable(expected))


@pytest.mark.slow
def test_upgrade_stores_blocks_at_intervals_and_has_the_same_root(machine: Hypervisor) -> None:
    sizes = []
    root = upgrade(machine, lambda _: sizes.append(len(machine.store.pending)))
    assert len(sizes) >= COUNT // EVERY
    assert max(sizes) == 0, "each report follows a spill"
    assert len(machine.store.pending) < EVERY * 4
    assert machine.base.metadata(SPILLED) is not None
    assert root == plain_root()
    machine.flush()
    assert machine.base.metadata(SPILLED) is None
    read_everything(machine)


@pytest.mark.slow
def test_collection_at_every_step_loses_no_block(machine: Hypervisor) -> None:
    root = upgrade(machine, lambda _: collect(machine))
    collect(machine)
    assert machine.flush() == root == plain_root()
    everything = read_everything(machine)
    collect(machine)
    assert isinstance(machine.base, RocksStore)
    assert set(machine.base.cids()) == everything, "blocks of older states and intermediate ones are dropped"
    assert machine.state_tree.get_actor(ActorID(FIRST + 7)) is not None


@pytest.mark.slow
def test_changes_before_the_upgrade_are_kept_with_it(machine: Hypervisor) -> None:
    """The epoch of an upgrade executes messages first, whose blocks are in the buffer."""
    before = machine.state_tree.get_actor(FIRST)
    assert before is not None
    head = machine.store
    changed = before.with_balance(5)
    machine.state_tree.set_actor(FIRST, changed)
    machine.state_tree.flush()
    assert head.pending
    upgrade(machine, lambda _: collect(machine))
    machine.flush()
    read_everything(machine)
    after = machine.state_tree.get_actor(FIRST)
    assert after is not None
    assert after.balance == 5


@pytest.mark.slow
def test_failed_upgrade_leaves_the_state_that_can_be_committed(machine: Hypervisor) -> None:
    before = machine.state_tree.flush()
    machine.state_tree.set_actor(FIRST, ActorState(machine.manifest.code("storageminer"), balance=TokenAmount(9)))
    changed = machine.state_tree.flush()

    def stop(actors: int) -> None:
        collect(machine)
        if actors >= EVERY * 5:
            raise InvalidInput("stopped")

    with pytest.raises(InvalidInput, match="stopped"):
        upgrade(machine, stop)
    assert machine.context.network.number == 28
    assert machine.base.metadata(HEAD) == before
    collect(machine)
    assert machine.flush() == changed
    read_everything(machine)
    assert machine.base.metadata(SPILLED) is None


@pytest.mark.slow
def test_killed_upgrade_leaves_the_old_state_and_garbage(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Hypervisor.open(folder, network=28) as machine:
        fill(machine)
        root = machine.flush()
        clean = read_everything(machine)
        upgrade(machine)
        assert isinstance(machine.base, RocksStore)
        assert len(set(machine.base.cids()) - clean) > 10
        assert machine.base.metadata(SPILLED) is not None
    with Hypervisor.open(folder) as machine:  # closed without a flush, as if killed
        assert machine.state_tree.flush() == root
        assert machine.base.metadata(SPILLED) is None
        collect(machine)
        assert isinstance(machine.base, RocksStore)
        assert read_everything(machine) == clean == set(machine.base.cids())
        assert upgrade(machine) == plain_root()
        machine.flush()
        read_everything(machine)


def test_rehearsal_stores_its_blocks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_tree, "_PROGRESS", 1)
    with RocksStore.open(tmp_path, sync=False) as base:
        old, _ = manifests(base, 25)
        root = random_state(base, 25, old, 0)
        under = BufferedStore(base)
        with Hypervisor.at(base, root, MachineContext(network=NETWORK_VERSIONS[24]), evm="auto") as machine:
            taken = []

            def spill(buffer: BufferedStore) -> None:
                taken.append(len(buffer.pending))
                machine.spill(buffer)
                assert not buffer.pending

            before = base.metadata(HEAD)
            rehearse(StateTree(under, root), [NETWORK_VERSIONS[25]], old, EPOCHS[25], None, spill=spill)
            assert max(taken) > 0
            assert not under.pending
            assert base.metadata(HEAD) == before


@pytest.mark.slow
def test_blocks_under_those_of_another_buffer_are_stored_with_them(machine: Hypervisor) -> None:
    """A rehearsed state links to blocks of the machine's buffer."""
    machine.state_tree.set_actor(FIRST, ActorState(machine.manifest.code("storageminer"), balance=TokenAmount(9)))
    root, buffer = machine.state_tree.flush(), BufferedStore(machine.store)
    put_object(buffer, [link(root)])
    machine.spill(buffer)
    collect(machine)
    assert machine.flush() == root
    read_everything(machine)


@pytest.mark.slow
def test_folder_opened_for_reading_is_left_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Hypervisor.open(folder, network=28) as machine:
        fill(machine)
        machine.flush()
    with RocksStore.open(folder, read_only=True) as reader, Hypervisor.open(store=reader) as machine:
        assert upgrade(machine) == plain_root()


def test_stores_in_memory_and_of_readers_get_no_blocks_early(tmp_path: Path) -> None:
    RocksStore.open(tmp_path / "state").close()
    with RocksStore.open(tmp_path / "state", read_only=True) as reader:
        stores = [MemoryStore(), BoundedStore(), OverlayStore(reader), ReadOnlyStore(reader)]
        assert [isinstance(store, SpillStore) for store in stores] == [False] * 4
    with Hypervisor.open(network=28) as machine:
        fill(machine)
        machine.flush()
        sizes = []
        upgrade(machine, lambda _: sizes.append(len(machine.store.pending)))
        assert sizes[-1] > sizes[0]


def test_the_record_covers_every_version() -> None:
    record = json.loads((Path(__file__).parents[3] / "bench/records/state-rewrites.json").read_text("utf-8"))
    assert set(record["details"]) == {f"nv{version}" for version in EPOCHS}
