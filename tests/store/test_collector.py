"""Garbage collection: which blocks survive, which are dropped, and what may happen in between."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from store.blocks.memory import BufferedStore
from store.blockstore import BlockCorrupt, BlockNotFound, StoreCorrupt, StoreError, StoreReadOnly, put_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode, link
from store.links import reachable
from store.rocks.collector import CollectionResult, GarbageCollector
from store.rocks.database import RocksStore
from store.rocks.marks import MAX_KNOWN, SWEEPING
from store.roots import Roots, pin, pins, unpin
from store.trees.hamt import Hamt
from tests.conftest import samples
from tests.store.stores import copy_live, scratch_folder


@pytest.fixture
def store() -> Iterator[RocksStore]:
    folder = scratch_folder()
    with RocksStore.open(folder, sync=False) as opened:
        yield opened
    shutil.rmtree(folder)


def commit_tree(store: RocksStore, root: Cid | None, seed: int, entries: int, keys: int) -> Cid:
    """Change some entries of a tree, and commit the new root as head."""
    rng = random.Random(seed)
    buffer = BufferedStore(store)
    tree = Hamt(buffer, root)
    for _ in range(entries):
        tree.set(b"%d" % rng.randrange(keys), rng.randbytes(30))
    new = tree.flush()
    store.commit(buffer.reachable(new), {b"head": new})
    return new


def collect(store: RocksStore, roots: Roots | None = None, batch: int = 1000) -> CollectionResult:
    done = GarbageCollector(store, lambda: roots or Roots(), batch).run()
    assert done is not None
    return done


def stored(store: RocksStore) -> set[Cid]:
    """Return the CIDs of all blocks except those in every new store."""
    return set(store.cids())


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_collection_keeps_blocks_reachable_from_head(store: RocksStore, batch: int) -> None:
    root = None
    for seed in range(10):
        root = commit_tree(store, root, seed, 60, 400)
    assert root is not None
    live = reachable(store, [root])
    garbage = stored(store) - live
    assert len(garbage) > 100
    done = collect(store, batch=batch)
    assert stored(store) == live
    assert (done.retained, done.dropped) == (len(live), len(garbage))
    assert dict(Hamt(store, root).items())
    assert store.collection is None
    assert collect(store).dropped == 0


def test_every_kind_of_root_retains_reachable_blocks(store: RocksStore) -> None:
    trees = [commit_tree(store, None, seed, 40, 1000) for seed in range(6)]
    header = put_object(store, [link(trees[4])])
    module = cid_of(b"module", RAW)
    store.put(module, b"module")
    store.commit([], {b"storage/f0100": trees[0], b"installed": encode([link(module)]), b"machine": encode({"a": 1})})
    pin(store, "mine", trees[1])
    roots = Roots(deep=[trees[2]], shallow=[header])
    kept = reachable(store, [*trees[:3], trees[5], module]) | {header}
    collect(store, roots)
    assert stored(store) == kept
    assert unpin(store, "mine")
    assert not unpin(store, "mine")
    collect(store, roots)
    assert stored(store) == reachable(store, [trees[0], trees[2], trees[5], module]) | {header}
    assert pins(store) == {}


def test_pins_have_names_and_lead_somewhere(store: RocksStore) -> None:
    first, second = put_object(store, 1), put_object(store, 2)
    pin(store, "one", first)
    pin(store, "one", second)
    assert pins(store) == {"one": second}
    with pytest.raises(BlockNotFound):
        pin(store, "absent", cid_of(b"absent"))
    for name in ("", "a\nb"):
        with pytest.raises(ValueError, match="valid pin name"):
            pin(store, name, first)


def test_broken_root_stops_collection_before_any_removal(store: RocksStore) -> None:
    garbage = put_object(store, "garbage")
    head = commit_tree(store, None, 1, 50, 1000)
    missing = cid_of(b"missing")
    broken = put_object(store, [link(missing)])
    for roots in (Roots(deep=[broken]), Roots(deep=[missing])):
        with pytest.raises(BlockNotFound, match=show(missing)):
            collect(store, roots)
        assert store.has(garbage)
    damaged = cid_of(b"damaged")
    store.put(damaged, b"other bytes")
    with pytest.raises(BlockCorrupt, match=show(damaged)):
        collect(store, Roots(deep=[damaged]))
    store.commit([], {b"storage/x": b"no CID"})
    with pytest.raises(StoreCorrupt, match="storage/x"):
        collect(store)
    store.commit([], {b"storage/x": None})
    collect(store)  # started before some of the blocks were stored, so it keeps them
    collect(store)
    assert stored(store) == reachable(store, [head])


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_interrupted_collection_is_resumed(tmp_path: Path, steps: int) -> None:
    with RocksStore.open(tmp_path / "store") as store:
        root = None
        for seed in range(5):
            root = commit_tree(store, root, seed, 100, 300)
        assert root is not None
        collector = GarbageCollector(store, batch=20)
        for _ in range(steps):
            collector.step()
        copy_live(store, tmp_path / "killed")
    with RocksStore.open(tmp_path / "killed") as store:
        before = store.collection
        assert before is not None
        root = commit_tree(store, root, 99, 30, 300)  # a writer that is unaware of the collection
        live = reachable(store, [root])
        collect(store, batch=20)
        assert live <= stored(store)
        collect(store)
        assert stored(store) == live


def test_a_marking_that_failed_never_becomes_a_sweep(store: RocksStore) -> None:
    missing = cid_of(encode("missing"))
    head = put_object(store, [link(missing), link(put_object(store, "there"))])
    store.commit([], {b"head": head})
    before = stored(store)
    collector = GarbageCollector(store, batch=1)
    for _ in range(5):
        with pytest.raises(BlockNotFound):
            collector.run()
    with pytest.raises(StoreError, match="marking is not complete"):
        store.sweep(10)
    assert stored(store) == before
    store.put(missing, encode("missing"))
    collector.run()
    assert stored(store) == {*before, missing}


def test_a_collection_does_not_use_the_marks_of_an_earlier_one(store: RocksStore) -> None:
    """Marked blocks are also in a cache in memory."""
    root = commit_tree(store, None, 1, 100, 300)
    for _ in range(2):
        store.begin_collection()
        assert not store.is_subtree_marked(root)
        store.add_marks([root])
        assert store.is_subtree_marked(root)
    store.end_collection()
    assert not store.is_subtree_marked(root)
    store.begin_collection()
    assert not store.is_subtree_marked(root)


@pytest.mark.slow
def test_second_commit_of_a_sweep_reads_fewer_marks(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path, sync=False, statistics=True) as store:
        root = commit_tree(store, None, 1, 5_000, 10_000)
        collector = GarbageCollector(store, batch=10)
        while store.collection is not None and store.collection.phase != SWEEPING:
            collector.step()
        reads = []
        for value in (b"first", b"second"):
            buffer = BufferedStore(store)
            tree = Hamt(buffer, root)
            tree.set(b"same key", value)
            new = tree.flush()
            before = store.counter("rocksdb.number.keys.read")
            store.commit(buffer.reachable(new), {b"head": new})
            reads.append(store.counter("rocksdb.number.keys.read") - before)
        assert reads[1] < reads[0] / 2, reads
        collector.run()
        assert reachable(store, [new]) <= stored(store)


@pytest.mark.slow
def test_known_marks_beyond_the_limit_are_read_again(store: RocksStore) -> None:
    cids = [cid_of(encode(number)) for number in range(MAX_KNOWN + 10)]
    store.begin_collection()
    store.add_marks(cids[:-1])
    for _ in range(2):
        assert all(map(store.is_subtree_marked, cids[:-1]))
        assert not store.is_subtree_marked(cids[-1])


@pytest.mark.parametrize("there_before", [True, False])
@pytest.mark.parametrize("steps", range(24))
def test_block_put_again_during_collection_is_retained(store: RocksStore, steps: int, there_before: bool) -> None:
    blocks = [(cid_of(encode(number)), encode(number)) for number in range(40)]
    if there_before:
        store.put_many(blocks)
    commit_tree(store, None, 1, 100, 300)
    collector = GarbageCollector(store, batch=5)
    for _ in range(steps):
        collector.step()
    again = [block for block in blocks if block[0] not in stored(store)] or blocks[::2]
    store.put_many(again)
    collector.run()
    assert {cid for cid, _ in again} <= stored(store)


@pytest.mark.parametrize("steps", range(24))
def test_root_pinned_at_any_step_is_retained_whole_or_refused(store: RocksStore, steps: int) -> None:
    old = commit_tree(store, None, 2, 100, 300)  # becomes garbage with the next line
    commit_tree(store, None, 1, 100, 300)
    below = reachable(store, [old])
    collector = GarbageCollector(store, batch=5)
    for _ in range(steps):
        collector.step()
    complete = below <= stored(store)
    if complete:
        store.commit([], {b"pin/old": old})
    else:
        with pytest.raises(BlockNotFound):
            store.commit([], {b"pin/old": old})
    collector.run()
    assert (below <= stored(store)) == complete


def test_roots_pinned_during_collection_are_kept_or_refused(store: RocksStore) -> None:
    old = [put_object(store, ["old", link(put_object(store, number))]) for number in range(100)]
    commit_tree(store, None, 1, 100, 300)
    collector = GarbageCollector(store, batch=5)
    kept = []
    for number, root in enumerate(old):
        try:
            store.commit([], {b"pin/%d" % number: root})
            kept.append(root)
        except BlockNotFound:
            pass
        if not collector.step():
            break
    assert 20 < len(kept) < 100
    assert reachable(store, kept) <= stored(store)


def test_time_limited_collection_resumes_on_next_run(store: RocksStore) -> None:
    root = None
    for seed in range(5):
        root = commit_tree(store, root, seed, 100, 300)
    assert root is not None
    rounds = 0
    while GarbageCollector(store, batch=10).run(seconds=0) is None:
        rounds += 1
    assert rounds > 10
    assert stored(store) == reachable(store, [root])


def test_a_reader_cannot_collect_and_is_not_disturbed(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path) as writer:
        first = commit_tree(writer, None, 1, 100, 1000)
        with RocksStore.open(tmp_path, read_only=True) as reader:
            live = reachable(reader, [first])
            with pytest.raises(StoreReadOnly):
                GarbageCollector(reader)
            commit_tree(writer, None, 2, 100, 1000)
            assert collect(writer).dropped == len(live)
            assert reachable(reader, [first]) == live
        with RocksStore.open(tmp_path, read_only=True) as reader:
            assert not reader.has(first)


def test_space_of_dropped_blocks_is_reclaimed(store: RocksStore) -> None:
    rng = random.Random(3)
    store.put_many((cid_of(data, RAW), data) for data in (rng.randbytes(10_000) for _ in range(500)))
    kept = rng.randbytes(1_000_000)
    store.commit([(cid_of(kept, RAW), kept)], {b"head": cid_of(kept, RAW)})
    done = collect(store)
    assert done.size_before > 6_000_000
    assert 1_000_000 < done.size_after == store.size() < 1_100_000


# --- any order of commits, steps, pins and restarts -------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """Reachable blocks survive any order of operations; a collection without commits keeps nothing else."""

    nodes = Bundle("nodes")

    @initialize(target=nodes)
    def open(self) -> object:
        self.folder = scratch_folder()
        self.store = RocksStore.open(self.folder, sync=False)
        self.collector: GarbageCollector | None = None
        self.data: dict[Cid, bytes] = {}
        self.links: dict[Cid, tuple[Cid, ...]] = {}
        self.roots: dict[bytes, Cid] = {}
        return multiple(*(self.node(number, ()) for number in range(3)))

    def node(self, number: int, links: tuple[Cid, ...]) -> Cid:
        data = encode([number, *(link(cid) for cid in links)])
        self.data[cid_of(data)] = data
        self.links[cid_of(data)] = links
        return cid_of(data)

    def below(self, cid: Cid) -> set[Cid]:
        found = {cid}
        for child in self.links[cid]:
            found |= self.below(child)
        return found

    @rule(target=nodes, number=st.integers(0, 3), links=st.lists(nodes, max_size=3, unique=True))
    def make(self, number: int, links: list[Cid]) -> Cid:
        return self.node(number, tuple(links))

    @rule(root=nodes, key=st.sampled_from([b"head", b"pin/a", b"storage/b"]))
    def commit_all(self, root: Cid, key: bytes) -> None:
        """Store a root and everything below it, whether stored already or not."""
        self.store.commit([(cid, self.data[cid]) for cid in self.below(root)], {key: root})
        self.roots[key] = root

    @rule(root=nodes, key=st.sampled_from([b"head", b"pin/a", b"storage/b"]))
    def commit_new(self, root: Cid, key: bytes) -> None:
        """Store the blocks that are not reachable from a root yet, like the machine, which assumes the rest."""
        kept = {cid for other in self.roots.values() for cid in self.below(other)}
        new = self.below(root) - kept
        self.store.commit([(cid, self.data[cid]) for cid in new], {key: root})
        self.roots[key] = root

    @rule(root=nodes)
    def commit_bare(self, root: Cid) -> None:
        """Name a root without storing blocks; fails during a sweep if a part of it is gone."""
        if any(not self.store.has(cid) for cid in self.below(root)):
            if self.store.collection is None or self.store.collection.phase != "sweep":
                return  # not checked, as for any commit that links to missing blocks
            before = self.store.all_metadata()
            with pytest.raises(BlockNotFound):
                self.store.commit([], {b"head": root})
            assert self.store.all_metadata() == before
            return
        if root in {cid for other in self.roots.values() for cid in self.below(other)} or self.store.collection:
            self.store.commit([], {b"head": root})
            self.roots[b"head"] = root

    @rule(node=nodes)
    def put(self, node: Cid) -> None:
        self.store.put(node, self.data[node])

    @rule(key=st.sampled_from([b"pin/a", b"storage/b"]))
    def drop(self, key: bytes) -> None:
        self.store.commit([], {key: None})
        self.roots.pop(key, None)

    @rule(steps=st.integers(1, 6))
    def step(self, steps: int) -> None:
        if self.collector is None:
            self.collector = GarbageCollector(self.store, batch=2)
        for _ in range(steps):
            if not self.collector.step():
                self.collector.finish()
                self.collector = None
                return

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.collector = None
        self.store = RocksStore.open(self.folder, sync=False)

    @rule()
    def collect_quietly(self) -> None:
        if self.store.collection is not None:
            GarbageCollector(self.store, batch=2).run()
            self.collector = None
        collect(self.store, batch=3)
        assert stored(self.store) == reachable(self.store, self.roots.values())

    @invariant()
    def everything_that_roots_lead_to_is_there(self) -> None:
        for root in self.roots.values():
            assert reachable(self.store, [root]) == self.below(root)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


TestAnyOrder = pytest.mark.slow(AnyOrder.TestCase)
TestAnyOrder.settings = settings(max_examples=samples(20), stateful_step_count=40, deadline=None)
