"""AMTs, tree nodes and RLE+ bitfields.

- The AMT, compared with a dict, under any order of operations, and with malformed roots and nodes.
- Nodes read without a decoder: the same result as with one, and no encoding reused that is not canonical.
- RLE+ bitfields. The encodings were executed on the official actors; the others follow from the specification.

Its encoding is compared with the network's in test_cid.py and test_hamt.py.
"""

import time
from typing import Any

import dag_cbor
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, get_object, put_object
from store.cid import RAW, Cid, cid_of
from store.codec import encode, link
from store.trees.amt import MAX_INDEX, Amt, AmtError
from store.trees.bitfield import BitfieldError, decode, decode_members, encode_members
from store.trees.bitfield import encode as encode_bitfield
from store.trees.hamt import Hamt, HamtError
from store.trees.nodes import read_link_node, split_pointers
from tests.conftest import samples
from tests.store.stores import CountingStore

INDICES = st.one_of(
    st.integers(0, 80),
    st.integers(0, MAX_INDEX),
    st.integers(0, 63).map(lambda bit: (1 << bit) - 1),
    st.just(MAX_INDEX),
)
VALUES = st.one_of(st.none(), st.integers(0, 100), st.binary(max_size=4))
WRITE = st.tuples(INDICES, st.one_of(st.just("delete"), VALUES), st.booleans())
WIDTHS = st.sampled_from([1, 2, 3, 4, 5, 8])


@pytest.mark.slow
@given(WIDTHS, st.lists(WRITE, max_size=60))
@settings(max_examples=samples(200), deadline=None)
def test_random_writes_match_dict(bit_width: int, writes: list[tuple[int, Any, bool]]) -> None:
    store = MemoryStore()
    array = Amt(store, bit_width=bit_width)
    model: dict[int, Any] = {}
    for index, value, reopen in writes:
        if value == "delete":
            assert array.delete(index) == (index in model)
            model.pop(index, None)
        else:
            array.set(index, value)
            model[index] = value
        if reopen:
            array = Amt(store, array.flush(), bit_width)
    assert list(array.items()) == sorted(model.items())
    assert array.count == len(model)
    for index, _, _ in writes:
        assert (index in array) == (index in model)
        assert array.get(index) == model.get(index)


@pytest.mark.slow
@given(WIDTHS, st.dictionaries(INDICES, VALUES, max_size=40), st.lists(INDICES, max_size=30), st.randoms())
@settings(max_examples=samples(200), deadline=None)
def test_the_root_depends_on_the_content_alone(
    bit_width: int, content: dict[int, Any], passing: list[int], random: Any
) -> None:
    plain = Amt(MemoryStore(), bit_width=bit_width)
    for index, value in sorted(content.items()):
        plain.set(index, value)
    root = plain.flush()

    store = MemoryStore()
    array = Amt(store, bit_width=bit_width)
    todo = [*content, *(index for index in passing if index not in content)]
    random.shuffle(todo)
    for index in todo:
        array.set(index, content.get(index, "passing"))
        if random.random() < 0.1:
            array = Amt(store, array.flush())
    for index in dict.fromkeys(todo):
        if index not in content:
            assert array.delete(index)
            if random.random() < 0.1:
                array = Amt(store, array.flush())
    assert array.flush() == root
    assert Amt(store, root).flush() == root


def test_from_values_numbers_them_from_zero() -> None:
    store = MemoryStore()
    root = Amt.from_values(store, (b"%d" % number for number in range(1000)), bit_width=5).flush()
    assert list(Amt(store, root, 5).items()) == [(number, b"%d" % number) for number in range(1000)]
    assert get_object(store, root)[:3] == [5, 1, 1000]


def test_deleting_amt_tail_restores_previous_root() -> None:
    store = MemoryStore()
    array = Amt(store)
    array.set(0, "only")
    root = array.flush()
    array.set(MAX_INDEX, "far")
    assert array.flush() != root
    assert array.delete(MAX_INDEX)
    assert array.flush() == root
    assert array.delete(0)
    assert array.flush() == Amt(MemoryStore()).flush()


def test_flush_writes_changed_nodes_only() -> None:
    store = CountingStore()
    array = Amt.from_values(store, range(4096))
    root = array.flush()
    assert len(store.writes) == len(set(store.writes)) == len(store)
    store.forget()
    assert array.flush() == root
    assert store.writes == []
    array.set(77, "new")
    array.flush()
    assert len(store.writes) == 4  # heights 0, 1, 2 and the root block, which holds the node of height 3
    array.set(77, 77)
    assert array.flush() == root


def test_a_read_loads_one_path_only_and_once() -> None:
    store = CountingStore()
    root = Amt.from_values(store, range(4096)).flush()
    store.forget()
    array = Amt(store, root)
    assert array.get(77) == array.get(77) == 77
    assert len(store.reads) == 4


@pytest.mark.parametrize("index", [-1, MAX_INDEX + 1])
def test_indices_outside_64_bits_are_refused(index: int) -> None:
    array = Amt(MemoryStore())
    for action in (array.get, array.delete, array.__contains__):
        with pytest.raises(ValueError, match="index"):
            action(index)
    with pytest.raises(ValueError, match="index"):
        array.set(index, 1)


@pytest.mark.parametrize("bit_width", [0, 19, -1])
def test_a_bit_width_that_cannot_be_is_refused(bit_width: int) -> None:
    with pytest.raises(ValueError, match="bit width"):
        Amt(MemoryStore(), bit_width=bit_width)


