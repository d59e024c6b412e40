"""A WASM module as a precompile: sandboxed, bounded, and the same on every machine.

The module exports `memory`, `allocate` (i32) -> (i32) and `run` (i32, i32) -> (i64), and imports nothing. Each call has
an instance of its own: `allocate` gives a place for the calldata, `run` gets its place and length and returns the
output's place in the upper and its length in the lower 32 bits. A trap fails the call, and so does what passes a bound.
Fuel counts instructions, not time: a call that ends on one machine ends on all. Settings: `runtimes.wasmtime.engine`.
"""

import ctypes
from collections.abc import Callable
from threading import Thread
from types import MappingProxyType
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.once import once
from hypervisor.precompiles import LONGEST_OUTPUT, Precompile
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.counted import CountedInstance
from runtimes.wasmtime.engine import (
    GUEST_SETTINGS,
    CompiledModule,
    LinkedModule,
    Linker,
    WasmtimeEngine,
    trap_signals,
)
from runtimes.wasmtime.kept_modules import kept_or_compiled
from runtimes.wasmtime.raw import Trap, library

FUEL: Final = 50_000_000
"""Of one call, about one for each instruction: a tenth of a second."""
MEMORY: Final = 16 << 20
"""Bytes of one call's memory."""
SECONDS: Final = 30
"""For compiling a module, which is done once."""
_STACK: Final = 256 << 10
"""Bytes; any thread has more."""
_TABLE: Final = 1_024
_I32, _I64 = 0x7F, 0x7E
_FUNCTIONS: Final = ((b"allocate", bytes([_I32]), bytes([_I32])), (b"run", bytes([_I32, _I32]), bytes([_I64])))
_LOW: Final = (1 << 32) - 1


def wasm_function(row: Precompile) -> Callable[[bytes], bytes]:
    """A module's function of the calldata, which raises PrecompileFailure. Raises InvalidModule."""
    who = f"precompile '{row.name}'"
    try:
        compiled = _compiled(row.module, who)
        linked = Linker(_engine()).link(compiled)
        _check_exports(linked)
    except InvalidModule as error:
        raise InvalidModule(f"{who}: {error}") from None
    except Trap as trap:
        raise InvalidModule(f"{who}: no instance of the module can be made: {_words(trap)}") from None

    def run(data: bytes) -> bytes:
        return _run(linked, data)

    return run


def _compiled(wasm: bytes, who: str) -> CompiledModule:
    """The module as native code. A compiler takes hours for what some thousand bytes may say: it has its time."""
    found: list[CompiledModule | Exception] = []

    def compile_it() -> None:
        try:
            found.append(kept_or_compiled(_engine(), wasm, ModuleCache(default_folder()), who))
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            found.append(error)

    thread = Thread(target=compile_it, name="precompile-compiler", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not found:
        raise InvalidModule(f"the module is not compiled within {SECONDS} seconds: make it simpler")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


@once
def _engine() -> WasmtimeEngine:
    """The engine of users' precompiles. One for the process."""
    settings = GUEST_SETTINGS | {
        "consume_fuel": True, "wasm_multi_value": True, "memory_init_cow": False, "max_wasm_stack": _STACK,
    }  # fmt: skip
    return WasmtimeEngine(library(), MappingProxyType(settings))


def _check_exports(linked: LinkedModule) -> None:
    """InvalidModule unless the module has the exports that a precompile needs."""
    instance = _instance(linked)
    try:
        if not instance.find_memory():
            raise InvalidModule("the module exports no memory 'memory'")
        for name, parameters, results in _FUNCTIONS:
            if instance.function_type(name) != (parameters, results):
                raise InvalidModule(
                    f"the module exports no function '{name.decode()}' {_shape(parameters)} -> {_shape(results)}"
                )
    finally:
        instance.close()


def _shape(types: bytes) -> str:
    return f"({', '.join('i32' if kind == _I32 else 'i64' for kind in types)})"


def _instance(linked: LinkedModule) -> CountedInstance:
    trap_signals().keep()
    engine = linked.linker.engine
    instance = CountedInstance(engine.lib, engine.pointer, MEMORY, _TABLE)
    try:
        instance.fuel(FUEL)
        instance.instantiate(linked.pointer)
    except BaseException:
        instance.close()
        raise
    return instance


def _run(linked: LinkedModule, data: bytes) -> bytes:
    try:
        instance = _instance(linked)
    except Trap as trap:
        raise PrecompileFailure(f"no instance of the module can be made: {_words(trap)}") from None
    try:
        instance.find_memory()
        place = instance.enter_function(b"allocate", len(data)) & _LOW
        base, size = instance.memory()
        if place + len(data) > size:
            raise PrecompileFailure(f"allocate({len(data)}) gave {place}, beyond the memory's {size:,} bytes")
        ctypes.memmove(base + place, data, len(data))
        packed = instance.enter_function(b"run", place, len(data))
        start, length = packed >> 32, packed & _LOW
        base, size = instance.memory()
        if length > LONGEST_OUTPUT or start + length > size:
            raise PrecompileFailure(
                f"run gave {length:,} bytes at {start}: expected at most {LONGEST_OUTPUT:,} in the memory's {size:,}"
            )
        return ctypes.string_at(base + start, length)
    except Trap as trap:
        if instance.left() == 0:
            raise PrecompileFailure(f"the module used up {FUEL:,} instructions, which one call may take") from None
        raise PrecompileFailure(f"the module trapped: {_words(trap)}") from None
    finally:
        instance.close()


def _words(trap: Trap) -> str:
    """What ended a guest, without wasmtime's list of its functions."""
    lines = [line.strip() for line in str(trap).splitlines() if line.strip()]
    return lines[-1] if lines and lines[0].startswith("error while executing") else lines[0] if lines else "a trap"
