"""The link scan, and what a buffered store finds reachable by it.

That it finds what the decoder finds is checked on the network's blocks in test_recorded_states.py.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.blockstore import BlockNotFound, StoreCorrupt, put_object
from store.buffered import BufferedStore
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
)
from store.codec import CodecError, encode, link
from store.hamt import Hamt
from store.links import Joined, links_of
from store.memory import MemoryStore

A, B, C = (cid_of(name) for name in (b"a", b"b", b"c"))


def test_links_come_in_order_and_as_often_as_they_stand_there() -> None:
    block = encode([link(B), {"x": [link(A)], "yy": link(B)}, b"\xd8\x2a" + A, "text", 5, -5, None, 1.5])
    assert links_of(block, DAG_CBOR) == [B, A, B]


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
    assert links_of(b"\xa2\x61b\x01\x61a\xc1\x01", DAG_CBOR) == []  # keys out of order, a foreign tag


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
    for _ in range(3):  # 64 bytes of digest hold no more
        data = encode([link(cid)])
        if len(data) > 64:
            break
        cid = cid_of(data, DAG_CBOR, IDENTITY)
    assert links_of(encode([link(cid)]), DAG_CBOR) == [A]


@given(st.binary(max_size=60))
def test_no_bytes_harm_the_scan(block: bytes) -> None:
    with suppress(CodecError):
        links_of(block, DAG_CBOR)


def test_only_what_the_root_leads_to_is_reachable() -> None:
    store = BufferedStore(MemoryStore())
    leaf, other = put_object(store, "leaf"), put_object(store, "other")
    middle = put_object(store, [link(leaf), link(leaf)])
    root = put_object(store, {"a": link(middle), "b": link(leaf)})
    put_object(store, [link(other)])
    assert [cid for cid, _ in store.reachable(root)] == [root, middle, leaf]
    assert all(store.get(cid) == data for cid, data in store.reachable(root))


def test_what_is_not_buffered_is_taken_to_be_stored() -> None:
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


def test_raw_blocks_are_kept_and_not_scanned() -> None:
    store = BufferedStore(MemoryStore())
    code = cid_of(b"\xff", RAW)
    store.put(code, b"\xff")
    root = put_object(store, link(code))
    assert store.reachable(root) == [(root, store.get(root)), (code, b"\xff")]
    assert store.reachable(code) == [(code, b"\xff")]


def test_an_identity_root_leads_to_what_it_holds() -> None:
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


def test_a_buffered_store_reads_through_and_writes_nothing_through() -> None:
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


@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=3), max_size=60), st.lists(st.binary(max_size=4)))
def test_a_nodes_links_are_those_of_its_bytes(content: dict[bytes, bytes], again: list[bytes]) -> None:
    store = MemoryStore()
    tree = Hamt(store)
    for key, value in content.items():
        tree.set(key, [link(cid_of(value)), link(cid_of(value, RAW)), b"\xd8\x2a" + A, link(cid_of(value, codec=CBOR))])
    tree.flush()
    for key in again:  # values that stand as they were beside values that changed
        tree.set(key, link(cid_of(key)))
    tree.flush()
    blocks = list(store._blocks.values())
    assert all(type(data) is Joined for data in blocks)
    for data in blocks:
        assert links_of(data, DAG_CBOR) == links_of(bytes(data), DAG_CBOR)


def test_what_is_committed_are_plain_bytes() -> None:
    store = BufferedStore(MemoryStore())
    tree = Hamt(store)
    tree.set(b"key", 1)
    ((_, data),) = store.reachable(tree.flush())
    assert type(data) is bytes