def test_another_bit_width_than_expected_is_an_amt_error() -> None:
    store = MemoryStore()
    root = Amt(store, bit_width=5).flush()
    assert Amt(store, root).flush() == root
    with pytest.raises(AmtError):
        Amt(store, root, 3)


EMPTY = [b"\x00", [], []]
ONE = [b"\x01", [], [7]]


@pytest.mark.parametrize(
    "root",
    [
        None,
        [],
        [3, 0, 0],
        [0, 0, EMPTY],
        [3, 0, 0, EMPTY, 0],
        [0, 0, 0, EMPTY],
        [19, 0, 0, EMPTY],
        [-1, 0, 0, EMPTY],
        [3, 22, 1, [b"\x01", [link(cid_of(b"x"))], []]],
        [3, 1 << 63, 1, [b"\x01", [link(cid_of(b"x"))], []]],
        [3, True, 1, ONE],
        [3, 0, "1", ONE],
        [3, 0, 0, None],
        [3, 0, 0, ONE],
        [3, 0, 1, EMPTY],
        [3, 1, 0, EMPTY],
        [3, 0, 1, [b"", [], [7]]],
        [3, 0, 1, [b"\x01\x00", [], [7]]],
        [3, 0, 1, [b"\x03", [], [7]]],
        [3, 0, 1, [b"\x01", [], [7, 8]]],
        [3, 0, 1, [b"\x01", [link(cid_of(b"x"))], [7]]],
        [3, 0, 1, [b"\x01", [link(cid_of(b"x"))], []]],
        [3, 1, 1, ONE],
        [3, 1, 1, [b"\x01", [7], []]],
        [3, 1, 1, [b"\x01", [link(cid_of(b"x", RAW))], []]],
        [2, 0, 1, [b"\x10", [], [7]]],
        [1, 0, 1, [b"\x04", [], [7]]],
        [5, 0, 1, ONE],
    ],
)
def test_a_hostile_root_is_an_amt_error(root: Any) -> None:
    store = MemoryStore()
    with pytest.raises(AmtError):
        Amt(store, put_object(store, root))


@pytest.mark.parametrize("node", [EMPTY, [b"\x01", [link(cid_of(b"x"))], []], None, [b"\x01", [], [7], 0]])
def test_a_hostile_node_is_an_amt_error(node: Any) -> None:
    store = MemoryStore()
    child = put_object(store, node)
    array = Amt(store, put_object(store, [3, 1, 1, [b"\x01", [link(child)], []]]))
    with pytest.raises(AmtError):
        array.get(0)
    with pytest.raises(AmtError):
        list(array.items())


@pytest.mark.parametrize("count", [1, 3, 2**64 - 1])
def test_emptying_an_array_with_a_wrong_count_is_an_amt_error(count: int) -> None:
    store = MemoryStore()
    array = Amt(store, put_object(store, [3, 0, count, [b"\x03", [], [7, 8]]]))
    with pytest.raises(AmtError, match="inconsistent"):
        _ = array.delete(0), array.delete(1)


def test_a_value_beyond_the_maximum_count_is_an_amt_error() -> None:
    store = MemoryStore()
    array = Amt(store, put_object(store, [3, 0, 2**64 - 1, ONE]))
    array.set(0, 8)
    with pytest.raises(AmtError, match="index 1 is absent"):
        array.set(1, 9)


def test_a_missing_node_is_a_missing_block() -> None:
    store = MemoryStore()
    array = Amt(store, put_object(store, [3, 1, 1, [b"\x01", [link(cid_of(b"nowhere"))], []]]))
    with pytest.raises(BlockNotFound):
        array.get(0)
    assert array.get(8) is None


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


CASES = [((), ""), ((0,), "0c"), ((0, 1), "54"), ((0, 2), "3c")]


@pytest.mark.parametrize(("members", "encoded"), CASES)
def test_members_are_encoded_and_decoded(members: tuple[int, ...], encoded: str) -> None:
    assert encode_members(members).hex() == encoded
    assert encode_members([*members, *members]).hex() == encoded
    assert decode_members(bytes.fromhex(encoded), 2) == list(members)


@pytest.mark.parametrize("members", [range(3, 40), (1 << 63,), (5, 1 << 40), range(15), range(16)])
def test_long_runs_are_decoded_again(members: list[int]) -> None:
    assert decode_members(encode_members(members), len(members)) == list(members)


def test_a_long_run_is_refused_before_it_is_expanded() -> None:
    run = encode_bitfield([0, 1 << 62])
    assert (decode(run), len(run)) == ([0, 1 << 62], 10)  # 3 bits, 00, and a varint of 9 bytes
    with pytest.raises(BitfieldError, match="more than 10000 members"):
        decode_members(run, 10_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("01", "unknown version"),
        ("0c00", "not the shortest"),
        ("00" + "ff" * 12, "more than 10 bytes|not the shortest"),
    ],
)
def test_malformed_bitfields_are_refused(data: str, words: str) -> None:
    with pytest.raises(BitfieldError, match=words):
        decode_members(bytes.fromhex(data), 100)


@pytest.mark.slow
def test_the_time_to_decode_grows_with_the_size() -> None:
    """Quadratic time would be minutes for the bitfields that a miner's state may hold."""
    runs = [1] * 800_000
    begun = time.process_time()
    assert decode(encode_bitfield(runs)) == runs
    assert time.process_time() - begun < 4
