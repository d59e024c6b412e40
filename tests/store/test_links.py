"""The link scan, and the blocks that a buffered store finds reachable with it."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import BlockNotFound, StoreCorrupt, StoreFull, put_object
from store.cid import (
    BLAKE2B_256,
    CBOR,
    DAG_CBOR,
    DAG_PB,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    cid_of,
    parse_cid,
    show,
)
from store.codec import CodecError, RewrittenBlock, encode, link, unlink
from store.links import Walk, all_links, links_of, reachable, scan_links
from store.links import reachable as walked
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from tests.conftest import samples

A, B, C = (cid_of(name) for name in (b"a", b"b", b"c"))


def test_links_come_in_order_and_as_often_as_they_stand_there() -> None:
    block = encode([link(B), {"x": [link(A)], "yy": link(B)}, b"\xd8\x2a" + A, "text", 5, -5, None, 1.5])
    assert links_of(block, DAG_CBOR) == [B, A, B]


def test_fast_scan_finds_every_link() -> None:
    """Its expression finds a link inside a string, too, and no unusual one, for which the values are scanned."""
    inline, foreign = cid_of(encode([link(A)]), DAG_CBOR, IDENTITY), cid_of(b"d", DAG_CBOR, SHA2_256)
    values = [link(B), [link(cid_of(b"raw", RAW)), 7], b"\xd8\x2a", link(inline), link(foreign), "d"]
    for count in range(len(values) + 1):
        data = b"".join(map(encode, values[:count]))
        assert all_links(data, count) == scan_links(data, count)
    longer = b"\xd9\x00\x2a" + encode(link(A))[2:]
    assert all_links(encode(link(B)) + longer, 2) == [B, A]
    assert all_links(encode(encode(link(A)))) == [A]


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_blocks_of_other_codecs_have_no_links(codec: int) -> None:
    assert links_of(encode([link(A)]), codec) == []
    assert links_of(b"\xff not CBOR", codec) == []


@pytest.mark.parametrize("codec", [FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED])
def test_sector_commitments_are_no_links(codec: int) -> None:
    assert links_of(encode([link(cid_of(b"sector", codec, SHA2_256)), link(A)]), DAG_CBOR) == [A]


def test_an_identity_cid_stands_for_the_links_inside_it() -> None:
    inline = cid_of(encode([link(A)]), DAG_CBOR, IDENTITY)
    assert links_of(encode([link(inline), link(B)]), DAG_CBOR) == [A, B]
    assert links_of(encode([link(cid_of(b"raw", RAW, IDENTITY))]), DAG_CBOR) == []


def test_the_scan_takes_heads_that_are_longer_than_needed() -> None:
    usual = encode(link(A))
    longer = b"\xdb" + (42).to_bytes(8, "big") + b"\x59\x00\x27" + usual[4:]
    assert links_of(b"\x98\x02" + longer + b"\xfa\x00\x00\x00\x00", DAG_CBOR) == [A]
    assert links_of(b"\xa2\x61b\x01\x61a\xc1\x01", DAG_CBOR) == []  # keys out of order, an unknown tag


@pytest.mark.parametrize(
    "block",
    [
        "",
        "81",
        "a101",
        "8201",
        "0000",
        "9fff",
        "5fff",
        "ff",
        "1c",
        "18",
        "4261",
        "5bffffffffffffffff",
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "9b8000000000000000" * 4,
        "d82a",
        "d82a00",
        "d82a40",
        "d82a4100",
        "d82a4101",
        "d82a6100",
        "d82a4201",
        "d82a450101550000",
        "d82a46000155000000",
        "d82a4700017100018100",
        "d82a5f4100ff",
        "c0",
    ],
)
def test_malformed_blocks_are_a_codec_error(block: str) -> None:
    with pytest.raises(CodecError):
        links_of(bytes.fromhex(block), DAG_CBOR)


def test_identity_cids_inside_identity_cids_end_somewhere() -> None:
    cid = A
    for _ in range(3):  # the maximum for 64 bytes of digest
        data = encode([link(cid)])
        if len(data) > 64:
            break
        cid = cid_of(data, DAG_CBOR, IDENTITY)
    assert links_of(encode([link(cid)]), DAG_CBOR) == [A]


def test_only_blocks_linked_from_root_are_reachable() -> None:
    store = BufferedStore(MemoryStore())
    leaf, other = put_object(store, "leaf"), put_object(store, "other")
    middle = put_object(store, [link(leaf), link(leaf)])
    root = put_object(store, {"a": link(middle), "b": link(leaf)})
    put_object(store, [link(other)])
    assert [cid for cid, _ in store.reachable(root)] == [root, middle, leaf]
    assert all(store.get(cid) == data for cid, data in store.reachable(root))


def test_unbuffered_blocks_are_assumed_stored() -> None:
    base = MemoryStore()
    store = BufferedStore(base)
    below = put_object(store, "buffered, but behind a stored block")
    stored = put_object(base, [link(below)])
    root = put_object(store, [link(stored), link(cid_of(b"unheard of"))])
    assert [cid for cid, _ in store.reachable(root)] == [root]
    assert store.reachable(stored) == []


def test_a_block_reached_on_many_paths_is_scanned_once() -> None:
    store = BufferedStore(MemoryStore())
    root = put_object(store, "bottom")
    for _ in range(100):  # 2^100 paths
        root = put_object(store, [link(root), link(root)])
    assert len(store.reachable(root)) == 101


def test_raw_blocks_are_reachable_and_not_scanned() -> None:
    store = BufferedStore(MemoryStore())
    code = cid_of(b"\xff", RAW)
    store.put(code, b"\xff")
    root = put_object(store, link(code))
    assert store.reachable(root) == [(root, store.get(root)), (code, b"\xff")]
    assert store.reachable(code) == [(code, b"\xff")]


def test_identity_root_reaches_linked_blocks() -> None:
    store = BufferedStore(MemoryStore())
    leaf = put_object(store, "leaf")
    assert [cid for cid, _ in store.reachable(cid_of(encode(link(leaf)), DAG_CBOR, IDENTITY))] == [leaf]
    assert store.reachable(cid_of(b"sector", FIL_COMMITMENT_SEALED, SHA2_256)) == []


@pytest.mark.parametrize(
    "foreign",
    [
        cid_of(b"x", DAG_PB),
        Cid(b"\x01\x71\x13\x40" + bytes(64)),
        Cid(b"\x01\x71\xa0\xe4\x02\x14" + bytes(20)),
        Cid(b"\x12\x20" + bytes(32)),
    ],
)
def test_links_that_no_state_may_hold_are_refused(foreign: Cid) -> None:
    store = BufferedStore(MemoryStore())
    with pytest.raises(StoreCorrupt):
        store.reachable(put_object(store, link(foreign)))


@pytest.mark.parametrize("hash_code", [BLAKE2B_256, SHA2_256])
def test_both_hashes_of_the_documents_are_followed(hash_code: int) -> None:
    store = BufferedStore(MemoryStore())
    leaf = cid_of(encode(1), DAG_CBOR, hash_code)
    store.put(leaf, encode(1))
    assert len(store.reachable(put_object(store, [link(leaf)]))) == 2


def test_buffered_store_reads_through_without_writing_through() -> None:
    base = MemoryStore()
    stored = put_object(base, "stored")
    store = BufferedStore(base)
    buffered = put_object(store, "buffered")
    store.put_many([(A, b"a")])
    assert store.get(stored) == base.get(stored)
    assert all(store.has(cid) for cid in (stored, buffered, A))
    assert not base.has(buffered)
    assert len(base) == 1
    store.clear()
    assert not store.has(buffered)
    assert store.has(stored)
    with pytest.raises(BlockNotFound):
        store.get(buffered)


class Growing:
    """A tree with three levels of nodes that is committed now and then; its values link to further blocks."""

    def __init__(self) -> None:
        self.base = MemoryStore()
        self.store = BufferedStore(self.base)
        self.tree = self.opened(None)

    def opened(self, root: Cid | None) -> Any:
        return Hamt(self.store, root, 2)

    def change(self, tree: Any, key: int, value: int | None) -> None:
        if value is None:
            tree.delete(b"%d" % key)
        else:
            tree.set(b"%d" % key, link(put_object(self.store, value)))

    def set(self, key: int, value: int) -> None:
        self.change(self.tree, key, value)

    def delete(self, key: int, _value: int) -> None:
        self.change(self.tree, key, None)

    def flush(self, _key: int, _value: int) -> None:
        self.tree.flush()

    def reopen(self, _key: int, _value: int) -> None:
        self.tree = self.opened(self.tree.flush())

    def forget(self, key: int, value: int) -> None:
        """Write through a separate tree and drop its blocks, like a simulated call."""
        root, count = self.tree.flush(), len(self.store.pending)
        tried = self.opened(root)
        self.change(tried, key, value)
        tried.flush()
        self.change(tried, key, None)
        tried.flush()
        self.store.forget_after(count)

    def commit(self, _key: int, _value: int) -> None:
        root = self.tree.flush()
        found = self.store.reachable(root)
        self.base.put_many(found)
        assert {cid for cid, _ in found} <= walked(self.base, [root]), "nothing but what the root leads to, all there"
        self.store.clear()


class GrowingStorage(Growing):
    """A contract's slots, in pairs far from each other."""

    def opened(self, root: Cid | None) -> Any:
        return Kamt(self.store, root)

    def change(self, tree: Any, key: int, value: int | None) -> None:
        slot = (key // 2 << 200) + key % 2
        tree.set_all([(slot, 0 if value is None else value + 1), (slot + 2, value or 0)])


STEPS = ("set", "set", "set", "delete", "flush", "reopen", "forget", "commit")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Growing, GrowingStorage])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 60), st.integers(0, 9)), max_size=80))
@settings(max_examples=samples(300))
def test_a_commit_is_whole_whatever_was_flushed_between(kind: type[Growing], steps: list[tuple[str, int, int]]) -> None:
    growing = kind()
    for key in range(40):
        growing.set(key, 0)
    growing.commit(0, 0)
    for step, key, value in steps:
        getattr(growing, step)(key, value)
    growing.commit(0, 0)


