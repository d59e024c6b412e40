"""Replacement for an unavailable official release: an older bundle whose modules have other code CIDs.

Each WASM module gets a custom section, which engines ignore, so all CIDs and the manifest are new and the behaviour is
unchanged. Tests use it to check that an added release is offered wherever official ones are.
"""

from pathlib import Path

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from store.car.files import write_car
from store.cid import RAW, cid_of
from store.codec import encode, link

SECTION = b"stand-in"


def stand_in(bundle: Bundle) -> Bundle:
    """Return the bundle with other code CIDs and another manifest."""
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
    bundle = stand_in(Bundle.from_file(source))
    with target.open("wb") as file:
        write_car(file, [bundle.root], bundle.blocks)
    return Bundle.from_file(target)
