"""The KAMT, compared with trees of the official EVM actor, with a dict, and with malformed nodes."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.cid import RAW, cid_of, parse_cid, show
from store.codec import link
from store.trees.kamt import Kamt, KamtError
from tests.conftest import data_file, samples
from tests.store.stores import CountingStore

TOP = (1 << 256) - 1

# Keys with long common prefixes, since uniform keys would hardly ever share a slot.
WORDS = st.one_of(
    st.integers(0, 70),
    st.integers(0, 255).map(lambda bit: 1 << bit),
    st.integers(0, TOP),
    st.builds(lambda bit, low: TOP ^ (1 << bit) ^ low, st.integers(5, 255), st.integers(0, 31)),
    st.builds(lambda shift, low: (0xABCDEF << shift | low) & TOP, st.integers(20, 230), st.integers(0, 40)),
)
VALUES = st.integers(1, TOP)


def write_steps(case: dict[str, Any], *, reopen: bool) -> tuple[list[str], MemoryStore]:
    store = MemoryStore()
    tree = Kamt(store)
    roots = []
    for step in case["steps"]:
        for slot, value in step:
            tree.set(int(slot, 16), int(value, 16))
        root = tree.flush()
        roots.append(show(root))
        if reopen:
            tree = Kamt(store, root)
    return roots, store


@pytest.mark.parametrize("reopen", [False, True], ids=["kept", "reopened"])
def test_every_root_and_block_equals_the_official_evm_actors(reopen: bool) -> None:
    cases = json.loads(data_file("vectors/kamt/official_evm_actor.json").read_text())
    assert len(cases) > 30
    for case in cases:
        roots, store = write_steps(case, reopen=reopen)
        assert roots == case["roots"], case["name"]
        for text, block in case["final_blocks"].items():
            assert store.get(parse_cid(text)).hex() == block, case["name"]


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ({}, "bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay"),
        ({0: 1}, "bafy2bzaced72u7zr5shnkkr2rrdmpn5sqd35floqjef2p26ettoviudcxg462"),
        ({0: 1, 1: 2}, "bafy2bzaced5no5tqekexm5nsjnx7myfclcukpzbbwbsd27z4efzc3jmydblci"),
        ({0: 0x42, 1 << 255: 7}, "bafy2bzacecn3nxlff334cgskrxbyfyajgkho73bgg4hisnzh6uue2ebhv3ba6"),
    ],
)
def test_known_trees_have_the_networks_roots(slots: dict[int, int], text: str) -> None:
    tree = Kamt(MemoryStore())
    for slot, value in slots.items():
        tree.set(slot, value)
    assert show(tree.flush()) == text
    assert dict(tree.items()) == slots


@pytest.mark.parametrize(
    ("stored", "slot", "bits"),
    [
        ((), 7, 256),
        ((7,), 7, 0),
        ((7,), 6, 0),
        ((7,), 4, 1),
        ((0,), 1 << 255, 255),
        ((0,), 1 << 250, 250),
        (range(500), 500, 2),  # 500 to 503
        (range(500), 512, 9),  # 512 to 1023
        (range(512, 1000), 5, 9),  # 0 to 511
        ((1 << 200, (1 << 200) + 1), 5, 200),  # a link with an extension
    ],
)
def test_absent_bits_span_the_gap_around_a_slot(stored: Any, slot: int, bits: int) -> None:
    tree = Kamt(MemoryStore())
    tree.set_all([(each, 1) for each in stored])
    assert tree.absent_bits(slot) == bits


@pytest.mark.slow
@given(st.sets(WORDS, max_size=60), WORDS, st.booleans())
@settings(max_examples=samples(300), deadline=None)
def test_a_gap_is_empty_and_its_neighbourhood_is_not(stored: set[int], slot: int, reopen: bool) -> None:
    store = MemoryStore()
    tree = Kamt(store)
    tree.set_all([(each, 1) for each in stored])
    if reopen:
        tree = Kamt(store, tree.flush())
    bits = tree.absent_bits(slot)
    if slot in stored:
        assert bits == 0
    else:
        assert slot >> bits not in {each >> bits for each in stored}
        assert not stored or slot >> bits + 1 in {each >> bits + 1 for each in stored}


@given(st.lists(st.tuples(WORDS, st.one_of(st.just(0), VALUES), st.booleans()), max_size=60), st.randoms())
@settings(max_examples=samples(150), deadline=None)
def test_the_root_depends_on_the_content_alone(writes: list[tuple[int, int, bool]], random: Any) -> None:
    store = MemoryStore()
    tree = Kamt(store)
    model: dict[int, int] = {}
    for slot, value, reopen in writes:
        tree.set(slot, value)
        model[slot] = value
        assert tree.get(slot) == value
        if reopen:
            tree = Kamt(store, tree.flush())
    content = sorted((slot, value) for slot, value in model.items() if value)
    assert list(tree.items()) == content
    assert all(tree.get(slot) == value for slot, value in model.items())
    assert tree.is_empty == (not content)

    random.shuffle(content)
    fresh = Kamt(MemoryStore())
    for slot, value in content:
        fresh.set(slot, value)
    assert tree.flush() == fresh.flush()
    assert Kamt(store, tree.flush()).flush() == tree.flush()


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.dictionaries(WORDS, st.one_of(st.just(0), VALUES), max_size=40), st.booleans()), max_size=5)
)
@settings(max_examples=samples(150), deadline=None)
def test_slots_set_together_give_the_tree_of_slots_set_one_by_one(batches: list[tuple[dict[int, int], bool]]) -> None:
    store, model = MemoryStore(), dict[int, int]()
    together, apart = Kamt(store), Kamt(MemoryStore())
    for batch, reopen in batches:
        after = {slot: value for slot, value in (model | batch).items() if value}
        assert together.set_all(batch.items()) == (after != model)
        for slot, value in batch.items():
            apart.set(slot, value)
        model = after
        root = together.flush()
        assert root == apart.flush()
        assert dict(together.items()) == model
        if reopen:
            together = Kamt(store, root)


def test_slots_set_together_give_the_official_evm_actors_roots() -> None:
    for case in json.loads(data_file("vectors/kamt/official_evm_actor.json").read_text()):
        tree, roots = Kamt(MemoryStore()), []
        for step in case["steps"]:
            tree.set_all({int(slot, 16): int(value, 16) for slot, value in step}.items())
            roots.append(show(tree.flush()))
        assert roots == case["roots"], case["name"]


def test_setting_present_words_together_changes_nothing() -> None:
    store = CountingStore()
    tree = Kamt(store)
    words = {slot << 128: slot + 1 for slot in range(100)}
    assert tree.set_all(words.items())
    root = tree.flush()
    store.forget()
    assert not tree.set_all([*words.items(), (5000 << 128, 0)])
    assert tree.flush() == root
    assert store.writes == []


def test_a_key_under_the_wrong_path_is_refused() -> None:
    store = MemoryStore()
    wrong = put_object(store, [b"\x01", [{"v": [[b"\xff" * 32, b"\x01"]]}]])  # slot 0 of the root, but the path is 31
    with pytest.raises(KamtError, match="wrong path"):
        Kamt(store, wrong).set_all([(0, 1), (1, 1)])


def test_flush_writes_changed_nodes_only() -> None:
    store = CountingStore()
    tree = Kamt(store)
    for slot in range(2000):
        tree.set(slot << 128, slot + 1)
    root = tree.flush()
    assert len(store.writes) == len(set(store.writes)) == len(store)
    store.forget()
    tree.set(5000 << 128, 0)  # deletes an empty slot
    assert tree.flush() == root
    assert store.writes == []
    tree.set(7 << 128, 999)
    assert tree.flush() != root
    assert 1 < len(store.writes) <= 5  # a single path from root to leaf: 2,000 keys share all but about eleven bits
    tree.set(7 << 128, 8)
    assert tree.flush() == root


def test_a_read_loads_one_path_only_and_once() -> None:
    store = CountingStore()
    tree = Kamt(store)
    for slot in range(500):
        tree.set(slot << 240, 1)
    root = tree.flush()
    store.forget()
    tree = Kamt(store, root)
    assert tree.get(77 << 240) == 1
    assert tree.get(77 << 240) == 1
    assert 1 < len(store.reads) <= 4
    assert len(store.reads) == len(set(store.reads))


@pytest.mark.parametrize("word", [-1, 1 << 256])
def test_words_outside_256_bits_are_refused(word: int) -> None:
    tree = Kamt(MemoryStore())
    with pytest.raises(ValueError, match="256-bit"):
        tree.get(word)
    with pytest.raises(ValueError, match="256-bit"):
        tree.set(0, word)
    with pytest.raises(ValueError, match="256-bit"):
        tree.set_all([(0, word)])
    with pytest.raises(ValueError, match="256-bit"):
        tree.set_all([(word, 0)])


CHILD = link(cid_of(b"child"))
ENTRY = {"v": [[b"\x01", b"\x02"]]}


@pytest.mark.parametrize(
    "node",
    [
        None,
        [],
        [b"\x01"],
        [b"\x01", [], []],
        [1, []],
        [b"\x01", []],
        [b"", [ENTRY]],
        [b"\x00\x01", [ENTRY]],
        [b"\x01\x00\x00\x00\x00", [ENTRY]],
        [b"\x01", [{}]],
        [b"\x01", [{"v": []}]],
        [b"\x01", [{"v": [[b"\x01", b"\x02"], [b"\x02", b"\x02"]]}]],
        [b"\x01", [{"v": [[b"\x01"]]}]],
        [b"\x01", [{"v": [[b"\x00\x01", b"\x02"]]}]],
        [b"\x01", [{"v": [[b"\x01" * 33, b"\x02"]]}]],
        [b"\x01", [{"v": [[1, 2]]}]],
        [b"\x01", [{"x": [CHILD, 0, b""]}]],
        [b"\x01", [{"l": [CHILD, 0]}]],
        [b"\x01", [{"l": [b"child", 0, b""]}]],
        [b"\x01", [{"l": [link(cid_of(b"child", RAW)), 0, b""]}]],
        [b"\x01", [{"l": [CHILD, 3, b"\x00"]}]],
        [b"\x01", [{"l": [CHILD, -5, b""]}]],
        [b"\x01", [{"l": [CHILD, True, b""]}]],
        [b"\x01", [{"l": [CHILD, 5, b""]}]],
        [b"\x01", [{"l": [CHILD, 5, b"\xff"]}]],
        [b"\x01", [{"l": [CHILD, 255, bytes(32)]}]],
        [b"\x01", [{"l": [CHILD, 1 << 62, b""]}]],
    ],
)
def test_a_hostile_node_is_a_kamt_error(node: Any) -> None:
    store = MemoryStore()
    root = put_object(store, node)
    with pytest.raises(KamtError):
        Kamt(store, root)


def test_bytes_that_are_no_cbor_are_a_kamt_error() -> None:
    store = MemoryStore()
    root = cid_of(b"\xff")
    store.put(root, b"\xff")
    with pytest.raises(KamtError):
        Kamt(store, root)


def test_an_empty_node_below_the_root_is_a_kamt_error() -> None:
    store = MemoryStore()
    empty = put_object(store, [b"", []])
    tree = Kamt(store, put_object(store, [b"\x01", [{"l": [link(empty), 0, b""]}]]))
    with pytest.raises(KamtError):
        tree.get(0)


def test_a_chain_longer_than_a_key_is_a_kamt_error() -> None:
    store = MemoryStore()
    node = put_object(store, [b"\x01", [ENTRY]])
    for _ in range(60):
        node = put_object(store, [b"\x01", [{"l": [link(node), 0, b""]}]])
    with pytest.raises(KamtError):
        Kamt(store, node).get(0)
    with pytest.raises(KamtError):
        Kamt(store, node).set(0, 1)
    with pytest.raises(KamtError):
        Kamt(store, node).set(0, 0)
    with pytest.raises(KamtError):
        list(Kamt(store, node).items())


def test_kamt_key_under_wrong_path_raises_when_slot_is_needed() -> None:
    store = MemoryStore()
    foreign = put_object(store, [b"\x01", [{"v": [[b"\x80" + bytes(31), b"\x02"]]}]])
    tree = Kamt(store, foreign)
    assert tree.get(0) == 0
    with pytest.raises(KamtError):
        tree.set(0, 1)


@pytest.mark.parametrize("at_once", [False, True])
def test_written_nodes_stay_loaded(at_once: bool) -> None:
    """A read of a node costs gas; ref-fvm's tree keeps what it has flushed in the caches of its links."""
    store, rng = CountingStore(), Random(1)
    tree, words = Kamt(store), {rng.getrandbits(256): 1 for _ in range(200)}
    if at_once:
        tree.set_all(words.items())
    else:
        for slot, word in words.items():
            tree.set(slot, word)
    tree.flush()
    assert [tree.get(slot) for slot in words] == [*words.values()]
    assert store.reads == []
