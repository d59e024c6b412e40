"""HAMTs, and recorded trees of the main network.

- The HAMT, compared with a dict, under any order of operations, and with malformed nodes.
- HAMTs and AMTs of the main network from test vectors. Rewriting their contents must produce the same CIDs.

Its encoding is compared with the network's in test_cid.py and test_hamt.py.

Without the test data, the golden vectors written by the reference implementation are used.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_tools.laboratory.vectors.conformance import read_vectors
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, get_object, put_object
from store.car.files import read_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of, codec_of, parse_cid
from store.codec import decode, decode_strict, encode, link, unlink
from store.links import SECTOR_CODECS, links_of
from store.trees.amt import Amt, AmtError
from store.trees.hamt import Hamt, HamtError
from tests.conftest import data_file, fvm_data, samples
from tests.golden_cases import MESSAGE_FILES
from tests.store.stores import CountingStore

KEYS = st.one_of(st.integers(0, 40).map(lambda n: bytes((0, n))), st.binary(max_size=8))
VALUES = st.one_of(st.none(), st.integers(0, 100), st.binary(max_size=4), st.lists(st.integers(0, 3), max_size=3))
WRITE = st.tuples(KEYS, st.one_of(st.just("delete"), VALUES), st.booleans())


def neighbours(bits: int, count: int) -> list[bytes]:
    """Return keys whose hashes share their first bits, so that they meet in deep nodes."""
    found: list[bytes] = []
    number = 0
    while len(found) < count:
        key = b"neighbour %d" % number
        if int.from_bytes(sha256(key).digest()[:4], "big") >> (32 - bits) == 0:
            found.append(key)
        number += 1
    return found


NEIGHBOURS = neighbours(12, 8)


@pytest.mark.parametrize("bit_width", [2, 5, 8])
@given(writes=st.lists(st.one_of(WRITE, st.tuples(st.sampled_from(NEIGHBOURS), VALUES, st.booleans())), max_size=80))
@settings(max_examples=samples(120), deadline=None)
def test_random_writes_match_dict(bit_width: int, writes: list[tuple[bytes, Any, bool]]) -> None:
    store = MemoryStore()
    tree = Hamt(store, bit_width=bit_width)
    model: dict[bytes, Any] = {}
    for key, value, reopen in writes:
        if value == "delete":
            assert tree.delete(key) == (key in model)
            model.pop(key, None)
        else:
            tree.set(key, value)
            model[key] = value
        if reopen:
            tree = Hamt(store, tree.flush(), bit_width)
    assert dict(tree.items()) == model
    for key, _, _ in writes:
        assert (key in tree) == (key in model)
        assert tree.get(key) == model.get(key)


@pytest.mark.slow
@given(
    st.dictionaries(st.one_of(KEYS, st.sampled_from(NEIGHBOURS)), VALUES, max_size=60),
    st.lists(st.one_of(KEYS, st.sampled_from(NEIGHBOURS)), max_size=40),
    st.randoms(),
)
@settings(max_examples=samples(150), deadline=None)
def test_the_root_depends_on_the_content_alone(content: dict[bytes, Any], passing: list[bytes], random: Any) -> None:
    plain = Hamt(MemoryStore())
    for key, value in content.items():
        plain.set(key, value)
    root = plain.flush()

    store = MemoryStore()
    tree = Hamt(store)
    todo = [("set", key) for key in content] + [("pass", key) for key in passing if key not in content]
    random.shuffle(todo)
    for action, key in todo:
        tree.set(key, content[key] if action == "set" else "passing")
        if random.random() < 0.3:
            tree = _flushed(tree, store, reopen=random.random() < 0.5)
    for key in {key for action, key in todo if action == "pass"}:
        assert tree.delete(key)
        if random.random() < 0.3:
            tree = _flushed(tree, store, reopen=random.random() < 0.5)
    assert tree.flush() == root
    assert Hamt(store, root).flush() == root


def _flushed(tree: Hamt, store: MemoryStore, *, reopen: bool) -> Hamt:
    """Flush the tree; continue with the same object, which caches written nodes, or reload it."""
    root = tree.flush()
    return Hamt(store, root) if reopen else tree


def test_several_values_are_set_like_one_by_one() -> None:
    together, one_by_one = Hamt(MemoryStore()), Hamt(MemoryStore())
    entries = [(bytes([number % 7, number]), number) for number in range(40)] + [(b"\0\0", "again")]
    together.set_all(entries)
    for key, value in entries:
        one_by_one.set(key, value)
    assert dict(together.items()) == dict(entries)
    assert together.flush() == one_by_one.flush()


@pytest.mark.slow
def test_ten_thousand_entries_come_and_go() -> None:
    store = MemoryStore()
    tree = Hamt(store)
    empty = tree.flush()
    keys = [number.to_bytes(4, "big") for number in range(10_000)]
    for key in keys:
        tree.set(key, key)
    tree = Hamt(store, tree.flush())
    assert sum(1 for _ in tree.items()) == len(keys)
    for key in keys:
        assert tree.delete(key)
    assert tree.flush() == empty


def test_a_full_bucket_becomes_a_node_and_a_node_a_bucket_again() -> None:
    store = MemoryStore()
    tree = Hamt(store)
    for key in NEIGHBOURS[:3]:
        tree.set(key, 1)
    bucket = get_object(store, tree.flush())
    assert [key for key, _ in bucket[1][0]] == sorted(NEIGHBOURS[:3])
    tree.set(NEIGHBOURS[3], 1)
    assert isinstance(get_object(store, tree.flush())[1][0], CBORTag)
    tree.delete(NEIGHBOURS[3])
    assert get_object(store, tree.flush()) == bucket


def test_flush_writes_changed_nodes_only() -> None:
    store = CountingStore()
    tree = Hamt(store)
    for number in range(3000):
        tree.set(number.to_bytes(2, "big"), number)
    root = tree.flush()
    assert len(store.writes) == len(set(store.writes)) == len(store)
    store.forget()
    assert tree.flush() == root
    assert store.writes == []
    tree.set(b"\x00\x07", "new")
    tree.flush()
    assert 1 < len(store.writes) <= 4  # a single path from root to leaf
    tree.set(b"\x00\x07", 7)
    assert tree.flush() == root


@pytest.mark.parametrize("bit_width", [2, 5, 8])
@given(
    content=st.dictionaries(KEYS | st.sampled_from(NEIGHBOURS), st.integers(0, 100), max_size=80), loaded=st.booleans()
)
@settings(max_examples=samples(80), deadline=None)
def test_a_rewritten_tree_is_the_one_with_the_other_values(
    bit_width: int, content: dict[bytes, int], loaded: bool
) -> None:
    store = MemoryStore()
    tree = Hamt(store, bit_width=bit_width)
    for key, value in content.items():
        tree.set(key, value)
    root = tree.flush()
    if loaded:
        tree = Hamt(store, root, bit_width)
    seen: dict[bytes, int] = {}

    def change(key: bytes, value: int) -> int | None:
        seen[key] = value
        return 1000 + value if value % 3 == 0 else None

    other = Hamt(store, bit_width=bit_width)
    for key, value in content.items():
        other.set(key, value + 1000 if value % 3 == 0 else value)
    assert tree.rewrite(change) == other.flush()
    assert seen == content
    assert dict(tree.items()) == content
    assert tree.flush() == root


def test_a_tree_with_changes_is_not_rewritten() -> None:
    tree = Hamt(MemoryStore())
    tree.set(b"key", 1)
    with pytest.raises(HamtError, match="unflushed changes"):
        tree.rewrite(lambda _, value: value)


def test_a_failing_store_loses_no_change() -> None:
    class Failing(MemoryStore):
        full = True

        def put_many(self, blocks: Any) -> None:
            if self.full:
                raise OSError("disk full")
            super().put_many(blocks)

    store = Failing()
    tree = Hamt(store)
    tree.set(b"key", 1)
    with pytest.raises(OSError, match="disk full"):
        tree.flush()
    store.full = False
    assert Hamt(store, tree.flush()).get(b"key") == 1


def test_a_read_loads_one_path_only_and_once() -> None:
    store = CountingStore()
    tree = Hamt(store)
    for number in range(3000):
        tree.set(number.to_bytes(2, "big"), number)
    root = tree.flush()
    store.forget()
    tree = Hamt(store, root)
    assert tree.get(b"\x00\x07") == 7
    assert tree.get(b"\x00\x07") == 7
    assert 1 < len(store.reads) <= 4
    assert len(store.reads) == len(set(store.reads))


def test_a_missing_node_is_named() -> None:
    store = MemoryStore()
    with pytest.raises(BlockNotFound):
        Hamt(store, cid_of(b"nowhere"))
    key = NEIGHBOURS[0]
    slot = int.from_bytes(sha256(key).digest(), "big") >> 251
    root = put_object(store, [(1 << slot).to_bytes(4, "big").lstrip(b"\x00"), [link(cid_of(b"nowhere"))]])
    with pytest.raises(BlockNotFound) as found:
        Hamt(store, root).get(key)
    assert found.value.cid == cid_of(b"nowhere")


@pytest.mark.parametrize(
    "node",
    [
        None,
        {},
        [],
        [b""],
        [b"", [], []],
        ["", []],
        [b"", {}],
        [b"\x01", []],
        [b"", [[[b"k", 1]]]],
        [b"\x03", [[[b"k", 1]]]],
        [b"\x00\x01", [[[b"k", 1]]]],
        [b"\x01\x00\x00\x00\x00", [[[b"k", 1]]]],
        [b"\x01" * 100_000, [[[b"k", 1]]]],
        [b"\x01", [[]]],
        [b"\x01", [[[b"a", 1], [b"b", 1], [b"c", 1], [b"d", 1]]]],
        [b"\x01", [[[b"b", 1], [b"a", 1]]]],
        [b"\x01", [[[b"a", 1], [b"a", 1]]]],
        [b"\x01", [[[b"a"]]]],
        [b"\x01", [[[b"a", 1, 2]]]],
        [b"\x01", [[["a", 1]]]],
        [b"\x01", [[5]]],
        [b"\x01", [5]],
        [b"\x01", [{"0": link(cid_of(b"old form"))}]],
        [b"\x01", [link(cid_of(b"raw", RAW))]],
    ],
)
def test_a_hostile_node_is_a_hamt_error(node: Any) -> None:
    store = MemoryStore()
    with pytest.raises(HamtError):
        Hamt(store, put_object(store, node))


@pytest.mark.parametrize(
    "block", [b"", b"\xff", b"\x82", b"\x82\x41", b"\x82\x41\x01\x81\xd8\x2a\x41\x00", b"\x82\x41\x01\x81\xd8\x2b\x00"]
)
def test_bytes_that_are_no_node_are_a_hamt_error(block: bytes) -> None:
    store = MemoryStore()
    store.put(cid_of(block), block)
    with pytest.raises(HamtError):
        Hamt(store, cid_of(block))


def every_slot(child: Cid) -> Any:
    return [b"\xff" * 4, [link(child)] * 32]


def test_an_empty_node_below_the_root_is_a_hamt_error() -> None:
    store = MemoryStore()
    tree = Hamt(store, put_object(store, every_slot(put_object(store, [b"", []]))))
    with pytest.raises(HamtError):
        tree.get(b"k")


def test_underfilled_hamt_child_raises_hamt_error_on_delete() -> None:
    store = MemoryStore()
    tree = Hamt(store)
    tree.set(b"k", 1)
    slot = int.from_bytes(sha256(b"k").digest(), "big") >> 246 & 31
    lonely = put_object(store, [(1 << slot).to_bytes(4, "big").lstrip(b"\x00"), [[[b"k", 1]]]])
    with pytest.raises(HamtError):
        Hamt(store, put_object(store, every_slot(lonely))).delete(b"k")


def test_a_store_that_answers_with_a_cycle_ends_in_a_hamt_error() -> None:
    class Lying(MemoryStore):
        def get(self, cid: Cid) -> bytes:
            return super().get(root)

    store = Lying()
    root = put_object(store, every_slot(cid_of(b"any")))
    with pytest.raises(HamtError):
        Hamt(store, root).get(b"k")
    with pytest.raises(HamtError):
        Hamt(store, root).set(b"k", 1)
    with pytest.raises(HamtError):
        Hamt(store, root).delete(b"k")
    with pytest.raises(HamtError):
        list(Hamt(store, root).items())


@pytest.mark.parametrize("bit_width", [0, 9])
def test_a_bit_width_that_cannot_be_is_refused(bit_width: int) -> None:
    with pytest.raises(ValueError, match="bit width"):
        Hamt(MemoryStore(), bit_width=bit_width)


def test_links_are_values_too() -> None:
    store = MemoryStore()
    tree = Hamt(store)
    tree.set(b"k", [link(cid_of(b"x")), None])
    assert unlink((Hamt(store, tree.flush()).get(b"k") or [])[0]) == cid_of(b"x")


PER_METHOD = 2  # the smallest vectors of each method of an actor
PER_FILE = 20  # the first golden vectors


@cache
def recorded() -> tuple[tuple[dict[str, Any], dict[Cid, bytes]], ...]:
    if fvm_data() is None:
        files = (islice(read_vectors(path), PER_FILE) for path in MESSAGE_FILES)
        return tuple((vector, _archive(vector)) for vectors in files for vector in vectors)
    folder = data_file("vectors/fvm-nv18")
    paths = sorted(folder.rglob("*.json"), key=lambda path: (path.stat().st_size, path.name))
    methods: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        methods.setdefault(path.relative_to(folder).parts[:2], []).append(path)
    return tuple(_load(path) for group in methods.values() for path in group[:PER_METHOD])


def _load(path: Path) -> tuple[dict[str, Any], dict[Cid, bytes]]:
    vector = json.loads(path.read_text())
    return vector, _archive(vector)


def _archive(vector: dict[str, Any]) -> dict[Cid, bytes]:
    return dict(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))


def blocks() -> Iterator[tuple[MemoryStore, Cid, bytes]]:
    for _, archive in recorded():
        store = MemoryStore()
        store.put_many(archive.items())
        for cid, data in archive.items():
            if codec_of(cid) == DAG_CBOR:
                yield store, cid, data


def hamt_entries(store: MemoryStore, node: Any) -> Iterator[tuple[bytes, Any]]:
    """Return the entries of a HAMT whose nodes were recorded, read without our HAMT."""
    for pointer in node[1]:
        if isinstance(pointer, list):
            yield from pointer
        elif store.has(unlink(pointer)):
            yield from hamt_entries(store, get_object(store, unlink(pointer)))


def amt_entries(store: MemoryStore, node: Any, width: int, height: int, base: int) -> Iterator[tuple[int, Any]]:
    """Return the values of an AMT whose nodes were recorded, read without our AMT."""
    bitmap, links, values = node
    slots = [slot for slot in range(1 << width) if bitmap[slot // 8] >> slot % 8 & 1]
    for slot, item in zip(slots, links or values, strict=True):
        index = base + (slot << width * height)
        if height == 0:
            yield index, item
        elif store.has(unlink(item)):
            yield from amt_entries(store, get_object(store, unlink(item)), width, height - 1, index)


@pytest.mark.slow
def test_state_blocks_are_canonical_and_encode_to_themselves() -> None:
    count = 0
    for _, _, data in blocks():
        assert encode(decode_strict(data)) == data
        count += 1
    assert count > 500


@pytest.mark.slow
def test_link_scan_matches_decoded_links() -> None:
    def walk(value: Any) -> Iterator[Cid]:
        if isinstance(value, list):
            for item in value:
                yield from walk(item)
        elif isinstance(value, dict):
            yield from walk(list(value.values()))
        elif isinstance(value, CBORTag):
            yield unlink(value)

    data_file("vectors/fvm-nv18")  # golden vectors contain identity CIDs with links in them
    for _, _, data in blocks():
        assert links_of(data, DAG_CBOR) == [cid for cid in walk(decode(data)) if codec_of(cid) not in SECTOR_CODECS]


@pytest.mark.slow
def test_the_networks_state_tree_is_rewritten_identically() -> None:
    for vector, archive in recorded():
        store = MemoryStore()
        store.put_many(archive.items())
        root = parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"])
        version, actors, _ = decode(store.get(root))
        assert version == 5
        tree = Hamt(store, unlink(actors))
        for actor_id in range(100):  # the singleton actors
            key = bytes((0, actor_id))
            with suppress(BlockNotFound):
                if (actor := tree.get(key)) is not None:
                    assert tree.delete(key)
                    assert key not in tree
                    tree.set(key, actor)
        assert tree.flush() == unlink(actors)


@pytest.mark.slow
def test_the_networks_hamts_are_rewritten_identically() -> None:
    count = 0
    for store, cid, data in blocks():
        with suppress(HamtError):  # another kind of block
            tree = Hamt(store, cid)
            entries = list(hamt_entries(store, decode(data)))
            with suppress(BlockNotFound):
                if any(key not in tree for key, _ in entries):  # an inner node
                    continue
                for key, value in reversed(entries):
                    assert tree.get(key) == value
                    tree.set(key, value)
                assert tree.flush() == cid
                count += len(entries)
    assert count > 1000


def test_the_networks_amts_are_rewritten_identically() -> None:
    data_file("vectors/fvm-nv18")  # golden vectors have few
    count = 0
    for store, cid, data in blocks():
        with suppress(AmtError):  # another kind of block
            array = Amt(store, cid)
            width, height, _, node = decode(data)
            for index, value in amt_entries(store, node, width, height, 0):
                assert array.get(index) == value
                array.set(index, value)
                count += 1
            assert array.flush() == cid
    assert count > 500
