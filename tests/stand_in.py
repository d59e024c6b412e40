"""A bundle that stands in for a release that is not at hand: an older one whose modules have other code CIDs.

Each WASM module gets a custom section, which no engine looks at, so all CIDs and the manifest are new, and what the
actors do is not. With it a test sees that a newer release, once added, is offered wherever official ones are.
"""

from __future__ import annotations

from pathlib import Path

from hypervisor.bundle import Bundle
from hypervisor.manifest import ACTOR_NAMES, Manifest
from store.car import write_car
from store.cid import RAW, cid_of
from store.codec import encode, link

SECTION = b"stand-in"


def stand_in(bundle: Bundle) -> Bundle:
    """The bundle under another manifest."""
    section = bytes([0, 1 + len(SECTION), len(SECTION)]) + SECTION
    modules = dict(bundle.blocks)
    changed = [modules[code] + section for code in bundle.manifest.codes]
    codes = [cid_of(module, RAW) for module in changed]
    data = encode([[name, link(code)] for name, code in zip(ACTOR_NAMES, codes, strict=True)])
    root = encode([1, link(cid_of(data))])
    manifest = Manifest(cid_of(data), tuple(codes))
    blocks = [(cid_of(root), root), (cid_of(data), data), *zip(codes, changed, strict=True)]
    return Bundle(cid_of(root), manifest, tuple(blocks))


def write_stand_in(source: Path, target: Path) -> Bundle:
    """The stand-in of a CAR file as a CAR file."""
    bundle = stand_in(Bundle.from_file(source))
    with target.open("wb") as file:
        write_car(file, [bundle.root], bundle.blocks)
    return Bundle.from_file(target)