def test_failed_flush_does_not_affect_next_flush() -> None:
    growing = Growing()
    for key in range(40):
        growing.set(key, 0)
    growing.commit(0, 0)
    growing.set(7, 1)
    with patch.object(growing.store, "put_many", side_effect=StoreFull("no room")), pytest.raises(StoreFull):
        growing.tree.flush()
    growing.commit(0, 0)
    assert growing.base.get(unlink(growing.tree.get(b"7"))) == encode(1)


def test_links_of_rewritten_node_are_found_from_its_changes() -> None:
    base = MemoryStore()
    first = Hamt(base)
    for number in range(500):
        first.set(b"%d" % number, number)
    store = BufferedStore(base)
    tree = Hamt(store, first.flush())
    tree.set(b"7", link(put_object(store, "seven")))
    root = tree.flush()
    block = store.pending[root]
    assert type(block) is RewrittenBlock
    assert block.links == [cid for cid in links_of(block, DAG_CBOR) if not base.has(cid)]
    assert {cid for cid, _ in store.reachable(root)} == walked(store, [root]) - walked(base, [first.flush()])


def test_flushed_blocks_are_plain_bytes() -> None:
    store = BufferedStore(MemoryStore())
    tree = Hamt(store)
    tree.set(b"key", 1)
    ((_, data),) = store.reachable(tree.flush())
    assert type(data) is bytes


