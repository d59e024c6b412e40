"""Merkle Patricia roots, compared with py-trie, an independent implementation, and the yellow paper's empty root."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from bridge.patricia import EMPTY_ROOT, list_root, root, secure_root
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
