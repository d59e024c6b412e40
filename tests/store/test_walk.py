"""Walks along links: order, limits, cycles, and missing or malformed blocks."""

import pytest

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, StoreCorrupt, put_object
from store.cid import DAG_CBOR, DAG_PB, IDENTITY, RAW, Cid, cid_of, parse_cid, show
from store.codec import encode, link
from store.walk import Walk, reachable

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
