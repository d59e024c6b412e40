"""The embedded bundle of built-in actors: its bytes, the record of its build, and the states its constructors write.

`hypervisor/builtin_actors/build.py` writes the bundle and its record, `tests/hypervisor/constructed_states.py` the
states. `hypervisor.bundles.bundle` parses the CAR.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class ActorRecord:
    """One entry of the manifest: `cid` is the code CID as text, `size` the module's length in bytes."""

    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class BundleRecord:
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
    variants: dict[str, "VariantRecord"]


@dataclass(frozen=True, slots=True)
class VariantRecord:
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

    `variant` is a name in `bundle_record().variants`; its CAR starts with the blocks that differ from its base.
    Raises FileNotFoundError for an unknown variant. It is not cached:
    `Bundle.embedded` caches the decoded blocks.
    """
    if variant is None:
        return files(__package__).joinpath("bundle.car").read_bytes()
    own = files(__package__).joinpath(f"{variant}.car").read_bytes()
    base = bundle_bytes(bundle_record().variants[variant].base)
    return own + base[_header_end(base) :]


def _header_end(car: bytes) -> int:
    """Return the offset after a CAR's header, whose length is an unsigned varint at the start."""
    last = next(index for index, byte in enumerate(car) if byte < 0x80)
    return last + 1 + sum((byte & 0x7F) << 7 * index for index, byte in enumerate(car[: last + 1]))


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


@dataclass(frozen=True, slots=True)
class ConstructedStates:
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
