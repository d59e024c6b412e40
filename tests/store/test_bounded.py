"""The bounded in-memory store drops exactly the states that are not held."""

import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.bounded import BoundedStore
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import BlockNotFound, Store, StoreCorrupt, StoreIOError, put_object
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import link
from store.links import links_of, reachable
from store.roots import HEAD, pin, unpin
from store.trees.hamt import Hamt
from tests.conftest import samples

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 60), st.integers(0, 3)),
        st.tuples(st.just("hold"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("release"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("back"), st.integers(0, 5), st.just(0)),
    ),
    max_size=60,
)


def commit(store: Store, buffered: BufferedStore, root: Cid) -> None:
    """Commit the new blocks of a root, with the root as head, like a machine."""
    store.commit(buffered.reachable(root), {HEAD: root})
    buffered.clear()


def settle(store: BoundedStore) -> None:
    """Drop everything that can be dropped, after the end of a running collection."""
    states = store._states
    for _ in range(2):
        begin_collection(store)
        while states._marked is not None:
            states.collect()


def begin_collection(store: BoundedStore) -> None:
    """Begin a collection if none runs."""
    store._states._added = 1_000_000
    store._states.collect()


@pytest.mark.slow
@given(STEPS)
@settings(max_examples=samples(200))
def test_store_holds_exactly_blocks_reachable_from_held_roots(steps: list[tuple[str, int, int]]) -> None:
    """Compare with a plain walk over a store without collection; the trees share nodes, and collections take long."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_MIN_ADDED", "_MIN_STEPS", "_STEPS_PER_BLOCK", "_SWEPT_PER_STEP"):
            patch.setattr(f"store.blocks.bounded.{name}", 1)
        _check(steps)


def _check(steps: list[tuple[str, int, int]]) -> None:
    store, everything = BoundedStore(), MemoryStore()
    held, roots = Counter[Cid](), list[Cid]()
    buffered = BufferedStore(store)
    tree = Hamt(buffered, None, 2)
    for what, number, value in steps:
        if what == "set":
            tree.set(number.to_bytes(2, "big"), value)
            root = tree.flush()
            everything.put_many(buffered.pending.items())
            commit(store, buffered, root)
            roots.append(root)
        elif roots and what == "hold":
            root = roots[-1 - number % len(roots)]
            if root == roots[-1] or held[root]:
                store.hold([root])
                held[root] += 1
        elif roots and what == "release":
            root = roots[-1 - number % len(roots)]
            if held[root]:
                store.release([root])
                held[root] -= 1
        elif roots:
            root = roots[-1 - number % len(roots)]
            if held[root]:
                commit(store, buffered, root)
                roots.append(root)
                tree = Hamt(buffered, root, 2)
        alive = reachable(everything, [*+held, *roots[-1:]])
        assert all(store.get(cid) == everything.get(cid) for cid in alive)
    settle(store)
    assert set(store._states.blocks) == reachable(everything, [*+held, *roots[-1:]])


def test_block_stored_beside_state_is_kept() -> None:
    """A header links to the state of its parent, but does not hold it."""
    store = BoundedStore(recent=100, page=100)
    headers = []
    for number in range(50):
        state, other = (BufferedStore(store) for _ in range(2))
        root = put_object(state, [number, b"state"])
        headers.append(put_object(other, [number, link(root), b"header"]))
        index = {b"h%d" % number: headers[-1]}
        store.commit(state.pending.items(), {HEAD: root}, index, chain=other.pending.items())
    settle(store)
    assert len(store) == 1
    assert all(store.has(header) for header in headers)
    assert [store.index(b"h%d" % number) for number in range(50)] == headers


def test_directly_stored_block_outlives_state_that_links_it() -> None:
    store = BoundedStore()
    leaf = put_object(store, [b"a leaf"])
    above = BufferedStore(store)
    root = put_object(above, [link(leaf)])
    commit(store, above, root)
    settle(store)
    assert len(store) == 1
    after = put_object(above, [b"another"])
    commit(store, above, after)
    settle(store)
    assert not store.has(root)
    assert store.has(leaf)


def test_missing_blocks_count_as_leaves_until_they_arrive() -> None:
    """A fork's state arrives in this order: the root first, then only the blocks that are read, with the next one."""
    store, origin = BoundedStore(), MemoryStore()
    leaves = [put_object(origin, [number]) for number in range(3)]
    node = put_object(origin, [link(leaf) for leaf in leaves[:2]])
    root = put_object(origin, [link(node), link(leaves[2])])
    store.commit((), {HEAD: root})
    new = BufferedStore(store)
    after = put_object(new, [b"after", link(leaves[0]), link(leaves[1])])
    fetched = [(cid, origin.get(cid)) for cid in (root, node, leaves[0])]
    store.commit(new.reachable(after), {HEAD: after}, chain=fetched)
    settle(store)
    assert [store.has(cid) for cid in (root, node, *leaves, after)] == [True, True, True, False, False, True]
    with pytest.raises(BlockNotFound):
        store.get(leaves[1])