@pytest.mark.parametrize("head", [b"\x5b", b"\x7b", b"\x9b"])
def test_lengths_beyond_63_bits_are_truncated_values(head: bytes) -> None:
    with pytest.raises(CodecError, match="truncated value"):
        links_of(head + b"\xff" * 8, DAG_CBOR)


# a sector on the main network, which names data and not a block
SECTOR = parse_cid("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq")


def diamond(store: MemoryStore) -> dict[str, Cid]:
    """Store top -> left, right, raw; left and right -> bottom."""
    bottom = put_object(store, "bottom")
    raw = cid_of(b"raw", RAW)
    store.put(raw, b"raw")
    left, right = put_object(store, ["left", link(bottom)]), put_object(store, ["right", link(bottom)])
    top = put_object(store, {"links": [link(left), link(right), link(raw), link(SECTOR), link(left)]})
    return {"bottom": bottom, "raw": raw, "left": left, "right": right, "top": top}


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_walk_yields_each_block_once_after_its_links(most: int) -> None:
    store = MemoryStore()
    cids = diamond(store)
    order: list[Cid] = []
    walk = Walk(store, [cids["top"], cids["left"]], lambda cid: cid in order)
    while found := walk.step(most):
        assert len(found) <= most
        order += found
    assert order == [cids[name] for name in ("bottom", "left", "right", "raw", "top")]
    assert reachable(store, [cids["top"]]) == set(order)


