"""The pinned configuration of wasmtime: two engines, compiled modules, linkers.

`guest` accepts what consensus allows and runs actors. `own` has what modules that we ship may use (SIMD, wide
arithmetic, multi-value); a user's module can never reach it, because `GuestModules` knows only `guest`. What the
switches of wasmtime do not refuse (start functions, extended constant expressions, reference types) `validate` and the
parser do. Every switch that bears on results or on compiled code is set here, not left to a default, and the
fingerprint of the settings is part of the key of cached artifacts. Rules: ref-fvm fvm/src/engine.
"""

import ctypes
import hashlib
import threading
import weakref
from ctypes import c_bool, c_char_p, c_size_t, c_uint8, c_uint64
from types import MappingProxyType
from typing import Any

from hypervisor.errors import InvalidModule, UnlinkableModule
from hypervisor.once import once
from runtimes.wasmtime.places import PLACES, can_reserve, reserve
from runtimes.wasmtime.raw import ByteVector, HostFunction, Library, library
from runtimes.wasmtime.trap_signals import TrapSignals

Setting = bool | int

_COMMON: dict[str, Setting] = {
    # Order matters: the stack of asynchronous calls must not be smaller than the largest WASM stack.
    "async_stack_size": 8 << 20,
    "max_wasm_stack": 4 << 20,
    "strategy": 1,
    "cranelift_opt_level": 1,
    "cranelift_nan_canonicalization": True,
    "cranelift_debug_verifier": False,
    "parallel_compilation": True,
    "debug_info": False,
    "native_unwind_info": False,
    "consume_fuel": False,
    "epoch_interruption": False,
    "signals_based_traps": True,
    "macos_use_mach_ports": False,
    "memory_may_move": False,
    "memory_init_cow": False,
    "shared_memory": False,
    "wasm_threads": False,
    "wasm_memory64": False,
    "wasm_multi_memory": False,
    "wasm_custom_page_sizes": False,
    "wasm_exceptions": False,
    "wasm_gc": False,
    "wasm_function_references": False,
    "wasm_stack_switching": False,
    "wasm_relaxed_simd": False,
    "wasm_component_model_async": False,
    "wasm_component_model": False,
    "gc_support": False,
    "concurrency_support": False,
    "wasm_bulk_memory": True,
    # Official bundles from v17 on encode the table of call_indirect in five bytes, which belongs to reference types;
    # every other part of that feature is refused by the parser (`module`, `code`).
    "wasm_reference_types": True,
}
GUEST_SETTINGS = MappingProxyType(
    _COMMON
    | {
        "wasm_simd": False,
        "wasm_multi_value": False,
        "wasm_tail_call": False,
        "wasm_wide_arithmetic": False,
        # A place that is used again is a mapping of the module's image, of which only what was written is put back.
        "memory_init_cow": True,
    }
)
OWN_SETTINGS = MappingProxyType(
    _COMMON
    | {
        "wasm_simd": True,
        "wasm_multi_value": True,
        "wasm_tail_call": True,
        "wasm_wide_arithmetic": True,
    }
)

_BYTE_SETTINGS = ("strategy", "cranelift_opt_level")


class WasmtimeEngine:
    """A wasmtime engine with fixed settings.

    It may have `places` for N instances, reserved beforehand (`places`): 0 is none.
    """

    def __init__(self, lib: Library, settings: MappingProxyType[str, Setting], places: int = 0) -> None:
        self.lib = lib
        self.settings = settings
        config = lib.bind("wasm_config_new", c_size_t)()
        configure(lib, config, settings)
        if places:
            reserve(lib, config, places)
        self.has_places = places > 0
        self._spare: WasmtimeEngine | None = None
        self._lock = threading.Lock()
        self._free = [None] * places  # one element for each free place: a list changes in one step on any thread
        self.pointer: int = lib.bind("wasm_engine_new_with_config", c_size_t, c_size_t)(config)
        _free_with(self, lib.bind("wasm_engine_delete", None, c_size_t), self.pointer)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the settings, for keys of cached artifacts."""
        return hashlib.blake2b(repr(sorted(self.settings.items())).encode(), digest_size=16).digest()

    def take_place(self) -> bool:
        """Whether there is a place for one more instance, which `give_place` then frees."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give_place(self) -> None:
        """A place is free again."""
        self._free.append(None)

    @property
    def spare(self) -> "WasmtimeEngine":
        """The engine of instances and modules for which there is no place: the same without places.

        What one of the two has compiled, the other can load.
        """
        with self._lock:
            if self._spare is None:
                self._spare = WasmtimeEngine(self.lib, self.settings)
            return self._spare

    def validate(self, wasm: bytes) -> None:
        """Type-check a module; raises InvalidModule with wasmtime's words."""
        check = self.lib.bind("wasmtime_module_validate", c_size_t, c_size_t, c_char_p, c_size_t, released=True)
        error = check(self.pointer, wasm, len(wasm))
        if error:
            raise InvalidModule(f"WASM module: {self.lib.take_error(error).splitlines()[0]}")

    def compile(self, wasm: bytes) -> "CompiledModule":
        """Compile a module, other Python threads running meanwhile; raises InvalidModule."""
        return self._module("wasmtime_module_new", wasm)

    def deserialize(self, artifact: bytes) -> "CompiledModule":
        """Load what `CompiledModule.serialize` gave. The bytes become native code: they must be trusted."""
        return self._module("wasmtime_module_deserialize", artifact)

    def _module(self, maker: str, data: bytes) -> "CompiledModule":
        make = self.lib.bind(maker, c_size_t, c_size_t, c_char_p, c_size_t, ctypes.c_void_p, released=True)
        pointer = c_size_t()
        error = make(self.pointer, data, len(data), ctypes.byref(pointer))
        if error and self.has_places:  # it may be larger than a place
            self.lib.take_error(error)
            return self.spare._module(maker, data)
        if error:
            raise InvalidModule(f"WASM module: {self.lib.take_error(error).splitlines()[0]}")
        return CompiledModule(self, pointer.value)


