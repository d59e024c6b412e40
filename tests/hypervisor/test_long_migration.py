"""Migration of states with many actors: rewritten nodes, memory and progress reports.

`make migration` does the same with a million actors.
"""

import tracemalloc
from collections.abc import Iterator

import pytest

from hypervisor import Hypervisor
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import Fatal
from hypervisor.state.state_tree import STATE_TREE_VERSION, ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NV28, NV29
from store.blockstore import get_object, put_object
from store.codec import link, unlink
from store.trees.hamt import Hamt
from tests.hypervisor.migrations.migration_run import check

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
