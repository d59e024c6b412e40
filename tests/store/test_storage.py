"""The `Storage` interface, following the VM Interpreter document sentence by sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import dag_cbor
import pytest
from multiformats import CID, multihash

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, HeadMoved, Store
from store.cid import BLAKE2B_256, RAW, Cid, cid_of, from_public, show
from store.codec import CodecError, decode_strict, link, unlink
from store.rocks.database import RocksStore
from store.storage import Storage


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else RocksStore.open(tmp_path)
    yield opened
    opened.close()


def test_put_returns_the_sha2_256_cbor_content_identifier(store: Store) -> None:
    value = {"balance": 5, "owner": b"\x00\x64"}
    data = dag_cbor.encode({"balance": 5, "owner": b"\x00\x64"})
    cid = Storage.named(store, b"f0100").put(value)
    assert cid == from_public(CID("base32", 1, "dag-cbor", multihash.get("sha2-256").digest(data)))


def test_get_returns_the_serialized_data_staged_or_stored(store: Store) -> None:
    with Storage.named(store, b"f0100") as storage:
        cid = storage.put([1, 2])
        assert storage.get(cid) == dag_cbor.encode([1, 2])
        storage.commit(None, cid)
    assert Storage.named(store, b"f0100").get(cid) == dag_cbor.encode([1, 2])
    with pytest.raises(BlockNotFound):
        Storage.named(store, b"f0100").get(cid_of(b"absent"))


def test_the_network_s_hash_is_a_choice(store: Store) -> None:
    assert Storage.named(store, b"f0100", hash=BLAKE2B_256).put([1]) == cid_of(dag_cbor.encode([1]))


def test_the_head_is_the_committed_state(store: Store) -> None:
    storage = Storage.named(store, b"f0100")
    assert storage.head() is None
    first = storage.put("first")
    storage.commit(None, first)
    second = storage.put("second")
    assert storage.head() == first
    storage.commit(first, second)
    assert storage.head() == Storage.named(store, b"f0100").head() == second
    assert Storage.named(store, b"f0101").head() is None


@pytest.mark.parametrize("old", [None, cid_of(b"another")])
def test_a_commit_fails_if_old_is_not_the_head(store: Store, old: Cid | None) -> None:
    storage = Storage.named(store, b"f0100")
    head, new = storage.put("head"), storage.put("new")
    storage.commit(None, head)
    with pytest.raises(HeadMoved):
        storage.commit(old, new)
    assert storage.head() == head
    assert not store.has(new)


def test_a_reentrant_commit_makes_the_outer_one_fail(store: Store) -> None:
    outer = Storage.named(store, b"f0100")
    start = outer.put(0)
    outer.commit(None, start)
    planned = outer.put("outer")
    with Storage.named(store, b"f0100") as inner:
        moved = inner.put("inner")
        inner.commit(start, moved)
    with pytest.raises(HeadMoved):
        outer.commit(start, planned)
    assert outer.head() == moved


def test_commit_stores_only_root_and_linked_objects(store: Store) -> None:
    with Storage.named(store, b"f0100") as storage:
        leaf = storage.put("leaf")
        middle = storage.put({"leaf": link(leaf)})
        dropped = storage.put("linked by nothing")
        root = storage.put([link(middle)])
        above = storage.put([link(root)])
        storage.commit(None, root)
    assert all(store.has(cid) for cid in (root, middle, leaf))
    for cid in (dropped, above):
        assert not store.has(cid)
        with pytest.raises(BlockNotFound):
            storage.get(cid)


def test_an_object_that_contains_a_returned_cid_links_to_it(store: Store) -> None:
    with Storage.named(store, b"f0100") as storage:
        leaf = storage.put("leaf")
        root = storage.put({"a": (1, leaf)})
        storage.commit(None, root)
        head = storage.head()
        above = storage.put([head])
    assert store.has(leaf)
    assert dag_cbor.decode(store.get(root)) == {"a": [1, CID.decode(bytes(leaf))]}
    assert above == Storage.named(store, b"f0100").put([link(root)])
    assert (str(leaf), repr([leaf])) == (str(CID.decode(bytes(leaf)).set(base="base32")), f"[{show(leaf)}]")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_plain_bytes_of_an_objects_cid_are_refused(store: Store, kind: type) -> None:
    storage = Storage.named(store, b"f0100")
    staged, stored = storage.put("staged"), cid_of(b"stored", RAW)
    store.put(stored, b"stored")
    for cid in (staged, stored):
        with pytest.raises(CodecError, match=rf"contains the CID {show(cid)} as a byte string.*store.codec.link"):
            storage.put({"deep": [[kind(bytes(cid))]]})
    storage.commit(None, storage.put({"deep": [[link(staged), link(stored)]]}))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", bytes(range(32)), b"\x12\x20" + bytes(32), bytes(cid_of(b"not in the store"))],
    ids=["empty", "a byte", "a hash", "a libp2p peer ID", "the CID of an unknown object"],
)
def test_other_byte_strings_are_data(store: Store, data: bytes) -> None:
    storage = Storage.named(store, b"f0100")
    assert storage.get(storage.put([data])) == dag_cbor.encode([data])


def test_commits_of_one_invocation_share_stored_objects(store: Store) -> None:
    with Storage.named(store, b"f0100") as storage:
        first, second = storage.put(1), storage.put(2)
        storage.commit(None, first)
        storage.commit(first, second)
    assert store.has(first)
    assert store.has(second)


def test_missing_state_root_cannot_be_committed(store: Store) -> None:
    storage = Storage.named(store, b"f0100")
    with pytest.raises(BlockNotFound):
        storage.commit(None, cid_of(b"nowhere"))
    assert storage.head() is None


def test_put_rejects_value_without_dag_cbor_form(store: Store) -> None:
    with pytest.raises(CodecError):
        Storage.named(store, b"f0100").put({1, 2})


def test_concurrent_commits_to_one_storage_have_single_winner(store: Store) -> None:
    threads, rounds = 5, 20
    together = Barrier(threads, timeout=60)
    wins: list[int] = []

    def compete(thread: int) -> None:
        for number in range(rounds):
            with Storage.named(store, b"f0100") as storage:
                head = storage.head()
                new = storage.put([number, thread, link(storage.put(bytes([number, thread])))])
                together.wait()
                try:
                    storage.commit(head, new)
                    wins.append(number)
                except HeadMoved:
                    assert storage.head() != head
            together.wait()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # switch threads as often as possible
    try:
        workers = [Thread(target=compete, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert wins == list(range(rounds))
    head = Storage.named(store, b"f0100").head()
    assert head is not None
    number, winner, leaf = decode_strict(store.get(head))
    assert store.get(unlink(leaf)) == dag_cbor.encode(bytes([number, winner]))


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path) as store, Storage.named(store, b"f0100") as storage:
        cid = storage.put([link(storage.put("leaf"))])
        storage.commit(None, cid)
    with RocksStore.open(tmp_path) as store:
        storage = Storage.named(store, b"f0100")
        assert storage.head() == cid
        assert storage.get(cid) == store.get(cid)
