"""Parts of Ethereum's blocks: access lists, Merkle Patricia roots and RLP.

- Block-level access lists (EIP-7928): the encoding, the JSON form, and the first difference of two lists.
- Merkle Patricia roots, compared with py-trie, an independent implementation, and the yellow paper's empty root.
- RLP compared with the `rlp` library: the same bytes, values and errors.
"""

from collections.abc import Callable
from typing import Any

import pytest
import rlp
import rlp as oracle
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from bridge.ethereum import rlp as our_rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import AccountAccess, BlockAccessList, first_difference
from bridge.ethereum.patricia import EMPTY_ROOT, InvalidProof, list_root, proven_value, root, secure_root
from bridge.ethereum.rlp import RlpError
from store.keccak import keccak

ONE, TWO = (EthAddress(bytes([number]) * 20) for number in (0x11, 0x22))


def a_list() -> BlockAccessList:
    return BlockAccessList({
        TWO: AccountAccess(writes={5: {2: 0, 1: 300}, 1: {1: 7}}, reads={9, 0}),
        ONE: AccountAccess(balances={1: 200}, nonces={1: 1}, codes={3: b"\x60\x00"}),
    })  # fmt: skip


def test_the_encoding_is_that_of_a_hand_computation() -> None:
    one = "94" + "11" * 20 + "c0" + "c0" + "c4c30181c8" + "c3c20101" + "c5c403826000"
    two = "94" + "22" * 20 + "d1" + "c5" + "01" + "c3c20107" + "ca" + "05" + "c8" + "c40182012c" + "c20280"
    two += "c28009" + "c0c0c0"
    first, second = (f"{0xC0 + len(part) // 2:02x}{part}" for part in (one, two))
    assert a_list().rlp().hex() == f"f8{(len(first) + len(second)) // 2:02x}{first}{second}"


def test_an_empty_list_has_the_hash_of_the_proposal() -> None:
    assert BlockAccessList().hash().hex() == "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


def test_an_encoding_is_read_again() -> None:
    assert BlockAccessList.decode(a_list().rlp()) == a_list()


@pytest.mark.parametrize("data", ["80", "c1c0", "d9d8" + "93" + "11" * 19 + "c0c0c0c0c0", "c180"])
def test_another_encoding_is_refused(data: str) -> None:
    with pytest.raises(RlpError):
        BlockAccessList.decode(bytes.fromhex(data))


def test_items_are_addresses_and_slots() -> None:
    assert a_list().items == 2 + 2 + 2


def test_the_json_form_is_that_of_the_execution_apis() -> None:
    word = "0x" + "00" * 31
    assert a_list().json() == [
        {
            "address": "0x" + "11" * 20, "storageChanges": [], "storageReads": [],
            "balanceChanges": [{"index": "0x1", "value": "0xc8"}], "nonceChanges": [{"index": "0x1", "value": "0x1"}],
            "codeChanges": [{"index": "0x3", "code": "0x6000"}],
        },
        {
            "address": "0x" + "22" * 20,
            "storageChanges": [
                {"key": f"{word}01", "changes": [{"index": "0x1", "value": f"{word}07"}]},
                {
                    "key": f"{word}05",
                    "changes": [
                        {"index": "0x1", "value": f"0x{300:064x}"}, {"index": "0x2", "value": f"{word}00"},
                    ],
                },
            ],
            "storageReads": [f"{word}00", f"{word}09"],
            "balanceChanges": [], "nonceChanges": [], "codeChanges": [],
        },
    ]  # fmt: skip


