"""Users' precompiles: Python functions and WASM modules.

The module exports `memory`, `allocate` (i32) -> (i32) and `run` (i32, i32) -> (i64), and imports nothing. Each call
uses a new instance: `allocate` returns an address for the calldata; `run` gets its address and length and returns the
output's address in the upper and its length in the lower 32 bits. A call that traps or exceeds a limit fails. Fuel
counts instructions, not time, so a call ends equally on every machine. Settings: `runtimes.wasmtime.engine`.

Users' precompiles: validation and execution. `hypervisor.precompiles` defines them.

A user's function cannot end the machine: if it raises or does not return bytes, the call fails like any precompile. Its
address must be free under every set of rules and in every network version, so that it always means the same.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Thread
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress, unmask_id
from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.precompiles import MAX_OUTPUT_BYTES, Precompile, PrecompileTable
from hypervisor.threads import once
from runtimes.evm.contracts.precompiles.ethereum import ETHEREUM
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.filecoin import FILECOIN
from runtimes.evm.contracts.rules import FILECOIN_PREFIX, P256_ADDRESS
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import GUEST_SETTINGS, CompiledModule, LinkedModule, Linker, WasmtimeEngine, trap_signals
from runtimes.wasmtime.instance import FueledInstance
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


_OWN_NAMES: Final = frozenset({*ETHEREUM, *FILECOIN, "point_evaluation"})
_SHOWN: Final = 500
"""Maximum number of characters shown of a user function's error."""


def build_table(rows: Sequence[Precompile]) -> PrecompileTable:
    """Return the table of users' precompiles, with modules compiled. Raises InvalidInput and InvalidModule."""
    found: dict[bytes, Precompile] = {}
    names: set[str] = set()
    for row in rows:
        _check_address(row)
        if row.name in _OWN_NAMES:
            raise InvalidInput(f"precompile '{row.name}' has the name of a built-in precompile: choose another name")
        if row.name in names:
            raise InvalidInput(f"precompile '{row.name}' is registered twice: use different names")
        if row.at in found:
            raise InvalidInput(
                f"precompiles '{found[row.at].name}' and '{row.name}' are both at {row.address}: "
                "use different addresses"
            )
        names.add(row.name)
        found[row.at] = replace(row, function=wasm_function(row), module=b"") if row.module else row
    return PrecompileTable(found)


def run_registered(row: Precompile, data: bytes) -> bytes:
    """Return the output of a user's precompile. Raises PrecompileFailure with the reason; its price is charged."""
    function = row.function
    assert function is not None, "every precompile of a table must have a function"
    try:
        output = function(data)
    except PrecompileFailure:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's function may raise anything: its call fails
        raise PrecompileFailure(f"it raised {type(error).__name__}{_error_text(error)}") from None
    if type(output) is not bytes:
        raise PrecompileFailure(f"it returned a value of type {type(output).__name__}, expected bytes")
    if len(output) > MAX_OUTPUT_BYTES:
        raise PrecompileFailure(f"it returned {len(output):,} bytes, the limit is {MAX_OUTPUT_BYTES:,}")
    return output


def _error_text(error: BaseException) -> str:
    """Return the text of an error, if its class, which may be a user's, can be formatted."""
    try:
        return f": {error!s:.{_SHOWN}}"
    except Exception:  # noqa: BLE001  # a user's `__str__` may raise anything
        return ""


def _check_address(row: Precompile) -> None:
    address = EthAddress(row.at)
    if not any(address):
        raise InvalidInput(f"precompile '{row.name}' cannot be at the zero address: choose another address")
    if unmask_id(address) is not None:
        raise InvalidInput(
            f"precompile '{row.name}' cannot be at {row.address}, the masked ID of an actor: choose another address"
        )
    if address == P256_ADDRESS or (address[0] in (0, FILECOIN_PREFIX) and not any(address[1:19])):
        raise InvalidInput(
            f"precompile '{row.name}' cannot be at {row.address}, which is built in or reserved: "
            "choose an address above 0x100, for example 0x0000000000000000000000000000000000000a11"
        )
