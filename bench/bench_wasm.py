"""The native runtime: time until the modules of a bundle can be run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.rows import Row, seconds
from hypervisor.builtin_actors.loader import bundle_bytes
from hypervisor.bundles.bundle import Bundle
from runtimes.wasm.module.encode import instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.modules import GuestModules
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import guest_engine
from tests.harness.paths import BUNDLES

WASM = b"\0asm"
OFFICIAL_BUNDLE = BUNDLES / "v18-mainnet.car"


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield passes()
    yield loading()


def passes() -> Row:
    """Return milliseconds to prepare the embedded bundle's modules without a cache."""
    modules = {block for _, block in Bundle.from_car(bundle_bytes()).blocks if block.startswith(WASM)}
    engine = guest_engine()
    instrumented = [instrument(parse_module(module)) for module in modules]
    parts = {
        "check": seconds(lambda: list(map(engine.validate, modules)), rounds=3) * 1e3,
        "instrument": seconds(lambda: [instrument(parse_module(module)) for module in modules], rounds=3) * 1e3,
        "compile": seconds(lambda: list(map(engine.compile, instrumented)), rounds=3) * 1e3,
    }
    size = sum(len(module) for module in modules)
    note = f"{len(modules)} modules, {size / 1000:.0f} kB"
    return Row("check, instrument and compile the embedded bundle", sum(parts.values()), note, parts)


def loading() -> Row:
    """Return milliseconds until a runtime has loaded an official bundle on all cores, without a cache."""
    name = "16 official actors ready, nothing cached"
    if not OFFICIAL_BUNDLE.is_file():
        return Row(name, None, f"no bundle {OFFICIAL_BUNDLE.name}: set FVM_DATA")
    modules = {cid: block for cid, block in Bundle.from_car(OFFICIAL_BUNDLE.read_bytes()).blocks if block[:4] == WASM}
    with TemporaryDirectory() as folder:
        start = perf_counter()
        GuestModules(guest_engine(), ModuleCache(Path(folder) / "modules")).compile_all(modules)
        cold = perf_counter() - start
    size = sum(map(len, modules.values()))
    note = f"{OFFICIAL_BUNDLE.name}: {len(modules)} modules, {size / 1e6:.1f} MB, {os.cpu_count()} cores"
    return Row(name, cold * 1e3, note)
