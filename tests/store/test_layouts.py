"""Layouts by name: iteration after a key continues a walk, and two roots differ like two maps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.layouts import Layout, LayoutError
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.nodes import MISSING

WORDS = st.one_of(st.integers(0, 300), st.integers(0, (1 << 256) - 1), st.integers((1 << 256) - 50, (1 << 256) - 1))


def check(store: Any, name: str, root: Any, more: list[Any]) -> None:
    layout = Layout(name)
    entries = list(layout.items(store, root))
    for place, (key, _) in enumerate(entries):
        assert list(layout.items(store, root, key)) == entries[place + 1 :]
    for key in more:  # absent keys: no entry is skipped or repeated
        rest = list(layout.items(store, root, key))
        assert rest == entries[len(entries) - len(rest) :]


@given(st.sets(st.binary(max_size=3), max_size=60), st.lists(st.binary(max_size=3), max_size=10), st.integers(1, 8))
def test_hamt_iteration_resumes_after_any_key(keys: set[bytes], others: list[bytes], width: int) -> None:
    store = MemoryStore()
    tree = Hamt(store, None, width)
    for key in keys:
        tree.set(key, len(key))
    check(store, f"HAMT{width}", tree.flush(), others)


@given(st.sets(st.one_of(st.integers(0, 200), st.integers(0, (1 << 64) - 2)), max_size=40), st.integers(1, 8))
def test_amt_iteration_resumes_after_any_index(indices: set[int], width: int) -> None:
    store = MemoryStore()
    array = Amt(store, None, width)
    for index in indices:
        array.set(index, index)
    root = array.flush()
    check(store, "AMT", root, [])
    for other in (0, 7, 1 << 40):
        assert [key for key, _ in Layout("AMT").items(store, root, other)] == sorted(i for i in indices if i > other)


@given(st.sets(WORDS, max_size=40), st.lists(WORDS, max_size=5))
def test_kamt_iteration_resumes_after_any_slot(slots: set[int], others: list[int]) -> None:
    store = MemoryStore()
    tree = Kamt(store)
    for slot in slots:
        tree.set(slot, 1)
    root = tree.flush()
    for after in [*slots, *others]:
        found = [key for key, _ in Layout("KAMT5").items(store, root, after.to_bytes(32, "big"))]
        assert found == [slot.to_bytes(32, "big") for slot in sorted(slots) if slot > after]


@pytest.mark.slow
def test_last_entries_of_large_map_are_read_with_few_blocks() -> None:
    store = MemoryStore()
    tree = Hamt(store)
    for number in range(100_000):
        tree.set(number.to_bytes(4, "big"), number)
    root = tree.flush()
    entries = list(tree.items())

    counting: Any = Counting(store)
    assert list(Layout("HAMT5").items(counting, root, entries[-50][0])) == entries[-49:]
    assert counting.reads < 40


def test_a_key_of_another_kind_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(LayoutError, match="keys of AMT must be numbers"):
        list(Layout("AMT").items(store, Amt(store).flush(), b"key"))
    with pytest.raises(LayoutError, match="keys of HAMT5 must be bytes"):
        list(Layout("HAMT5").items(store, Hamt(store).flush(), 7))


# --- differences ------------------------------------------------------------------------------------------------------

VALUES = st.integers(1, 3)


def differ(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    """Return the keys whose values differ, by comparing two dicts."""
    keys = before.keys() | after.keys()
    pairs = {key: (before.get(key, MISSING), after.get(key, MISSING)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] is not pair[1] and pair[0] != pair[1]}


def found(store: Any, name: str, before: Any, after: Any) -> dict[Any, Any]:
    entries = list(Layout(name).differences(store, before, after))
    made = {key: (old, new) for key, old, new in entries}
    assert len(made) == len(entries)
    return made


@given(
    st.dictionaries(st.binary(max_size=2), VALUES, max_size=60),
    st.dictionaries(st.binary(max_size=2), VALUES, max_size=60),
    st.integers(1, 8),
    st.booleans(),
)
def test_two_hamts_differ_as_two_dicts_do(
    before: dict[bytes, int], after: dict[bytes, int], width: int, grown: bool
) -> None:
    store = MemoryStore()
    after = {**before, **after} if grown else after
    roots = []
    for content in (before, after):
        tree = Hamt(store, None, width)
        for key, value in content.items():
            tree.set(key, value)
        roots.append(tree.flush())
    assert found(store, f"HAMT{width}", *roots) == differ(before, after)


INDICES = st.one_of(st.integers(0, 100), st.integers(0, 1 << 40))


@pytest.mark.slow
@given(st.dictionaries(INDICES, VALUES, max_size=30), st.dictionaries(INDICES, VALUES, max_size=30), st.integers(1, 8))
def test_two_amts_differ_as_two_dicts_do(before: dict[int, int], after: dict[int, int], width: int) -> None:
    store = MemoryStore()
    for second in (after, {**before, **after}, {}):
        roots = []
        for content in (before, second):
            array = Amt(store, None, width)
            for index, value in content.items():
                array.set(index, value)
            roots.append(array.flush())
        assert found(store, "AMT", *roots) == differ(before, second)


def test_amts_of_other_widths_are_compared_too() -> None:
    store = MemoryStore()
    roots = [Amt.from_values(store, [1, 2], width).flush() for width in (3, 5)]
    assert found(store, "AMT", *roots) == {}


@given(st.dictionaries(WORDS, VALUES, max_size=30), st.dictionaries(WORDS, VALUES, max_size=30))
def test_two_kamts_differ_as_two_dicts_do(before: dict[int, int], after: dict[int, int]) -> None:
    store = MemoryStore()
    for second in (after, {**before, **after}, {}):
        roots = []
        for content in (before, second):
            tree = Kamt(store)
            for slot, value in content.items():
                tree.set(slot, value)
            roots.append(tree.flush())
        words = differ(before, second)
        assert found(store, "KAMT5", *roots) == {
            slot.to_bytes(32, "big"): tuple(MISSING if word is MISSING else bytes([word]) for word in pair)
            for slot, pair in words.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HAMT5", "AMT", "KAMT5"])
def test_diff_of_large_trees_skips_shared_nodes(name: str) -> None:
    store = MemoryStore()
    tree: Any = {"HAMT5": Hamt, "AMT": Amt, "KAMT5": Kamt}[name](store)

    def key(number: int) -> bytes | int:
        return number.to_bytes(4, "big") if name == "HAMT5" else number * 977

    for number in range(20_000):
        tree.set(key(number), 1)
    before = tree.flush()
    tree.set(key(7_777), 2)
    after = tree.flush()
    counting: Any = Counting(store)
    ((_, old, new),) = Layout(name).differences(counting, before, after)
    assert (old, new) in ((1, 2), (b"\1", b"\2"))
    assert counting.reads < 60


class Counting:
    """A store that counts reads."""

    def __init__(self, store: Any) -> None:
        self.store, self.reads = store, 0

    def get(self, cid: Any) -> bytes:
        self.reads += 1
        return bytes(self.store.get(cid))
