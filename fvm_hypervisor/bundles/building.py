"""A bundle like another one with some actors' code exchanged: what a proposal that changes an actor's method needs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from hypervisor.bundle import MAX_BUNDLE_BYTES, Bundle
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.manifest import ACTOR_NAMES
from hypervisor.user_files import read_bounded
from runtimes.wasm.module import parse
from runtimes.wasm.validate import check
from store.car import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link

_MANIFEST_VERSION = 1


def modules_in(folder: Path) -> dict[str, bytes]:
    """The modules in a folder, each by the name of its file: `datacap.wasm`. BundleError where there is none."""
    try:
        files = sorted(folder.glob("*.wasm"))
    except OSError as error:
        raise BundleError(f"the folder {folder} cannot be read: {error.strerror}") from None
    if not files:
        raise BundleError(f"{folder} has no modules: expected files such as datacap.wasm, named after their actors")
    return {file.stem: read_bounded(file, MAX_BUNDLE_BYTES, "module", BundleError) for file in files}


def make(modules: Mapping[str, bytes], base: Bundle | None = None) -> bytes:
    """The CAR of a bundle of modules by the names of their actors; of `base` those that are not among them.

    BundleError as `build`, and where actors are missing.
    """
    missing = [name for name in ACTOR_NAMES if name not in modules]
    if missing and base is None:
        raise BundleError(
            f"modules of {len(missing)} of {len(ACTOR_NAMES)} actors are missing: {', '.join(missing)}; take them from "
            "another bundle with --base, as in --base own-v19"
        )
    return build(base or Bundle.embedded(), modules)


def build(base: Bundle, modules: Mapping[str, bytes]) -> bytes:
    """The CAR of a bundle with other modules for some actors, by their names.

    BundleError for a name that no actor has, and for a module that the machine's rules refuse.
    """
    for name, module in modules.items():
        if name not in ACTOR_NAMES:
            raise BundleError(f"a bundle has no actor '{name}': expected one of {', '.join(ACTOR_NAMES)}")
        try:
            check(parse(module))
        except InvalidInput as error:
            raise BundleError(f"the module for {name} cannot run: {error}") from None
    held = dict(base.blocks)
    codes: dict[Cid, bytes] = {}
    rows = []
    for name, code in zip(ACTOR_NAMES, base.manifest.codes, strict=True):
        module = modules.get(name, held[code])
        own = cid_of(module, RAW)
        codes[own] = module
        rows.append([name, link(own)])
    data = encode(rows)
    root = encode([_MANIFEST_VERSION, link(cid_of(data, DAG_CBOR))])
    blocks = [(cid_of(root, DAG_CBOR), root), (cid_of(data, DAG_CBOR), data), *codes.items()]
    car = io.BytesIO()
    write_car(car, [blocks[0][0]], blocks)
    return car.getvalue()
