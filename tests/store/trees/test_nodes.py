"""Nodes read without a decoder: the same result as with one, and no encoding reused that is not canonical."""

from typing import Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.cid import RAW, Cid, cid_of
from store.codec import encode, link
from store.trees.hamt import Hamt, HamtError
from store.trees.nodes import read_link_node, split_pointers

SCALARS = st.one_of(
    st.integers(-(1 << 64), (1 << 64) - 1), st.binary(max_size=300), st.text(max_size=300), st.booleans(), st.none()
)
NODE_VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
KEY = b"\x00\x65"

UNUSUAL = [
    "1805", "190005", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3805", "3900ff", "5803616263", "7803616263",
    "980105", "a2616201616102", "f93c00",
]  # fmt: skip
"""Values that are not canonically encoded: long heads, unsorted keys, a float of half the length."""


@pytest.mark.slow
@given(st.lists(NODE_VALUES, max_size=40))
def test_pointers_are_split_where_values_end(values: list[Any]) -> None:
    data = encode([b"\x01", values])
    parts = split_pointers(data, len(values))
    assert parts is None or parts == [dag_cbor.encode(value) for value in values]


def test_actors_and_addresses_are_split() -> None:
    actor = [link(cid_of(b"code", RAW)), link(cid_of(b"state")), 1 << 40, b"\x00" + bytes(20), b"\x04\x0a" + bytes(20)]
    buckets = [
        [[b"\x00\x64", actor], [KEY, [*actor[:4], None]]],
        link(cid_of(b"node")),
        [[b"\x01" + bytes(20), 1 << 20]],
    ]
    data = encode([b"\x07", buckets])
    assert split_pointers(data, 3) == [encode(bucket) for bucket in buckets]


@pytest.mark.parametrize("value", UNUSUAL)
def test_a_node_that_is_written_again_is_canonical(value: str) -> None:
    store = MemoryStore()
    tree = Hamt(store)
    for number in range(3):
        tree.set(b"%d" % number, "here")
    whole = store.get(tree.flush())
    odd = whole.replace(encode("here"), bytes.fromhex(value))
    store.put(cid_of(odd), odd)
    read = Hamt(store, cid_of(odd))
    canonical = Hamt(store)
    for key, held in read.items():
        canonical.set(key, held)
    read.set(b"3", 3)
    canonical.set(b"3", 3)
    assert read.flush() == canonical.flush()


def test_a_node_of_links_must_link_to_nodes_and_fit_its_bitfield() -> None:
    links = [link(cid_of(b"%d" % number)) for number in range(2)]
    block = encode([b"\x03", links])
    assert read_link_node(block, 5, HamtError) == (3, [encode(each) for each in links])
    assert read_link_node(encode([b"\x03", [links[0], link(cid_of(b"1", RAW))]]), 5, HamtError) is None
    store = MemoryStore()
    for other in ([links[0], link(cid_of(b"1", RAW))], [links[0]], [*links, links[0]]):
        broken = encode([b"\x03", other])
        store.put(cid_of(broken), broken)
        with pytest.raises(HamtError):
            Hamt(store, Cid(cid_of(broken)))
