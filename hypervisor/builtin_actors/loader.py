"""The embedded bundle, its build record, and the states that its constructors write.

`scripts/build_guests.py` writes the bundle and its record, `tests/hypervisor/constructed_states.py` the
states. `hypervisor.bundles.bundle` parses the CAR.
"""

from __future__ import annotations

import json
from base64 import b32decode
from collections.abc import Container, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

_CODE_CID_BYTES: Final = 38
"""Length of a code CID in bytes: version, codec, and a BLAKE2b-256 multihash."""


class ActorRecord(NamedTuple):
    """One entry of the manifest: `cid` is the code CID as text, `size` the module's length in bytes."""

    cid: str
    size: int


class BundleRecord(NamedTuple):
    """Build record of the embedded bundle, and the version of builtin-actors that it follows.

    `manifest_root` is the root CID that identifies a bundle; `manifest_data` is the CID in the system actor's state.
    Both are text. `source_hash` is the SHA-256 of the Rust sources and the compiler's flags. `actors` is in manifest
    order.
    """

    version: int
    manifest_root: str
    manifest_data: str
    source_hash: str
    compiler: str
    flags: tuple[str, ...]
    actors: dict[str, ActorRecord]
    variants: dict[str, VariantRecord]


class VariantRecord(NamedTuple):
    """Build record of a variant of the bundle.

    It has the variant's roots, its version, its base variant, and the actors that differ from the bundle.
    """

    version: int
    base: str | None
    manifest_root: str
    manifest_data: str
    actors: dict[str, ActorRecord]


def bundle_bytes(variant: str | None = None) -> bytes:
    """Return an embedded bundle as CARv1: the manifest's root block, its data block, and a raw block per code CID.

    `variant` is a name in `bundle_record().variants`; its CAR starts with the blocks that differ from its base, and has
    no code that they replace. Raises FileNotFoundError for an unknown variant. It is not cached:
    `Bundle.embedded` caches the decoded blocks.
    """
    if variant is None:
        return files(__package__).joinpath("bundle.car").read_bytes()
    own = files(__package__).joinpath(f"{variant}.car").read_bytes()
    record = bundle_record()
    actors, base = record.variants[variant].actors, record.variants[variant].base
    of_base = record.actors | ({} if base is None else record.variants[base].actors)
    replaced = {_cid_bytes(of_base[name].cid) for name in actors if of_base[name] != actors[name]}
    return b"".join((own, *_sections_without(memoryview(bundle_bytes(base)), replaced)))


def _sections_without(car: memoryview, cids: Container[bytes]) -> Iterator[memoryview]:
    """Iterate over the sections of a CAR after its header, without those of some code CIDs."""
    _, position = _section(car, 0)
    while position < len(car):
        start, end = _section(car, position)
        if bytes(car[start : start + _CODE_CID_BYTES]) not in cids:
            yield car[position:end]
        position = end


def _section(car: memoryview, position: int) -> tuple[int, int]:
    """Return the start and the end of the content of a section, which follows its length, an unsigned varint."""
    start = 1 + next(index for index in range(position, len(car)) if car[index] < 0x80)
    return start, start + sum((byte & 0x7F) << 7 * index for index, byte in enumerate(car[position:start]))


def _cid_bytes(text: str) -> bytes:
    """Return a CID of version 1 in its binary form; `text` is in lower-case base32 after its prefix `b`."""
    return b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))


@cache
def bundle_record() -> BundleRecord:
    """Return the record that was written together with the embedded bundle."""
    record = json.loads(files(__package__).joinpath("bundle.json").read_text(encoding="utf-8"))
    actors = _actors(record.pop("actors"))
    variants = {
        name: VariantRecord(actors=_actors(entry.pop("actors")), **entry)
        for name, entry in record.pop("variants").items()
    }
    return BundleRecord(flags=tuple(record.pop("flags")), actors=actors, variants=variants, **record)


class ConstructedStates(NamedTuple):
    """States of singletons after their constructors: head CIDs as text by key, and the encoded blocks of all states.

    `hypervisor.bundles.genesis` computes a key from all that a constructor depends on.
    """

    heads: dict[str, str]
    blocks: tuple[bytes, ...]


@cache
def constructed_states() -> ConstructedStates:
    """Return the recorded states of the embedded bundles' singletons."""
    record = json.loads(files(__package__).joinpath("constructed.json").read_text(encoding="utf-8"))
    return ConstructedStates(record["heads"], tuple(bytes.fromhex(block) for block in record["blocks"]))


def _actors(entries: dict[str, Any]) -> dict[str, ActorRecord]:
    return {name: ActorRecord(**entry) for name, entry in entries.items()}
