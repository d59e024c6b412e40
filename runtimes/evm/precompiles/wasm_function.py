"""A WASM module as a precompile: sandboxed, limited, and deterministic.

The module exports `memory`, `allocate` (i32) -> (i32) and `run` (i32, i32) -> (i64), and imports nothing. Each call
uses a new instance: `allocate` returns an address for the calldata; `run` gets its address and length and returns the
output's address in the upper and its length in the lower 32 bits. A call that traps or exceeds a limit fails. Fuel
counts instructions, not time, so a call ends equally on every machine. Settings: `runtimes.wasmtime.engine`.
"""

import ctypes
from collections.abc import Callable
from threading import Thread
from types import MappingProxyType
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.once import once
from hypervisor.precompiles import MAX_OUTPUT_BYTES, Precompile
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.cached_modules import load_or_compile
from runtimes.wasmtime.engine import (
    GUEST_SETTINGS,
    CompiledModule,
    LinkedModule,
    Linker,
    WasmtimeEngine,
    trap_signals,
)
from runtimes.wasmtime.fuel import FueledInstance
from runtimes.wasmtime.raw import Trap, library

FUEL: Final = 50_000_000
"""Fuel of one call, about one per instruction: 0.1 seconds."""
MEMORY: Final = 16 << 20
"""Maximum memory of a call in bytes."""
SECONDS: Final = 30
"""Timeout in seconds for compiling a module, which happens once."""
_STACK: Final = 256 << 10
"""Stack size in bytes; every thread has more."""
_TABLE: Final = 1_024
_I32, _I64 = 0x7F, 0x7E
_FUNCTIONS: Final = ((b"allocate", bytes([_I32]), bytes([_I32])), (b"run", bytes([_I32, _I32]), bytes([_I64])))
_LOW: Final = (1 << 32) - 1


def wasm_function(row: Precompile) -> Callable[[bytes], bytes]:
    """Return a module's function of the calldata, which raises PrecompileFailure. Raises InvalidModule."""
    label = f"precompile '{row.name}'"
    try:
        compiled = _compile(row.module, label)
        linked = Linker(_engine()).link(compiled)
        _check_exports(linked)
    except InvalidModule as error:
        raise InvalidModule(f"{label}: {error}") from None
    except Trap as trap:
        raise InvalidModule(f"{label}: the module cannot be instantiated: {_trap_text(trap)}") from None

    def run(data: bytes) -> bytes:
        return _run(linked, data)

    return run


def _compile(wasm: bytes, label: str) -> CompiledModule:
    """Compile the module within a time limit: a few thousand crafted bytes could take hours."""
    found: list[CompiledModule | Exception] = []

    def compile_it() -> None:
        try:
            found.append(load_or_compile(_engine(), wasm, ModuleCache(default_folder()), label))
        except Exception as error:  # noqa: BLE001  # raised by the waiting thread
            found.append(error)

    thread = Thread(target=compile_it, name="precompile-compiler", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not found:
        raise InvalidModule(f"the module was not compiled within {SECONDS} seconds: simplify it")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


@once
def _engine() -> WasmtimeEngine:
    """Return the process's engine for users' precompiles."""
    settings = GUEST_SETTINGS | {
        "consume_fuel": True, "wasm_multi_value": True, "memory_init_cow": False, "max_wasm_stack": _STACK,
    }  # fmt: skip
    return WasmtimeEngine(library(), MappingProxyType(settings))


def _check_exports(linked: LinkedModule) -> None:
    """Raise InvalidModule unless the module has the exports of a precompile."""
    instance = _instance(linked)
    try:
        if not instance.find_memory():
            raise InvalidModule("the module does not export a memory 'memory'")
        for name, parameters, results in _FUNCTIONS:
            if instance.function_type(name) != (parameters, results):
                raise InvalidModule(
                    f"the module does not export a function '{name.decode()}' {_shape(parameters)} -> {_shape(results)}"
                )
    finally:
        instance.close()


def _shape(types: bytes) -> str:
    return f"({', '.join('i32' if kind == _I32 else 'i64' for kind in types)})"


def _instance(linked: LinkedModule) -> FueledInstance:
    trap_signals().restore()
    engine = linked.linker.engine
    instance = FueledInstance(engine.lib, engine.pointer, MEMORY, _TABLE)
    try:
        instance.set_fuel(FUEL)
        instance.instantiate(linked.pointer)
    except BaseException:
        instance.close()
        raise
    return instance


def _run(linked: LinkedModule, data: bytes) -> bytes:
    try:
        instance = _instance(linked)
    except Trap as trap:
        raise PrecompileFailure(f"the module cannot be instantiated: {_trap_text(trap)}") from None
    try:
        instance.find_memory()
        pointer = instance.enter_function(b"allocate", len(data)) & _LOW
        base, size = instance.memory()
        if pointer + len(data) > size:
            raise PrecompileFailure(f"allocate({len(data)}) returned {pointer}, beyond the memory's {size:,} bytes")
        ctypes.memmove(base + pointer, data, len(data))
        packed = instance.enter_function(b"run", pointer, len(data))
        start, length = packed >> 32, packed & _LOW
        base, size = instance.memory()
        if length > MAX_OUTPUT_BYTES or start + length > size:
            raise PrecompileFailure(
                f"run returned {length:,} bytes at {start}, the limits are {MAX_OUTPUT_BYTES:,} and "
                f"the memory's {size:,}"
            )
        return ctypes.string_at(base + start, length)
    except Trap as trap:
        if instance.remaining_fuel() == 0:
            raise PrecompileFailure(f"the module exceeded the limit of {FUEL:,} instructions per call") from None
        raise PrecompileFailure(f"the module trapped: {_trap_text(trap)}") from None
    finally:
        instance.close()


def _trap_text(trap: Trap) -> str:
    """Return the cause of a trap, without wasmtime's list of frames."""
    lines = [line.strip() for line in str(trap).splitlines() if line.strip()]
    return lines[-1] if lines and lines[0].startswith("error while executing") else lines[0] if lines else "a trap"
