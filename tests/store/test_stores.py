"""The common contract of all stores: the same tests for each of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.blocks.bounded import BoundedStore
from store.blocks.memory import MemoryStore
from store.blocks.overlay import OverlayStore
from store.blockstore import BlockNotFound, Store, get_object, put_object
from store.cid import Cid, cid_of, show
from store.codec import CodecError
from store.rocks.database import RocksStore

MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "rocks": RocksStore.open,
    "overlay": lambda _: OverlayStore(MemoryStore()),
    "bounded": lambda _: BoundedStore(),
}


@pytest.fixture(params=sorted(MAKERS))
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = MAKERS[request.param](tmp_path / "store")
    yield opened
    opened.close()
    opened.close()


def test_put_block_is_returned_by_get(any_store: Store) -> None:
    blocks = [(cid_of(data), data) for data in (b"", b"a", bytes(100_000))]
    any_store.put(*blocks[0])
    any_store.put_many(iter(blocks[1:]))
    for cid, data in blocks:
        assert any_store.has(cid)
        assert any_store.get(cid) == data


def test_a_missing_block_is_named(any_store: Store) -> None:
    cid = cid_of(b"missing")
    assert not any_store.has(cid)
    with pytest.raises(BlockNotFound, match=show(cid)) as found:
        any_store.get(cid)
    assert found.value.cid == cid
    with pytest.raises(BlockNotFound, match="6e6f2043"):
        any_store.get(Cid(b"no CID"))


def test_objects_are_stored_as_dag_cbor(any_store: Store) -> None:
    cid = put_object(any_store, {"b": [1], "a": None})
    assert any_store.get(cid).hex() == "a26161f661628101"
    assert get_object(any_store, cid) == {"a": None, "b": [1]}
    any_store.put(cid_of(b"\xff"), b"\xff")
    with pytest.raises(CodecError):
        get_object(any_store, cid_of(b"\xff"))


def test_a_commit_stores_blocks_and_metadata(any_store: Store) -> None:
    block = (cid_of(b"\x65state"), b"\x65state")
    any_store.commit([block], {b"head": block[0], b"other": b""})
    assert any_store.get(block[0]) == b"\x65state"
    assert any_store.metadata(b"head") == block[0]
    assert any_store.metadata(b"other") == b""
    any_store.commit([], {b"head": None, b"absent": None})
    assert any_store.metadata(b"head") is None
    assert any_store.metadata(b"other") == b""
    assert any_store.has(block[0]) != isinstance(any_store, BoundedStore)


def test_metadata_index_and_blocks_do_not_meet(any_store: Store) -> None:
    name = cid_of(b"block")
    any_store.commit([(name, b"block")], {name: b"metadata"}, {name: b"entry"})
    assert any_store.get(name) == b"block"
    assert any_store.metadata(name) == b"metadata"
    assert any_store.index(name) == b"entry"
    assert any_store.metadata(b"absent") is None
    assert any_store.index(b"absent") is None


def test_a_commit_sets_and_deletes_entries_of_the_index(any_store: Store) -> None:
    any_store.commit([], {}, {b"one": b"1", b"two": b"2"})
    any_store.commit([], {}, {b"one": None, b"two": b"3", b"absent": None})
    assert (any_store.index(b"one"), any_store.index(b"two")) == (None, b"3")


def test_commit_failing_halfway_changes_nothing(any_store: Store) -> None:
    def blocks() -> Iterator[tuple[Cid, bytes]]:
        yield cid_of(b"first"), b"first"
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        any_store.commit(blocks(), {b"head": b"new"})
    assert not any_store.has(cid_of(b"first"))
    assert any_store.metadata(b"head") is None


def test_an_overlay_hides_its_base_and_leaves_it_alone() -> None:
    base = MemoryStore()
    stored = put_object(base, "stored")
    base.commit([], {b"head": b"base", b"other": b"base"}, {b"height": b"1"})
    overlay = OverlayStore(base)
    own = put_object(overlay, "own")
    assert overlay.index(b"height") == b"1"
    overlay.commit([], {b"head": b"overlay", b"other": None}, {b"height": b"2"})
    assert overlay.get(stored) == base.get(stored)
    assert overlay.has(own)
    assert (overlay.metadata(b"head"), overlay.metadata(b"other")) == (b"overlay", None)
    assert not base.has(own)
    assert (overlay.index(b"height"), base.index(b"height")) == (b"2", b"1")
    assert (base.metadata(b"head"), base.metadata(b"other")) == (b"base", b"base")
