"""The native runtime: calls between Python and guests compared with wasmtime-py, and a warm call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeVar

import wasmtime

from bench.bench_machine import EventCounter
from bench.data import BUNDLES
from bench.rows import Row, seconds
from hypervisor.builtin_actors.loader import bundle_bytes
from hypervisor.bundles.bundle import Bundle
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.modules import GuestModules
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import Linker, guest_engine
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import HostFunction, library

T = TypeVar("T")
CALLS = 300
CROSSINGS = 20_000
MEMORY_LIMIT, TABLE_LIMIT = 1 << 29, 20_000
WASM = b"\0asm"
OFFICIAL_BUNDLE = BUNDLES / "v18-mainnet.car"

GUEST = bytes(
    wasmtime.wat2wasm("""(module (import "env" "host" (func $host (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "invoke") (param i32) (result i32) (local i32)
        (if (local.get 0) (then (loop
            (drop (call $host (local.get 0) (i32.const 2)))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
        (i32.const 0)))""")
)


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    ours, theirs = on_a_thread(raw_crossings), wrapped_crossings()
    for name in ("enter a guest", "call a host function", "make and drop an instance"):
        note = f"{ours[name] * 1e6:.2f} us, wasmtime-py {theirs[name] * 1e6:.2f} us"
        yield Row(name, ours[name] / theirs[name], note)
    yield warm_call()
    yield passes()
    yield from loading()


def on_a_thread(work: Callable[[], T]) -> T:
    """Run work off the main thread, where guests may be called."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def raw_crossings() -> dict[str, float]:
    """Return seconds of each kind of crossing over `runtimes.wasmtime.raw`."""
    engine, lib = guest_engine(), library()
    linker = Linker(engine)
    linker.define("env", "host", b"\x7f\x7f", b"\x7f", HostFunction(lambda _environment, _caller, _slots, _count: 0))
    linked = linker.link(engine.compile(instrument(parse_module(GUEST))))

    def instance() -> Instance:
        made = Instance(lib, engine.pointer, MEMORY_LIMIT, TABLE_LIMIT)
        made.instantiate(linked.pointer)
        return made

    guest = instance()
    if not (guest.find_memory() and guest.find_gas(GAS_EXPORT.encode()) and guest.find_function(b"invoke")):
        raise RuntimeError("the guest lacks an export")

    guest.counter.value = 1 << 62
    return _crossings(guest.enter, lambda: guest.enter(0), lambda: instance().close())


def wrapped_crossings() -> dict[str, float]:
    """Return seconds of each kind of crossing through wasmtime-py's public interface."""
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    i32 = wasmtime.ValType.i32
    linker.define_func("env", "host", wasmtime.FuncType([i32(), i32()], [i32()]), lambda _first, _second: 0)
    module = wasmtime.Module(engine, GUEST)
    pre = linker.instantiate_pre(module)
    store = wasmtime.Store(engine)
    invoke: Any = pre.instantiate(store).exports(store)["invoke"]

    def instance() -> None:
        fresh = wasmtime.Store(engine)
        pre.instantiate(fresh)

    return _crossings(lambda crossings: invoke(store, crossings), lambda: invoke(store, 0), instance)


def _crossings(
    enter: Callable[[int], object], enter_idle: Callable[[], object], instance: Callable[[], object]
) -> dict[str, float]:
    return {
        "enter a guest": seconds(enter_idle, calls=CROSSINGS // 10),
        "call a host function": seconds(lambda: enter(CROSSINGS)) / CROSSINGS,
        "make and drop an instance": seconds(instance, calls=CROSSINGS // 40),
    }


def warm_call() -> Row:
    """Return a message to the example counter, in microseconds."""
    return Row("warm call of a native actor (counter)", seconds(EventCounter(None).count, calls=CALLS) * 1e6)


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


COLD, WARM = "16 official actors ready, nothing cached", "16 official actors ready, compiled before"


def loading() -> Iterator[Row]:
    """Yield milliseconds until a runtime has loaded an official bundle, on all cores, with cold and warm cache."""
    if not OFFICIAL_BUNDLE.is_file():
        yield from (Row(name, None, f"no bundle {OFFICIAL_BUNDLE.name}: set FVM_DATA") for name in (COLD, WARM))
        return
    modules = {cid: block for cid, block in Bundle.from_car(OFFICIAL_BUNDLE.read_bytes()).blocks if block[:4] == WASM}
    with TemporaryDirectory() as folder:
        cache = ModuleCache(Path(folder) / "modules")

        def load() -> None:
            GuestModules(guest_engine(), cache).compile_all(modules)

        start = perf_counter()
        load()
        cold = perf_counter() - start
        warm = seconds(load)
    size = sum(map(len, modules.values()))
    note = f"{OFFICIAL_BUNDLE.name}: {len(modules)} modules, {size / 1e6:.1f} MB, {os.cpu_count()} cores"
    yield Row(COLD, cold * 1e3, note)
    yield Row(WARM, warm * 1e3, note)
