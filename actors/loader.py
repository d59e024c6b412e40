"""Reads the embedded bundle of built-in actors: its bytes, and the record of how it was made.

It leaves parsing the CAR to the reader of bundles; `actors/build.py` writes both files.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ActorRecord:
    """One entry of the manifest: `cid` is the code CID as text, `size` the module's length in bytes."""

    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """How the embedded bundle was made.

    `manifest_root` is what a network's bundle is known by, `manifest_data` what the system actor's state names (CIDs
    as text); `source_hash` is the sha-256 of the Rust sources and the compiler's flags; `actors` is in manifest order.
    """

    manifest_root: str
    manifest_data: str
    source_hash: str
    compiler: str
    flags: tuple[str, ...]
    actors: dict[str, ActorRecord]


@cache
def bundle_bytes() -> bytes:
    """The embedded bundle, a CARv1: the manifest's root block, its data block, and one raw block for each code CID."""
    return files(__package__).joinpath("bundle.car").read_bytes()


@cache
def bundle_record() -> BundleRecord:
    """The record that was written together with the embedded bundle."""
    record = json.loads(files(__package__).joinpath("bundle.json").read_text(encoding="utf-8"))
    actors = {name: ActorRecord(**entry) for name, entry in record.pop("actors").items()}
    return BundleRecord(flags=tuple(record.pop("flags")), actors=actors, **record)
