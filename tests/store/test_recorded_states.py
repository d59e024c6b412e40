"""HAMTs and AMTs of the main network from test vectors. Rewriting their contents must produce the same CIDs.

Without the test data, the golden vectors written by the reference implementation are used.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, get_object
from store.car.files import read_car
from store.cid import DAG_CBOR, Cid, codec_of, parse_cid
from store.codec import decode, decode_strict, encode, unlink
from store.links import SECTOR_CODECS, links_of
from store.trees.amt import Amt, AmtError
from store.trees.hamt import Hamt, HamtError
from tests.conformance.golden import MESSAGE_FILES
from tests.conftest import data_file, fvm_data

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