def configure(lib: Library, config: int, settings: MappingProxyType[str, Setting]) -> None:
    """Set every switch of a wasm_config_t."""
    for name, value in settings.items():
        kind: Any = c_bool if isinstance(value, bool) else c_uint8 if name in _BYTE_SETTINGS else c_uint64
        lib.bind(f"wasmtime_config_{name}_set", None, c_size_t, kind)(config, value)


class CompiledModule:
    """Native code of a module, for one engine."""

    def __init__(self, engine: WasmtimeEngine, pointer: int) -> None:
        self.engine = engine
        self.pointer = pointer
        _free_with(self, engine.lib.bind("wasmtime_module_delete", None, c_size_t), pointer)

    def serialize(self) -> bytes:
        """The native code as bytes."""
        vector = ByteVector()
        lib = self.engine.lib
        error = lib.bind("wasmtime_module_serialize", c_size_t, c_size_t, ctypes.c_void_p)(
            self.pointer, ctypes.byref(vector)
        )
        if error:
            raise InvalidModule(f"WASM module: {lib.take_error(error)}")
        return lib.take_bytes(vector)


class Linker:
    """The host functions that modules of one engine may import."""

    def __init__(self, engine: WasmtimeEngine) -> None:
        self.engine = engine
        self._callbacks: list[Any] = []  # must outlive the linker
        self.pointer: int = engine.lib.bind("wasmtime_linker_new", c_size_t, c_size_t)(engine.pointer)
        _free_with(self, engine.lib.bind("wasmtime_linker_delete", None, c_size_t), self.pointer)

    def define(self, module: str, name: str, params: bytes, results: bytes, callback: Any) -> None:
        """Define a host function; value types as in `module`. `callback` is a `raw.HostFunction`."""
        lib = self.engine.lib
        kind = _function_type(lib, params, results)
        define = lib.bind(
            "wasmtime_linker_define_func_unchecked", c_size_t, c_size_t, c_char_p, c_size_t, c_char_p, c_size_t,
            c_size_t, HostFunction, c_size_t, c_size_t,
        )  # fmt: skip
        origin, function = module.encode(), name.encode()
        error = define(self.pointer, origin, len(origin), function, len(function), kind, callback, 0, 0)
        lib.bind("wasm_functype_delete", None, c_size_t)(kind)
        if error:
            raise ValueError(lib.take_error(error))
        self._callbacks.append(callback)

    def link(self, module: CompiledModule) -> "LinkedModule":
        """Resolve a module's imports; raises InvalidModule where one is unknown or has another signature."""
        lib = self.engine.lib
        pointer = c_size_t()
        error = lib.bind("wasmtime_linker_instantiate_pre", c_size_t, c_size_t, c_size_t, ctypes.c_void_p)(
            self.pointer, module.pointer, ctypes.byref(pointer)
        )
        if error:
            raise UnlinkableModule(f"WASM module cannot be linked: {lib.take_error(error).splitlines()[0]}")
        return LinkedModule(self, pointer.value)


class LinkedModule:
    """A module with its imports resolved, from which instances are made."""

    def __init__(self, linker: Linker, pointer: int) -> None:
        self.linker = linker  # keeps the callbacks alive
        self.pointer = pointer
        _free_with(self, linker.engine.lib.bind("wasmtime_instance_pre_delete", None, c_size_t), pointer)


def _function_type(lib: Library, params: bytes, results: bytes) -> int:
    """A wasm_functype_t; one for each use, because wasmtime ties it to the engine that first sees it."""

    class ValueTypes(ctypes.Structure):
        _fields_ = (("size", c_size_t), ("data", ctypes.c_void_p))

    new_type = lib.bind("wasm_valtype_new", c_size_t, c_uint8)
    new_vector = lib.bind("wasm_valtype_vec_new", None, ctypes.c_void_p, c_size_t, ctypes.c_void_p)
    vectors = []
    for types in (params, results):
        pointers = (c_size_t * len(types))(*(new_type(0x7F - kind) for kind in types))
        vector = ValueTypes()
        new_vector(ctypes.byref(vector), len(types), pointers)
        vectors.append(vector)
    make = lib.bind("wasm_functype_new", c_size_t, ctypes.c_void_p, ctypes.c_void_p)
    pointer: int = make(ctypes.byref(vectors[0]), ctypes.byref(vectors[1]))
    return pointer


def _free_with(owner: Any, free: Any, pointer: int) -> None:
    """Free a pointer when its owner goes; not at exit, where the order of things is not ours."""
    weakref.finalize(owner, free, pointer).atexit = False


@once
def guest_engine() -> WasmtimeEngine:
    """The engine of actors. One for the process: an engine holds settings and no state of any execution."""
    return WasmtimeEngine(library(), GUEST_SETTINGS, PLACES if can_reserve(PLACES) else 0)


@once
def trap_signals() -> TrapSignals:
    """The signal handlers that wasmtime has set for the process, which the first engine makes it do."""
    guest_engine()
    return TrapSignals()


@once
def own_engine() -> WasmtimeEngine:
    """The engine of modules that this project ships."""
    return WasmtimeEngine(library(), OWN_SETTINGS)


@once
def profiling_engine() -> WasmtimeEngine:
    """The engine of profiled actors: that of actors, with a second memory for what is counted, and with ticks."""
    settings = GUEST_SETTINGS | {"wasm_multi_memory": True, "epoch_interruption": True}
    return WasmtimeEngine(library(), MappingProxyType(settings))
