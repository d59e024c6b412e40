"""State of an actor from Python (`Hypervisor.storage`): commits are visible to the actor, and vice versa."""

from pathlib import Path

import dag_cbor
import pytest
from multiformats import CID

from hypervisor import Address, Hypervisor
from hypervisor.errors import InvalidInput
from store.blockstore import BlockNotFound, HeadMoved
from store.cid import BLAKE2B_256, DAG_CBOR, cid_of
from store.codec import decode, link, unlink
from tests.hypervisor.builtin_actors.world import World, answer


def test_storage_reads_state_written_by_actor(counting: World) -> None:
    assert answer(counting.call_counter("Increment", 5)) == 5
    storage = counting.machine.storage(Address.id(counting.counter))
    head = storage.head()
    assert head is not None
    assert storage.get(head) == dag_cbor.encode([5, b"", [0, b""]])


def test_storage_commit_updates_actor_state(counting: World) -> None:
    machine = counting.machine
    before = machine.root
    with machine.storage(Address.id(counting.counter)) as storage:
        new = storage.put([42, b"", [0, b""]])
        assert new == cid_of(dag_cbor.encode([42, b"", [0, b""]]), DAG_CBOR, BLAKE2B_256)  # as the network names it
        assert answer(counting.call_counter("Get")) == 0
        storage.commit(storage.head(), new)
    assert answer(counting.call_counter("Increment", 1)) == 43
    assert machine.root != before


def test_storage_commit_on_moved_head_fails_without_changes(counting: World) -> None:
    storage = counting.machine.storage(Address.id(counting.counter))
    head, new = storage.head(), storage.put([42, b"", [0, b""]])
    counting.call_counter("Increment", 5)
    with pytest.raises(HeadMoved, match=rf"the state of f0{counting.counter}: expected bafy2\w+, found"):
        storage.commit(head, new)
    assert answer(counting.call_counter("Get")) == 5


def test_storage_commit_is_reverted_with_snapshot(counting: World) -> None:
    machine = counting.machine
    snapshot = machine.snapshot()
    storage = machine.storage(Address.id(counting.counter))
    storage.commit(storage.head(), storage.put([42, b"", [0, b""]]))
    machine.restore(snapshot)
    assert answer(counting.call_counter("Get")) == 0


def test_flush_stores_only_blocks_linked_from_state(tmp_path: Path) -> None:
    system = Address.id(0)
    with Hypervisor.open(tmp_path) as machine:
        storage = machine.storage(system)
        first = storage.head()
        assert first is not None
        (manifest,) = decode(storage.get(first))
        leaf, dropped = storage.put("leaf"), storage.put("linked by nothing")
        note = storage.put([manifest, link(leaf)])
        storage.commit(first, note)
        storage.commit(note, first)  # the machine cannot do without its manifest
        storage.commit(first, storage.put([manifest]))
        machine.flush()
    with Hypervisor.open(tmp_path) as machine:
        storage = machine.storage(system)
        head = storage.head()
        assert head == first  # the same value has the same name
        assert machine.store.has(unlink(manifest))
        for cid in (leaf, dropped, note):
            assert not machine.store.has(cid)
            with pytest.raises(BlockNotFound):
                storage.get(cid)


def test_a_cid_that_put_returned_is_a_link_in_another_object(tmp_path: Path) -> None:
    burnt = Address.id(99)
    with Hypervisor.open(tmp_path) as machine:
        storage = machine.storage(burnt)
        first = storage.head()
        child = storage.put({"name": "child"})
        parent = storage.put([7, {"deep": [child, first]}])
        storage.commit(first, parent)
        machine.flush()
    with Hypervisor.open(tmp_path) as machine:
        storage = machine.storage(burnt)
        assert storage.head() == parent
        links = [CID.decode(bytes(cid)) for cid in (child, first) if cid is not None]
        assert dag_cbor.decode(storage.get(parent)) == [7, {"deep": links}]
        assert dag_cbor.decode(storage.get(child)) == {"name": "child"}


def test_missing_actor_has_no_storage(counting: World) -> None:
    with pytest.raises(InvalidInput, match=r"no actor has the address f09999999; only actors have a state"):
        counting.machine.storage(Address.id(9_999_999))