def test_commit_that_cannot_read_its_file_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = BoundedStore(recent=0, page=100, packed=0, directory=100)
    store.commit((), {}, {b"a long key %d" % number: bytes(60) for number in range(20)})
    new = BufferedStore(store)
    root = put_object(new, [link(cid_of(b"absent"))])

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        store._states._added = 1_000_000
        with pytest.raises(StoreIOError, match="restart the node"):
            commit(store, new, root)
    assert store.metadata(HEAD) is None
    commit(store, new, root)
    settle(store)
    assert store.has(root)
    commit(store, new, put_object(new, [b"another"]))
    settle(store)
    assert not store.has(root)


@pytest.mark.parametrize("brought", [False, True])
def test_block_pending_removal_stays_if_new_state_links_it(brought: bool) -> None:
    """The machine read the block from the store or created it again, so the commit contains it."""
    store = BoundedStore()
    buffered = BufferedStore(store)
    large = put_object(buffered, [link(put_object(buffered, [number])) for number in range(2_000)])
    commit(store, buffered, large)
    store.hold([large])
    leaf = put_object(buffered, [b"leaf"])
    node = put_object(buffered, [b"node", link(leaf)])
    blocks = {cid: buffered.get(cid) for cid in (leaf, node)}
    for content in (link(node), b"another"):
        commit(store, buffered, put_object(buffered, [content]))
    begin_collection(store)
    assert store._states._marked is not None  # it follows only some of the 2,000 links at a time
    if brought:
        buffered.put_many(blocks.items())
    commit(store, buffered, put_object(buffered, [b"again", link(node)]))
    settle(store)
    assert [store.get(cid) for cid in blocks] == [*blocks.values()]
    assert len(store) == 2_001 + 3
    commit(store, buffered, put_object(buffered, [b"the end"]))
    settle(store)
    assert len(store) == 2_001 + 1


@pytest.mark.parametrize("is_fetched", [True, False])
def test_missing_block_that_arrives_during_collection_keeps_what_it_links_to(is_fetched: bool) -> None:
    store, new, origin = BoundedStore(), BufferedStore(BoundedStore()), MemoryStore()
    leaf = put_object(origin, [b"leaf"])
    node = put_object(origin, [b"node", link(leaf)])
    leaves = [link(put_object(new, [number])) for number in range(2_000)]
    large = put_object(new, [*leaves, link(node)])
    commit(store, new, large)
    new.put(leaf, origin.get(leaf))
    commit(store, new, put_object(new, [link(leaf)]))
    commit(store, new, large)  # its last link is followed first
    store.hold([large])
    begin_collection(store)
    store._states.collect()
    assert store._states._marked is not None
    if is_fetched:
        store.put(node, origin.get(node))
    else:
        after = put_object(new, [b"after"])
        store.commit([(node, origin.get(node)), (after, new.get(after))], {HEAD: after})
    settle(store)
    assert [store.get(cid) for cid in (node, leaf)] == [origin.get(cid) for cid in (node, leaf)]


def test_links_to_absent_blocks_do_not_stop_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork's actors name code that was never fetched."""
    monkeypatch.setattr("store.blocks.bounded._MIN_ADDED", 1_000)
    store, buffered = BoundedStore(), BufferedStore(MemoryStore())
    codes = [link(cid_of(b"code %d" % number)) for number in range(3)]
    tree = Hamt(buffered, None, 5)
    for number in range(2_000):
        tree.set(number.to_bytes(4, "big"), [codes[number % 3], number])
    sizes = []
    for number in range(300):
        for key in range(4):
            tree.set((number * 4 + key).to_bytes(4, "big"), [codes[0], number, b"new"])
        root = tree.flush()
        store.commit(buffered.reachable(root), {HEAD: root})
        sizes.append(len(store))
    settle(store)
    assert max(sizes) < 2 * max(len(store), 1_000)


