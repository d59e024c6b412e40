"""Copies of a bundle with the code of some actors replaced, for proposals that change an actor's methods."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from hypervisor.bundle import MAX_BUNDLE_BYTES, Bundle
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.manifest import ACTOR_NAMES
from hypervisor.user_files import read_bounded
from runtimes.wasm import parse_module, validate_module
from store.car import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link

_MANIFEST_VERSION = 1


def modules_in(folder: Path) -> dict[str, bytes]:
    """Read the modules in a folder by file name without `.wasm`. Raises BundleError if there are none."""
    try:
        files = sorted(folder.glob("*.wasm"))
    except OSError as error:
        raise BundleError(f"the folder {folder} cannot be read: {error.strerror}") from None
    if not files:
        raise BundleError(f"{folder} has no modules: expected files such as datacap.wasm, named after their actors")
    return {file.stem: read_bounded(file, MAX_BUNDLE_BYTES, "module", BundleError) for file in files}


def make(modules: Mapping[str, bytes], base: Bundle | None = None) -> bytes:
    """Return the CAR of a bundle with `modules` by actor name; the modules of other actors come from `base`.

    Raises BundleError in the same cases as `build`, and if modules are missing and there is no base.
    """
    missing = [name for name in ACTOR_NAMES if name not in modules]
    if missing and base is None:
        raise BundleError(
            f"modules of {len(missing)} of {len(ACTOR_NAMES)} actors are missing: {', '.join(missing)}; take them from "
            "another bundle with --base, as in --base own-v19"
        )
    return build(base or Bundle.embedded(), modules)


def build(base: Bundle, modules: Mapping[str, bytes]) -> bytes:
    """Return the CAR of a copy of `base` with the modules of some actors replaced, by actor name.

    Raises BundleError for an unknown actor name and for a module that fails validation.
    """
    for name, module in modules.items():
        if name not in ACTOR_NAMES:
            raise BundleError(f"a bundle has no actor '{name}': expected one of {', '.join(ACTOR_NAMES)}")
        try:
            validate_module(parse_module(module))
        except InvalidInput as error:
            raise BundleError(f"the module for {name} cannot run: {error}") from None
    content = dict(base.blocks)
    codes: dict[Cid, bytes] = {}
    rows = []
    for name, code in zip(ACTOR_NAMES, base.manifest.codes, strict=True):
        module = modules.get(name, content[code])
        own = cid_of(module, RAW)
        codes[own] = module
        rows.append([name, link(own)])
    data = encode(rows)
    root = encode([_MANIFEST_VERSION, link(cid_of(data, DAG_CBOR))])
    blocks = [(cid_of(root, DAG_CBOR), root), (cid_of(data, DAG_CBOR), data), *codes.items()]
    car = io.BytesIO()
    write_car(car, [blocks[0][0]], blocks)
    return car.getvalue()
