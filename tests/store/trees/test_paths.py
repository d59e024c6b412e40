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
from store.trees.paths import Path, PathAbsent, PathError, PathStep, ProofError, prove, resolve, verify
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
