"""The storage format of blocks: every block is restored, and nodes of links take less space."""

from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.cid import DAG_CBOR, RAW, cid_of
from store.codec import encode, link
from store.rocks.database import RocksStore
from store.rocks.format import pack, unpack
from store.trees.hamt import Hamt

LINK_START = bytes.fromhex("d82a582700" + "0171a0e40220")
"""Tag 42, a byte string of 39 bytes, 0x00; CID version 1, DAG-CBOR, blake2b-256, 32 bytes."""

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def node(digests: list[bytes]) -> bytes:
    """Return a node of links, encoded by hand."""
    bitfield = ((1 << len(digests)) - 1).to_bytes((len(digests) + 7) // 8, "big")
    count = bytes((0x80 + len(digests),)) if len(digests) < 24 else bytes((0x98, len(digests)))
    head = b"\x82" + bytes((0x40 + len(bitfield),)) + bitfield + count
    return head + b"".join(LINK_START + digest for digest in digests)


def test_packed_node_of_links_omits_common_link_prefix() -> None:
    first, second = blake2b(b"1", digest_size=32).digest(), blake2b(b"2", digest_size=32).digest()
    block = bytes.fromhex("82 41 03 82") + LINK_START + first + LINK_START + second
    assert block == encode([b"\x03", [link(cid_of(b"1")), link(cid_of(b"2"))]])
    assert pack(cid_of(block), block) == bytes.fromhex("ff 82 41 03 82") + first + second


@given(DIGESTS)
def test_a_node_of_links_comes_back(digests: list[bytes]) -> None:
    block = node(digests)
    stored = pack(cid_of(block), block)
    assert len(stored) == len(block) + 1 - 11 * len(digests)
    assert unpack(cid_of(block), stored) == block


@given(DIGESTS, st.binary(max_size=50), st.integers(0, 1800), st.integers(0, 80), st.sampled_from((DAG_CBOR, RAW)))
def test_any_block_comes_back(digests: list[bytes], other: bytes, at: int, dropped: int, codec: int) -> None:
    for block in (
        other,
        b"\xff" + other,
        b"\xff" + node(digests),
        (node(digests)[:at] + other + node(digests)[at + dropped :]),
    ):
        cid = cid_of(block, codec)
        assert unpack(cid, pack(cid, block)) == block
        assert unpack(cid, block) == block, "as older formats have it"


def test_a_digest_that_looks_like_a_link_is_a_digest() -> None:
    block = node([LINK_START + bytes(21), bytes(21) + LINK_START, LINK_START * 2 + bytes(10)])
    assert unpack(cid_of(block), pack(cid_of(block), block)) == block


@given(DIGESTS, st.integers(0), st.integers(1, 255))
def test_damaged_packed_block_is_rejected(digests: list[bytes], place: int, change: int) -> None:
    block = node(digests)
    stored = bytearray(pack(cid_of(block), block))
    stored[place % len(stored)] ^= change
    assert unpack(cid_of(block), bytes(stored)) is None
    assert unpack(cid_of(block), bytes(stored[: place % len(stored)])) is None


@pytest.mark.parametrize("stored", [b"", b"\xff", b"\xff\x82", b"\xff\x82\x5f", b"\xff\x82\x41\x01\x81", b"\xff\xff"])
def test_truncated_packed_block_is_rejected(stored: bytes) -> None:
    assert unpack(cid_of(b"another"), stored) is None


@pytest.mark.slow
def test_a_large_tree_takes_less_of_the_log(tmp_path: Path) -> None:
    memory = MemoryStore()
    tree = Hamt(memory)
    for number in range(20_000):
        tree.set(b"%d" % number, None)
    tree.flush()
    nodes = [data for data in memory._blocks.values() if data.count(LINK_START) == 32]
    assert len(nodes) > 30
    with RocksStore.open(tmp_path, statistics=True) as store:
        before = store.counter("rocksdb.wal.bytes")
        store.put_many((cid_of(data), data) for data in nodes)
        written = store.counter("rocksdb.wal.bytes") - before
        assert [store.get(cid_of(data)) for data in nodes] == nodes
    assert written < len(nodes) * (32 * 32 + 100), "a digest of 32 bytes for each link, and the key"


def test_block_with_mixed_codec_links_is_not_packed() -> None:
    block = encode([b"\x03", [link(cid_of(b"1")), link(cid_of(b"2", RAW))]])
    assert pack(cid_of(block), block) == block