def test_visited_blocks_are_not_entered() -> None:
    store = MemoryStore()
    cids = diamond(store)
    walk = Walk(store, [cids["top"]], lambda cid: cid == cids["left"])
    assert walk.step(100) == [cids[name] for name in ("bottom", "right", "raw", "top")]


def test_identity_root_leads_to_its_links_and_sector_to_none() -> None:
    store = MemoryStore()
    cids = diamond(store)
    inline = cid_of(encode([link(cids["raw"])]), DAG_CBOR, IDENTITY)
    assert Walk(store, [inline, SECTOR], lambda _: False).step(100) == [cids["raw"]]
    assert reachable(store, [inline, SECTOR]) == {cids["raw"]}


def test_missing_block_error_names_path_from_root() -> None:
    store = MemoryStore()
    cids = diamond(store)
    incomplete = MemoryStore()
    for name in ("top", "left", "raw"):
        incomplete.put(cids[name], store.get(cids[name]))
    with pytest.raises(BlockNotFound) as found:
        Walk(incomplete, [cids["top"]], lambda _: False).step(100)
    assert (found.value.cid, found.value.path) == (cids["bottom"], (cids["top"], cids["left"]))
    assert str(found.value) == (
        f"block {show(cids['bottom'])} is not in the store "
        f"(linked from {show(cids['left'])}, 2 links below the root {show(cids['top'])})"
    )
    with pytest.raises(BlockNotFound, match=r"linked from"):
        Walk(incomplete, [put_object(incomplete, [link(cid_of(b"no", RAW))])], lambda _: False).step(100)


def test_a_malformed_block_is_named() -> None:
    store = MemoryStore()
    bad = cid_of(b"\x82\x01")
    store.put(bad, b"\x82\x01")
    root = put_object(store, [link(bad)])
    with pytest.raises(StoreCorrupt, match=rf"{show(bad)} \(linked from {show(root)}\): not CBOR"):
        Walk(store, [root], lambda _: False).step(1)


def test_a_link_that_no_state_may_hold_is_refused() -> None:
    store = MemoryStore()
    root = put_object(store, [link(cid_of(b"", DAG_PB))])
    with pytest.raises(StoreCorrupt, match="codec 0x70"):
        Walk(store, [root], lambda _: False).step(1)


def test_blocks_that_lead_to_themselves_do_not_hold_the_walk_up() -> None:
    # A real cycle requires a hash collision, so these blocks are stored under wrong CIDs.
    store = MemoryStore()
    first, second = cid_of(b"first"), cid_of(b"second")
    store.put(first, encode([link(second)]))
    store.put(second, encode([link(first), link(second)]))
    assert Walk(store, [first], lambda _: False).step(100) == [second, first]
    assert reachable(store, [first]) == {first, second}


@pytest.mark.slow
def test_a_very_deep_chain_is_walked() -> None:
    store = MemoryStore()
    cid = put_object(store, 0)
    for _ in range(20_000):
        cid = put_object(store, [link(cid)])
    order: list[Cid] = []
    seen: set[Cid] = set()
    walk = Walk(store, [cid], seen.__contains__)
    while found := walk.step(999):
        order += found
        seen.update(found)
    assert len(order) == 20_001
    assert order[-1] == cid
