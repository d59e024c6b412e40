"""Stores of blocks.

- The `Storage` interface, following the VM Interpreter document sentence by sentence.
- The common contract of all stores: the same tests for each of them.
- Blocks fetched from a remote: verified, stored, and fetched once.
- Packed entries: the last value put is found, recent or packed.
"""

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import dag_cbor
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID, multihash

from store.blocks import bounded
from store.blocks.bounded import BoundedStore, PackedEntries
from store.blocks.memory import MemoryStore, OverlayStore, RemoteHashMismatch, RemoteStore, RemoteUnavailable
from store.blockstore import BlockCorrupt, BlockNotFound, HeadMoved, Store, StoreIOError, get_object, put_object
from store.cid import BLAKE2B_256, RAW, Cid, cid_of, from_public, show
from store.codec import CodecError, decode_strict, link, unlink
from store.rocks.database import RocksStore
from store.roots import HEAD
from store.storage import Storage
from tests.conftest import samples
from tests.store.test_bounded import settle


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
    if isinstance(any_store, BoundedStore):
        settle(any_store)
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


HERE, THERE, NOWHERE = b"here", b"there", b"nowhere"


def name(data: bytes) -> Cid:
    return cid_of(data, RAW)


class Elsewhere:
    """A remote with blocks that records the requests."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = {name(data): data for data in blocks}
        self.asked: list[Cid] = []
        self.closed = False

    def block(self, cid: Cid) -> bytes | None:
        self.asked.append(cid)
        return self.blocks.get(cid)

    def close(self) -> None:
        self.closed = True


class Nobody(Elsewhere):
    """A remote that does not respond."""

    def block(self, cid: Cid) -> bytes | None:
        raise RemoteUnavailable("nobody answers")


def test_local_blocks_are_not_requested_and_remote_ones_once() -> None:
    elsewhere, base = Elsewhere(THERE), MemoryStore()
    base.put(name(HERE), HERE)
    store = RemoteStore(base, elsewhere)
    assert [store.get(name(HERE)), store.get(name(THERE)), store.get(name(THERE))] == [HERE, THERE, THERE]
    assert elsewhere.asked == [name(THERE)]
    assert store.fetches == 1
    assert store.has(name(HERE))
    assert store.has(name(THERE))


def test_a_block_that_is_nowhere_is_not_found() -> None:
    store = RemoteStore(MemoryStore(), Elsewhere())
    assert not store.has(name(NOWHERE))
    with pytest.raises(BlockNotFound):
        store.get(name(NOWHERE))


def test_remote_block_with_wrong_cid_raises_and_is_not_stored() -> None:
    elsewhere, base = Elsewhere(), MemoryStore()
    elsewhere.blocks[name(THERE)] = b"their" + THERE
    store = RemoteStore(base, elsewhere)
    with pytest.raises(RemoteHashMismatch, match=r"the remote returned bytes for block bafk\w+") as lied:
        store.get(name(THERE))
    assert isinstance(lied.value, BlockCorrupt)
    store.close()
    assert len(base) == 0


def test_commit_persists_fetched_blocks_and_close_the_rest(tmp_path: Path) -> None:
    elsewhere = Elsewhere(THERE, NOWHERE)
    store = RemoteStore(RocksStore.open(tmp_path), elsewhere)
    store.get(name(THERE))
    store.commit([(name(HERE), HERE)], {b"head": name(HERE)}, {b"height": b"1"})
    store.get(name(NOWHERE))
    store.close()
    assert elsewhere.closed
    again = RemoteStore(RocksStore.open(tmp_path), Nobody())
    assert [again.get(name(data)) for data in (HERE, THERE, NOWHERE)] == [HERE, THERE, NOWHERE]
    assert again.metadata(b"head") == name(HERE)
    assert again.index(b"height") == b"1"
    with pytest.raises(StoreIOError, match="nobody answers"):
        again.get(name(b"else"))
    again.close()


def test_a_block_is_written_once() -> None:
    class Noting(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.written: list[Cid] = []

        def commit(self, blocks: Any, *more: Any) -> None:
            *others, beside = more
            kept = [*beside, *blocks]
            self.written += [cid for cid, _ in kept]
            super().commit(kept, *others)

    base = Noting()
    store = RemoteStore(base, Elsewhere(THERE))
    store.get(name(THERE))
    store.commit([(name(HERE), HERE)], {})
    store.commit([], {})
    assert base.written == [name(THERE), name(HERE)]
    assert store.get(name(THERE)) == THERE


def test_fetched_blocks_are_not_requested_again_after_their_state() -> None:
    base, elsewhere = BoundedStore(), Elsewhere(THERE)
    store = RemoteStore(base, elsewhere)
    store.get(name(THERE))
    for root in (THERE, HERE):
        store.commit([(name(HERE), HERE)], {HEAD: name(root)})
    settle(base)
    assert store.get(name(THERE)) == THERE
    assert elsewhere.asked == [name(THERE)]


def test_many_fetched_blocks_do_not_wait_in_memory_for_a_commit() -> None:
    blocks = [b"%d" % number for number in range(1_001)]
    base = MemoryStore()
    store = RemoteStore(base, Elsewhere(*blocks))
    for data in blocks:
        store.get(name(data))
    assert len(base) == 1_000


KEYS = st.sampled_from([b"name", *(b"a key of one of many %d" % number for number in range(40))])
VALUES = st.none() | st.binary(max_size=60)


@pytest.mark.slow
@given(st.lists(st.tuples(KEYS, VALUES)))
@settings(max_examples=samples(300))
def test_packed_entries_match_dict(changes: list[tuple[bytes, bytes | None]]) -> None:
    entries, plain = PackedEntries(recent=100, page=100, directory=60), dict[bytes, bytes | None]()
    for key, value in changes:
        entries.put_all([(key, value)])
        plain[key] = value
        assert entries.get(key) == value
    assert all(entries.get(key) == value for key, value in plain.items())
    assert entries.get(b"a key of nothing at all") is None


def test_entries_of_one_shape_take_a_fraction_of_their_bytes() -> None:
    """The keys are half of the bytes and incompressible, so little of the values may remain."""
    entries = PackedEntries(recent=10_000, page=10_000)
    for number in range(2_000):
        entries.put_all([(number.to_bytes(32, "big"), bytes(60) + number.to_bytes(4, "big"))])
    assert sum(len(page) for page in entries._pages if isinstance(page, bytes)) < 2_000 * 20
    assert entries._spilled is None
    assert entries.get((5).to_bytes(32, "big")) == bytes(60) + (5).to_bytes(4, "big")


def test_entry_larger_than_page_gets_own_page() -> None:
    entries = PackedEntries(recent=10, page=10)
    for number in range(5):
        entries.put_all([(b"long key %d" % number, bytes([number]) * 1_000)])
    assert [entries.get(b"long key %d" % number) for number in range(5)] == [bytes([each]) * 1_000 for each in range(5)]


@pytest.mark.sampled
def test_a_reader_finds_each_entry_while_a_writer_packs_them() -> None:
    entries, missing = PackedEntries(recent=1_000, page=500, directory=3_000), list[bytes]()
    written, ended = [b"entry number %d" % 0], threading.Event()
    entries.put_all([(written[0], written[0])])

    def read() -> None:
        at = 0
        while not ended.is_set():
            key = written[-1 - at % len(written)]
            if entries.get(key) != key:
                missing.append(key)
            at += 7

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, samples(20_000)):
            key = b"entry number %d" % number
            entries.put_all([(key, key)])
            written.append(key)
            entries.put_all([(key, key)])
    finally:
        ended.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert not missing


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"entry number %06d" % number: number.to_bytes(32, "little") * 3 for number in range(count)}


def test_pages_above_the_limit_of_memory_are_found_in_a_file() -> None:
    entries, plain = PackedEntries(recent=1_000, page=500, packed=2_000, directory=2_000), numbered(2_000)
    for entry in plain.items():
        entries.put_all([entry])
    assert sum(len(page) for page in entries._pages if isinstance(page, bytes)) <= 2_000
    assert sum(isinstance(page, int) for page in entries._pages) > 100
    assert len(entries._segments) == 5
    assert sum(len(bucket or b"") for bucket in entries._buckets) <= 2_000
    assert {key: entries.get(key) for key in plain} == plain
    assert entries.get(b"a key of nothing at all") is None


@pytest.mark.parametrize("written", [OSError(28, "No space left on device"), 7], ids=["full disk", "short write"])
def test_a_page_that_cannot_be_written_stays_in_memory(written: int | OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        if isinstance(written, OSError):
            raise written
        return written

    entries, plain = PackedEntries(recent=1_000, page=500, packed=0, directory=300), numbered(500)
    entries.put_all([*plain.items()][:100])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", write)
        entries.put_all([*plain.items()][100:300])
    entries.put_all([*plain.items()][300:])
    assert {type(page) for page in entries._pages} == {bytes, int}
    assert {key: entries.get(key) for key in plain} == plain


def test_no_folder_for_temporary_files_keeps_pages_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(bounded, "mkstemp", refuse)
    entries, plain = PackedEntries(recent=1_000, page=500, packed=0, directory=300), numbered(200)
    entries.put_all(plain.items())
    assert {key: entries.get(key) for key in plain} == plain


def test_a_forked_process_does_not_write_to_the_file_of_its_parent() -> None:
    entries, plain = PackedEntries(recent=0, page=500, packed=0, directory=900), numbered(600)
    entries.put_all([*plain.items()][:200])
    waiting, wake = os.pipe()
    child = os.fork()
    if not child:
        os.read(waiting, 1)  # until the parent has appended
        entries.put_all((key, b"another value" * 8) for key in [*plain][200:400])
        os._exit(0 if entries.get([*plain][300]) == b"another value" * 8 and entries.get([*plain][5]) else 1)
    entries.put_all([*plain.items()][200:])
    os.write(wake, b"!")
    _, status = os.waitpid(child, 0)
    os.close(waiting)
    os.close(wake)
    assert os.waitstatus_to_exitcode(status) == 0
    assert {key: entries.get(key) for key in plain} == plain


@pytest.mark.parametrize("directory", [300, 100_000], ids=["directory", "pages"])
def test_a_file_that_was_cut_is_reported(directory: int) -> None:
    entries, plain = PackedEntries(recent=0, page=500, packed=0, directory=directory), numbered(200)
    entries.put_all(plain.items())
    assert entries._spilled is not None
    os.ftruncate(entries._spilled._descriptor, 1_000)
    entries._open_page.cache_clear()
    with pytest.raises(StoreIOError, match=r"the temporary file of old blocks ends before byte \d+; restart the node"):
        assert entries.get([*plain][100])


@pytest.mark.slow
def test_the_file_is_closed_with_the_entries() -> None:
    entries = PackedEntries(recent=0, page=500, packed=0)
    entries.put_all(numbered(50).items())
    assert entries._spilled is not None
    descriptor = entries._spilled._descriptor
    assert os.fstat(descriptor).st_nlink == 0
    del entries
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
