"""Paths through a state and their proofs, verified with the root alone."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, StoreCorrupt, put_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode, link
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.nodes import MISSING
from store.trees.paths import (
    Layout,
    LayoutError,
    Path,
    PathAbsent,
    PathError,
    PathStep,
    ProofError,
    prove,
    resolve,
    verify,
)
from tests.conftest import samples


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="module")
def root(store: MemoryStore) -> Cid:
    """Return a state like the network's: a HAMT of actors, one with an AMT and one with a KAMT."""
    sectors = Amt(store, None, 5)
    for index in range(0, 2000, 7):
        sectors.set(index, [index, b"sector"])
    slots = Kamt(store)
    for slot in range(300):
        slots.set(slot * 2**240 + slot, slot + 1)
    miner = put_object(store, [link(sectors.flush()), {"owner": b"\x00\x65", "a/b~c": [None, True]}])
    contract = put_object(store, {"storage": link(slots.flush()), "code": link(cid_of(b"code", RAW))})
    actors = Hamt(store)
    for number in range(500):
        head = {100: miner, 101: contract}.get(number, cid_of(encode([number])))
        actors.set(bytes([0, number % 256, number // 256]), [link(head), number])
    return put_object(store, [5, link(actors.flush()), "info"])


MINER = "1/HAMT5:0x006400/0"
CONTRACT = "1/HAMT5:0x006500/0"

PRESENT: list[tuple[str, Any]] = [
    ("0", 5),
    ("2", "info"),
    (f"{MINER}/1/owner", b"\x00\x65"),
    (f"{MINER}/1/a~1b~0c/1", True),
    (f"{MINER}/1/a~1b~0c/0", None),
    (f"{MINER}/0/AMT:7", [7, b"sector"]),
    (f"{MINER}/0/AMT5:1995/0", 1995),
    (f"{CONTRACT}/storage/KAMT5:0x0005" + "00" * 28 + "0005", b"\x06"),
    (f"{CONTRACT}/code", link(cid_of(b"code", RAW))),
]

ABSENT = [
    "3",
    "1/HAMT5:0x0000",
    f"{MINER}/1/nobody",
    f"{MINER}/1/a~1b~0c/2",
    f"{MINER}/0/AMT:8",
    f"{MINER}/0/AMT:99999999999999999999999999",
    f"{MINER}/0/AMT:-1",
    f"{CONTRACT}/storage/KAMT5:0x01",
]


@pytest.mark.parametrize(("text", "value"), PRESENT)
def test_path_resolves_and_its_proof_verifies_without_store(
    store: MemoryStore, root: Cid, text: str, value: Any
) -> None:
    path = Path.parse(text)
    assert str(path) == text
    assert resolve(store, root, path) == value
    proof = prove(store, root, path)
    assert proof[0][0] == root
    assert len(proof) < 12
    assert verify(root, path, proof) == value
    assert verify(root, path, reversed(proof)) == value


@pytest.mark.parametrize("text", ABSENT)
def test_absence_is_proved_too(store: MemoryStore, root: Cid, text: str) -> None:
    path = Path.parse(text)
    with pytest.raises(PathAbsent, match="no value at"):
        resolve(store, root, path)
    proof = prove(store, root, path)
    with pytest.raises(PathAbsent):
        verify(root, path, proof)


@pytest.mark.parametrize("text", [*(text for text, _ in PRESENT[2:]), *ABSENT[1:]])
def test_tampered_proof_is_rejected(store: MemoryStore, root: Cid, text: str) -> None:
    path = Path.parse(text)
    proof = prove(store, root, path)
    rng = random.Random(text)
    for number, (cid, data) in enumerate(proof):
        with pytest.raises(ProofError, match="is missing from the proof"):
            verify(root, path, proof[:number] + proof[number + 1 :])
        changed = bytearray(data)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        with pytest.raises(ProofError, match=show(cid)):
            verify(root, path, [*proof[:number], (cid, bytes(changed)), *proof[number + 1 :]])
        with pytest.raises(ProofError):  # the same bytes under their own CID
            verify(root, path, [*proof[:number], (cid_of(bytes(changed)), bytes(changed)), *proof[number + 1 :]])
    with pytest.raises(ProofError, match="not part of the path"):
        verify(root, path, [*proof, (cid_of(b"more", RAW), b"more")])
    with pytest.raises(ProofError, match="is missing from the proof"):
        verify(cid_of(b"another root"), path, proof)


def test_a_proof_of_one_path_does_not_prove_another(store: MemoryStore, root: Cid) -> None:
    proof = prove(store, root, Path.parse(f"{MINER}/0/AMT:7"))
    with pytest.raises(ProofError):
        verify(root, Path.parse(f"{MINER}/0/AMT:1995"), proof)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0/1", "step '1' does not apply to a value of kind int"),
        ("1/HAMT5:0x006400/0/x", "'x' is not an index"),
        ("1/HAMT5:0x006400/0/01", "'01' is not an index"),
        ("2/HAMT5:0x00", "2 is not a link"),
        (f"{CONTRACT}/storage/KAMT5:0x" + "00" * 33, "32 bytes, not 33"),
    ],
)
def test_a_step_that_cannot_be_taken_is_an_error(store: MemoryStore, root: Cid, text: str, said: str) -> None:
    with pytest.raises(PathError, match=said):
        resolve(store, root, Path.parse(text))


@pytest.mark.parametrize("text", ["HAMT5:0xg", "HAMT9:0x00", "HAMT:00", "AMT:0x10", "TREE3:00", "KAMT4:00"])
def test_text_that_is_no_path_is_an_error(text: str) -> None:
    with pytest.raises(PathError, match="invalid path step"):
        Path.parse(text)


def test_layouts_take_their_own_keys(store: MemoryStore, root: Cid) -> None:
    for step in (PathStep(5, "HAMT5"), PathStep(b"\x00", "AMT")):
        with pytest.raises(PathError, match=r"keys of \w+ must be"):
            resolve(store, root, Path((PathStep("1"), step)))


def test_a_missing_or_unreadable_block_is_named(store: MemoryStore, root: Cid) -> None:
    with pytest.raises(BlockNotFound):
        resolve(store, root, Path.parse("1/HAMT5:0x000a00/0/0"))
    code = cid_of(b"\x82", RAW)
    raw = MemoryStore()
    raw.put(code, b"\x82")
    top = put_object(raw, [link(code)])
    with pytest.raises(StoreCorrupt, match=show(code)):
        resolve(raw, top, Path.parse("0/0"))
    with pytest.raises(ProofError, match="invalid proof"):
        verify(top, Path.parse("0/0"), [(top, raw.get(top)), (code, b"\x82")])


@given(st.lists(st.text(max_size=5).filter(lambda name: name not in ("", "HAMT5:")), max_size=5))
@settings(max_examples=samples(100), deadline=None)
def test_any_names_survive_being_written_and_read(names: list[str]) -> None:
    path = Path(tuple(PathStep(name) for name in names))
    try:
        assert Path.parse(str(path)) == path
    except PathError:
        assert any(":" in name for name in names)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    def __init__(self, store: Any) -> None:
        self.store, self.reads = store, 0

    def get(self, cid: Any) -> bytes:
        self.reads += 1
        return bytes(self.store.get(cid))
