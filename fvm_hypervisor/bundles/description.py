"""Description of a bundle, ready for JSON: actors, code, imports, exports and build record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fvm_hypervisor.builtin_actors.loader import bundle_record
from hypervisor.bundle import Bundle, runtime_marker
from hypervisor.bundle_library import release_of
from hypervisor.errors import BundleError, InvalidModule
from hypervisor.manifest import ACTOR_NAMES
from hypervisor.registry import NATIVE, Registry
from hypervisor.runtime import RuntimeServices
from runtimes.wasm import ExternKind, parse_module
from store.cid import show


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
