"""The embedded bundle, decoded with other CBOR and CID libraries and compared with the official one."""

import json
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from multiformats import CID, multihash, varint

from hypervisor.builtin_actors import loader
from scripts import build_guests
from tests.conftest import bundle_file


def car_blocks(data: bytes) -> Iterator[tuple[CID | None, bytes]]:
    """Return the sections of a CARv1: the header without a CID, then each block with its own."""
    rest = memoryview(data)
    while rest:
        length, _, rest = varint.decode_raw(rest)
        section, rest = bytes(rest[:length]), rest[length:]
        if section[:1] == b"\xa2":
            yield None, section
            continue
        cid = CID.decode(section[:38])
        yield cid, section[38:]


@pytest.fixture(scope="module")
def blocks() -> list[tuple[CID | None, bytes]]:
    return list(car_blocks(loader.bundle_bytes()))


@pytest.fixture(scope="module")
def manifest(blocks: list[tuple[CID | None, bytes]]) -> list[Any]:
    manifest = dag_cbor.decode(blocks[2][1])
    assert isinstance(manifest, list)
    return manifest


def official_names() -> list[str]:
    official = list(car_blocks(bundle_file("bundles/v18-devnet.car").read_bytes()))
    root = next(data for cid, data in official if cid is not None and cid.codec.name == "dag-cbor")
    decoded: Any = dag_cbor.decode(root)
    _, data_cid = decoded
    entries: Any = dag_cbor.decode(next(data for cid, data in official if cid == data_cid))
    return [name for name, _ in entries]


def test_every_block_has_the_cid_of_its_content(blocks: list[tuple[CID | None, bytes]]) -> None:
    for cid, data in blocks[1:]:
        assert cid is not None
        assert cid.hashfun.name == "blake2b-256"
        assert multihash.digest(data, "blake2b-256") == cid.digest


def test_the_car_holds_root_manifest_and_code_in_that_order(blocks: list[tuple[CID | None, bytes]]) -> None:
    header: Any = dag_cbor.decode(blocks[0][1])
    (root, root_data), (data, _) = blocks[1], blocks[2]
    assert header == {"roots": [root], "version": 1}
    assert dag_cbor.decode(root_data) == [1, data]
    assert {cid.codec.name for cid, _ in blocks[3:] if cid} == {"raw"}


@pytest.mark.parametrize(
    ("variant", "root"),
    [
        (None, "bafy2bzacec6n4db4sol4bvol5foua5r4dpvphsw7jc7n5beho6nqlljnpbx3s"),
        ("supply-share", "bafy2bzacedh4g2x33uhjxydbylapsetlqjnyuhumpzpdj2pnksgunviis3vlk"),
        ("v19", "bafy2bzacebey5hof72wlvckm2vdy5xnxsfrvg27thapc7ckdbca52swbjzp4e"),
        ("m2-native", "bafy2bzaceaqgzfxxuvvj3bzbyh7gcxhtjeuzreivtbeuess2qpvevxnmaij4o"),
        ("v19-m2-native", "bafy2bzacedxt7ultki7ujeusrgvzewhkq7jc4pmmczpmk5vwfymrxzkrsjk42"),
    ],
)
def test_manifest_root_is_that_of_version_0_2(variant: str | None, root: str) -> None:
    """A root names all code CIDs, so a state of version 0.2 opens with the same actors."""
    assert next(cid.encode("base32") for cid, _ in car_blocks(loader.bundle_bytes(variant)) if cid) == root


def test_manifest_has_official_names_in_official_order(manifest: list[Any]) -> None:
    assert [name for name, _ in manifest] == official_names()


def test_every_actor_has_code_of_its_own(manifest: list[Any], blocks: list[tuple[CID | None, bytes]]) -> None:
    codes = [code for _, code in manifest]
    assert len(set(codes)) == 16
    assert codes == [cid for cid, _ in blocks[3:]]


@pytest.mark.parametrize("variant", loader.bundle_record().variants)
def test_variant_has_only_the_code_of_its_manifest(variant: str) -> None:
    (_, data), *blocks = list(car_blocks(loader.bundle_bytes(variant)))[2:]
    listed: Any = dag_cbor.decode(data)
    assert {cid for cid, _ in blocks if cid and cid.codec.name == "raw"} == {code for _, code in listed}


def test_bundle_record_matches_bundle(manifest: list[Any], blocks: list[tuple[CID | None, bytes]]) -> None:
    record = loader.bundle_record()
    sizes = {cid: len(data) for cid, data in blocks}
    roots = [cid.encode("base32") for cid, _ in blocks[1:3] if cid]
    assert [record.manifest_root, record.manifest_data] == roots
    assert {name: (entry.cid, entry.size) for name, entry in record.actors.items()} == {
        name: (code.encode("base32"), sizes[code]) for name, code in manifest
    }


def test_the_bundle_was_built_from_the_sources_in_the_tree() -> None:
    assert loader.bundle_record().source_hash == build_guests.source_hash(build_guests.GUESTS), "run `make bundle`"


@pytest.mark.parametrize("folder", build_guests.STANDALONE, ids=attrgetter("name"))
def test_a_module_that_stands_alone_is_the_recorded_one(folder: Path) -> None:
    record = json.loads((folder / f"{folder.name}.json").read_text())
    assert record["source_hash"] == build_guests.source_hash(folder), "run `make bundle`"
    assert tuple(record.get("features", ())) == build_guests.FEATURES.get(folder, ())
    for feature, entry in {None: record, **record.get("features", {})}.items():
        module = build_guests.module_file(folder, feature).read_bytes()
        assert entry["size"] == len(module)
        assert CID.decode(entry["cid"]).digest == multihash.digest(module, "blake2b-256")