DIFFERENCES: dict[str, tuple[Callable[[BlockAccessList], object], str]] = {
    "an account is missing": (lambda found: found.accounts.pop(ONE), f"account 0x{ONE.hex()} is missing"),
    "an account too many": (lambda found: found.account(EthAddress(bytes(20))), "account 0x" + "00" * 20 + " is not e"),
    "a read is missing": (lambda found: found.account(TWO).reads.remove(9), "slot 0x9: the read is missing"),
    "a read too many": (lambda found: found.account(TWO).reads.add(3), "slot 0x3: the read is not expected"),
    "another word": (
        lambda found: found.account(TWO).writes[5].update({2: 4}), "slot 0x5 at index 2: 4, expected 0",
    ),
    "another index": (
        lambda found: found.account(ONE).balances.update({2: 9}), "balance at index 2: 9, expected no change",
    ),
    "a nonce is missing": (lambda found: found.account(ONE).nonces.clear(), "nonce at index 1: no change, expected 1"),
    "another code": (
        lambda found: found.account(ONE).codes.update({3: b""}), "code at index 3: 0x, expected 0x6000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_first_difference_is_named(name: str) -> None:
    change, words = DIFFERENCES[name]
    found = a_list()
    change(found)
    assert words in first_difference(found, a_list())


def test_equal_lists_have_no_difference() -> None:
    assert first_difference(a_list(), a_list()) == ""


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


@pytest.mark.slow
@given(st.dictionaries(PREFIXED.filter(len), VALUES, max_size=40))
def test_root_of_prefix_keys_matches_py_trie(entries: dict[bytes, bytes]) -> None:
    assert root(entries) == root_of_py_trie(entries)


@pytest.mark.slow
@given(st.dictionaries(st.binary(min_size=32, max_size=32), VALUES, max_size=60))
def test_root_of_equal_length_keys_matches_py_trie(entries: dict[bytes, bytes]) -> None:
    assert root(entries) == root_of_py_trie(entries)


@pytest.mark.slow
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


@pytest.mark.slow
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


ITEMS: st.SearchStrategy[Any] = st.recursive(
    st.binary(max_size=80), lambda items: st.lists(items, max_size=6), max_leaves=20
)


@pytest.mark.slow
@given(ITEMS)
def test_encoding_is_that_of_the_library_and_comes_back(item: Any) -> None:
    data = our_rlp.encode(item)
    assert data == oracle.encode(item)
    assert our_rlp.decode(data) == item


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "truncated"),
        ("83646f", "truncated"),
        ("c28080" + "00", "1 trailing bytes"),
        ("8105", "single byte below 0x80"),
        ("b801ff", "minimally encoded"),
        ("b90038" + "00" * 56, "minimally encoded"),
        ("bb", "truncated"),
        ("c7" * 20, "truncated|deeper"),
        ("c1" * 18 + "c0", "truncated|deeper"),
    ],
)
def test_another_form_than_the_canonical_one_is_refused(data: str, words: str) -> None:
    with pytest.raises(our_rlp.RlpError, match=words):
        our_rlp.decode(bytes.fromhex(data))


def test_lists_may_nest_sixteen_deep() -> None:
    nested: Any = []
    for _ in range(our_rlp.MAX_DEPTH - 1):
        nested = [nested]
    assert our_rlp.decode(oracle.encode(nested)) == nested
    with pytest.raises(our_rlp.RlpError, match="deeper than 16"):
        our_rlp.decode(oracle.encode([[nested]]))


@given(st.integers(0, 1 << 256))
def test_numbers_are_big_endian_without_leading_zeros(value: int) -> None:
    assert our_rlp.number(value) == oracle.sedes.big_endian_int.serialize(value)
    if value < 1 << 256:
        assert our_rlp.read_number(our_rlp.number(value)) == value


def test_a_number_is_read_within_its_length_only() -> None:
    assert our_rlp.read_number(b"\xff" * 8, 8) == (1 << 64) - 1
    with pytest.raises(our_rlp.RlpError, match="9 bytes, at most 8"):
        our_rlp.read_number(b"\x01" + bytes(8), 8)
    with pytest.raises(our_rlp.RlpError, match="leading zeros"):
        our_rlp.read_number(b"\x00\x01")
    with pytest.raises(our_rlp.RlpError, match="expected a byte string, found a list"):
        our_rlp.read_number([])


def test_a_list_is_read_with_its_length() -> None:
    assert our_rlp.read_list([b"a"], 1) == [b"a"]
    with pytest.raises(our_rlp.RlpError, match="expected a list of 1 items, found 2"):
        our_rlp.read_list([b"a", b"b"], 1)
    with pytest.raises(our_rlp.RlpError, match="expected a list, found a byte string"):
        our_rlp.read_list(b"")
