"""Merkle Patricia roots, compared with py-trie, an independent implementation, and the yellow paper's empty root."""

from typing import Any

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from bridge.ethereum.patricia import EMPTY_ROOT, InvalidProof, list_root, proven_value, root, secure_root
from store.keccak import keccak


def root_of_py_trie(entries: dict[bytes, bytes]) -> bytes:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[key] = value
    return bytes(trie.root_hash)


VALUES = st.binary(min_size=1, max_size=80)
HEADS = st.sampled_from([b"", b"\0", b"do", b"dog"])
PREFIXED = st.builds(lambda head, tail: head + tail, HEADS, st.binary(max_size=4))


def test_nothing_has_the_root_of_an_empty_string() -> None:
    assert root({}) == EMPTY_ROOT == keccak(rlp.encode(b""))


@given(st.dictionaries(PREFIXED.filter(len), VALUES, max_size=40))
def test_root_of_prefix_keys_matches_py_trie(entries: dict[bytes, bytes]) -> None:
    assert root(entries) == root_of_py_trie(entries)


@given(st.dictionaries(st.binary(min_size=32, max_size=32), VALUES, max_size=60))
def test_root_of_equal_length_keys_matches_py_trie(entries: dict[bytes, bytes]) -> None:
    assert root(entries) == root_of_py_trie(entries)


@given(st.dictionaries(st.binary(max_size=32), VALUES, max_size=20))
def test_root_of_hashed_keys_matches_py_trie(entries: dict[bytes, bytes]) -> None:
    assert secure_root(entries) == root_of_py_trie({keccak(key): value for key, value in entries.items()})


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 300])
def test_a_list_is_keyed_by_the_rlp_of_its_indexes(count: int) -> None:
    items = [index.to_bytes(40, "big") for index in range(count)]
    assert list_root(items) == root_of_py_trie({rlp.encode(index): item for index, item in enumerate(items)})


def proof_of_py_trie(entries: dict[bytes, bytes], key: bytes) -> list[bytes]:
    trie = HexaryTrie({})
    for name, value in entries.items():
        trie[name] = value
    found = [rlp.encode(node) for node in trie.get_proof(key)]  # type: ignore[no-untyped-call]  # py-trie has no type hints there
    # a node shorter than a hash is inside its parent, except the root
    return [data for index, data in enumerate(found) if not index or len(data) >= 32]


@given(st.dictionaries(st.binary(min_size=2, max_size=2), st.binary(min_size=1, max_size=40), min_size=1), st.data())
def test_proofs_of_py_trie_show_presence_and_absence(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(entries)) | st.binary(min_size=2, max_size=2))
    nodes = proof_of_py_trie(entries, key)
    assert proven_value(root(entries), key, nodes) == entries.get(key, b"")
    at = data.draw(st.integers(0, len(nodes) - 1))
    with pytest.raises(InvalidProof):
        proven_value(root(entries), key, nodes[:at])
    with pytest.raises(InvalidProof, match=f"node {at}"):
        proven_value(root(entries), key, [*nodes[:at], nodes[at] + b"\0", *nodes[at + 1 :]])
    with pytest.raises(InvalidProof, match=f"node {len(nodes)} follows"):
        proven_value(root(entries), key, [*nodes, nodes[0]])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ([b"\x40", b"value"], "hex prefix"),
        ([b"\x01", b"value"], "hex prefix"),
        ([b"", b"value"], "hex prefix"),
        ([b"\x00", bytes(32)], "extension without a path"),
        ([b"\x16", b"short"], "by 5 bytes instead of 32"),
        ([b"\x16", [b"\x00", [b"a"]]], "extension without a path"),
        ([b"a", b"b", b"c"], "it has 3 items"),
        (b"text", "expected a list"),
    ],
)
def test_malformed_node_is_refused(node: Any, reason: str) -> None:
    data = rlp.encode(node)
    with pytest.raises(InvalidProof, match=f"node 0: .*{reason}"):
        proven_value(keccak(data), b"a", [data])


def test_nested_nodes_are_bounded() -> None:
    data = b"\xc1" * 40 + b"\x80"
    with pytest.raises(InvalidProof, match="node 0"):
        proven_value(keccak(data), b"a", [data])


def test_absence_is_proven_by_an_extension_with_another_path() -> None:
    entries = {b"\x12\x34": b"one", b"\x12\x35": b"two"}
    assert proven_value(root(entries), b"\x13\x34", proof_of_py_trie(entries, b"\x13\x34")) == b""
