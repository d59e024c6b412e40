"""Copies of a bundle with the code of some actors replaced, and the description of a bundle as JSON."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hypervisor.builtin_actors.loader import bundle_record
from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle, runtime_marker
from hypervisor.bundles.bundle_library import release_of
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError, InvalidInput, InvalidModule
from hypervisor.installation import read_bounded
from hypervisor.machine.registry import NATIVE, Registry, RuntimeServices
from runtimes.wasm import ExternKind, parse_module, validate_module
from store.car.files import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of, show
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


def describe(bundle: Bundle) -> dict[str, Any]:
    """Describe a bundle's manifest and its actors in manifest order; sizes are in bytes.

    `release` is the name of the matching official release, and `record` describes how one of our own bundles was
    built; otherwise both are None. Raises BundleError for code that is not WebAssembly.
    """
    release = release_of(bundle.root)
    modules = dict(bundle.blocks)
    return {
        "manifest_root": show(bundle.root),
        "manifest_data": show(bundle.manifest.data),
        "release": None if release is None else release.name,
        "size": sum(len(block) for _, block in bundle.blocks),
        "actors": [
            {"type": number, "name": name, "code": show(code)} | _module(name, modules[code])
            for number, (name, code) in enumerate(zip(ACTOR_NAMES, bundle.manifest.codes, strict=True), 1)
        ],
        "record": _record(bundle),
    }


def check_modules(bundle: Bundle) -> None:
    """Validate each module with the machine's checks. Raises BundleError with the name of the rejected actor."""
    modules = dict(bundle.blocks)
    registry = Registry(RuntimeServices(), {})
    for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=True):
        _, runtime = registry.runtime_for(code)
        try:
            runtime.prepare({code: modules[code]})
        except InvalidModule as error:
            raise BundleError(f"the code of {name} ({show(code)}) is refused: {error}") from None


def _module(name: str, code: bytes) -> dict[str, Any]:
    try:
        module = parse_module(code)
    except InvalidModule as error:
        raise BundleError(f"the code of {name} is not a WASM module: {error}") from None
    imports = [f"{entry.module}.{entry.name}" for entry in module.imported_functions]
    exports = [export.name for export in module.exports if export.kind == ExternKind.FUNCTION]
    return {
        "size": len(code),
        "runtime": runtime_marker(code) or NATIVE,
        "imports": sorted(imports),
        "exports": sorted(exports),
    }


def _record(bundle: Bundle) -> dict[str, Any] | None:
    """Return the build record of the embedded bundle or a variant; BundleError if it belongs to other code."""
    record = bundle_record()
    root = show(bundle.root)
    variant = next((entry for entry in record.variants.values() if entry.manifest_root == root), None)
    if variant is None and root != record.manifest_root:
        return None
    recorded = record.actors | ({} if variant is None else variant.actors)
    codes = {name: show(code) for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=True)}
    if {name: entry.cid for name, entry in recorded.items()} != codes:
        raise BundleError(f"the record of the bundle {root} names other code than its manifest: run `make bundle`")
    made = asdict(record)
    return {key: made[key] for key in ("source_hash", "compiler", "flags")}