def test_a_record_without_roots_changes_nothing() -> None:
    """Its roots cannot be read, so the other entries of the commit must not be set."""
    store, new = BoundedStore(), BufferedStore(MemoryStore())
    root = put_object(new, [b"root"])
    with pytest.raises(StoreCorrupt):
        store.commit(new.pending.items(), {HEAD: root, b"pin/x": b"bad"})
    assert store.metadata(HEAD) is None
    commit(store, new, root)
    settle(store)
    assert store.has(root)
    commit(store, new, put_object(new, [b"another"]))
    settle(store)
    assert not store.has(root)


def test_pins_and_installed_modules_stay() -> None:
    store, module = BoundedStore(), b"\0asm"
    code = cid_of(module, RAW)
    installed = put_object(MemoryStore(), [link(code)])
    record = BufferedStore(store)
    put_object(record, [link(code)])
    store.commit([(code, module)], {b"installed": record.pending[installed]})
    held = BufferedStore(store)
    root = put_object(held, [b"pinned"])
    commit(store, held, root)
    pin(store, "mine", root)
    other = put_object(held, [b"other"])
    commit(store, held, other)
    settle(store)
    assert store.has(code)
    assert store.has(root)
    assert unpin(store, "mine")
    settle(store)
    assert not store.has(root)


@pytest.mark.slow
def test_blocks_of_dropped_states_take_no_more_memory_than_held_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.blocks.bounded._MIN_ADDED", 1_000)
    store = BoundedStore()
    buffered = BufferedStore(store)
    large = Hamt(buffered, None, 5)
    for number in range(20_000):
        large.set(number.to_bytes(4, "big"), number)
    root = large.flush()
    commit(store, buffered, root)
    store.hold([root])
    size, sizes = len(store), []
    for number in range(5_000):
        commit(store, buffered, put_object(buffered, [number]))
        sizes.append(len(store))
    assert size > 1_000
    assert size < min(sizes)
    assert max(sizes) < 2.1 * size
    store.release([root])
    for number in range(5_000):
        commit(store, buffered, put_object(buffered, [number, b"more"]))
    assert len(store) < 1_100


@pytest.mark.parametrize("links", [0, 1])
def test_the_empty_array_is_always_there(links: int) -> None:
    store = BoundedStore()
    new = BufferedStore(store)
    empty = cid_of(b"\x80")
    for number in range(3):
        commit(store, new, put_object(new, [number, *[link(empty)] * links]))
    settle(store)
    assert store.get(empty) == b"\x80"


@pytest.mark.parametrize(
    "linking",
    [
        lambda cid: b"\xd8\x2a\x58\x27\x00" + cid,
        lambda cid: b"\xd9\x00\x2a\x58\x27\x00" + cid,
        lambda cid: b"\xda\x00\x00\x00\x2a\x59\x00\x27\x00" + cid,
        lambda cid: b"\xd8\x2a\x58\x31\x00\x01\x71\x00\x2c\x81\xd8\x2a\x58\x27\x00" + cid,
        lambda cid: b"\x82\x43\xd8\x2a\x00\xd8\x2a\x58\x27\x00" + cid,
    ],
    ids=["usual", "long-tag", "longer-tag-and-length", "in-an-identity-cid", "beside-what-looks-like-a-tag"],
)
def test_a_link_keeps_its_block_however_it_is_written(linking: Callable[[Cid], bytes]) -> None:
    """Encodings of links that `links_of` reads, derived by hand from RFC 8949 and the CID specification."""
    store, new = BoundedStore(), BufferedStore(BoundedStore())
    leaf = put_object(new, [b"leaf"])
    data = linking(leaf)
    root = cid_of(data)
    store.commit([(root, data), (leaf, new.get(leaf))], {HEAD: root})
    for number in range(5):
        store.commit([], {}, {b"index": bytes([number])})
    assert len(store) == 2
    assert links_of(data, DAG_CBOR) == [leaf]
    store.commit([], {HEAD: None})
    settle(store)
    assert len(store) == 0
