"""wasmtime with pinned settings: engines, compiled modules, linkers, and epoch ticks.

The `guest` engine accepts what consensus allows and runs actors. The `own` engine allows the features used by modules
of this package (SIMD, wide arithmetic, multi-value); user modules cannot reach it, because `GuestModules` only uses
`guest`. Features that wasmtime cannot disable (start functions, extended constant expressions, reference types) are
rejected by `validate` and the parser. Every setting that affects results or compiled code is set explicitly, and the
fingerprint of the settings is part of the cache key. At each epoch tick, instances that follow an engine's epochs get a
callback on their threads. Rules: ref-fvm fvm/src/engine.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import signal
import sys
import threading
import time
import weakref
from ctypes import c_bool, c_char_p, c_size_t, c_uint8, c_uint64
from types import MappingProxyType
from typing import Any, Final

from hypervisor.errors import InvalidModule, UnlinkableModule
from hypervisor.threads import once
from runtimes.wasmtime.raw import ByteVector, HostFunction, Library, check_memory, library

POOL_SIZE: Final = 256
"""Number of slots, enough for all but the deepest nested calls. They reserve one TiB of address space."""

MEMORY_BYTES: Final = 512 << 20
TABLE_ELEMENTS: Final = 20_000
"""Maximum sizes of a memory and a table: those of consensus."""

_SETTINGS: Final = MappingProxyType(
    {
        "max_memory_size": MEMORY_BYTES,
        "table_elements": TABLE_ELEMENTS,
        "max_core_instance_size": 1 << 20,
        # Small guests only write to the first pages. An actor's memory begins with a mostly unused stack; releasing
        # the pages after it is faster than restoring them.
        "linear_memory_keep_resident": 1 << 14,
        "table_keep_resident": 1 << 16,
        "max_unused_warm_slots": 32,
    }
)
_COUNTS: Final = ("total_core_instances", "total_memories", "total_tables")
_SLOT_BYTES: Final = (4 << 30) + (128 << 20)
"""Address space of a slot: the range of a 32-bit address plus the guard region."""

_NO_RESERVE: Final = 0x4000
"""Linux's MAP_NORESERVE, which the mmap module has from Python 3.13 on."""


def can_reserve(slots: int) -> bool:
    """Return True if the system grants address space for the slots (tested on Linux only)."""
    if sys.platform != "linux":
        return False
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    try:
        mmap.mmap(-1, slots * _SLOT_BYTES, flags=flags, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def reserve(lib: Library, config: int, slots: int) -> None:
    """Enable pooled allocation in a wasm_config_t, which makes creating and dropping an instance five times as fast.

    A slot is address space for one memory and one table. The memory of a dozen slots stays warm between uses. Modules
    that do not fit, and all modules when the pool is full, are allocated on demand (`WasmtimeEngine.spare`); guests
    cannot observe this. Where address space is limited nothing is reserved, because wasmtime would abort the process.
    Settings: wasmtime's `PoolingAllocationConfig`.
    """
    pool: int = lib.bind("wasmtime_pooling_allocation_config_new", c_size_t)()
    for name, value in {**_SETTINGS, **dict.fromkeys(_COUNTS, slots)}.items():
        lib.bind(f"wasmtime_pooling_allocation_config_{name}_set", None, c_size_t, c_size_t)(pool, value)
    lib.bind("wasmtime_pooling_allocation_strategy_set", None, c_size_t, c_size_t)(config, pool)
    lib.bind("wasmtime_pooling_allocation_config_delete", None, c_size_t)(pool)


_SIGNALS: Final = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE")
_CHECKED_SIGNALS: Final = 2
"""Number of signals whose handler is compared, since libraries replace all four handlers or only that of SIGSEGV."""

_SIGACTION_SIZE: Final = 256
"""Buffer size in bytes that fits a `struct sigaction`, whose first field is the handler's address."""


class _SigactionBuffer(threading.local):
    """A thread's buffer for the current handler of a signal."""

    def __init__(self) -> None:
        self.data = ctypes.create_string_buffer(_SIGACTION_SIZE)
        self.handler = ctypes.c_void_p.from_buffer(self.data)


class TrapSignals:
    """The signal handlers that wasmtime installs with its first engine; `restore` puts them back if replaced.

    On Linux a guest's trap is a signal, which wasmtime's handlers turn into an error. Python's `faulthandler` replaces
    the handlers, as in pytest and notebooks. The next trap would then end the process. On other systems wasmtime does
    not use signals. Source: wasmtime crates/wasmtime/src/runtime/vm/sys/unix/signals.rs.
    """

    def __init__(self) -> None:
        self._saved: list[tuple[int, ctypes.Array[ctypes.c_char]]] = []
        self._watched: list[tuple[ctypes.c_int, int | None]] = []
        if sys.platform != "linux":
            return
        self._sigaction = ctypes.PyDLL(
            None
        ).sigaction  # no argument types: converting numbers takes longer than the call
        self._buffer = _SigactionBuffer()
        for number in (int(getattr(signal, name)) for name in _SIGNALS):
            saved = ctypes.create_string_buffer(_SIGACTION_SIZE)
            self._sigaction(number, None, saved)
            self._saved.append((number, saved))
        self._watched = [
            (ctypes.c_int(number), ctypes.c_void_p.from_buffer(saved).value)
            for number, saved in self._saved[:_CHECKED_SIGNALS]
        ]

    def restore(self) -> None:
        """Restore the handlers if they have changed."""
        for number, handler in self._watched:
            buffer = self._buffer
            self._sigaction(number, None, buffer.data)
            if buffer.handler.value != handler:
                for each, saved in self._saved:
                    self._sigaction(each, saved, None)
                return


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
    # the parser (`module`, `code`) rejects all other parts of that feature.
    "wasm_reference_types": True,
}
GUEST_SETTINGS = MappingProxyType(
    _COMMON
    | {
        "wasm_simd": False,
        "wasm_multi_value": False,
        "wasm_tail_call": False,
        "wasm_wide_arithmetic": False,
        # A reused pool slot is a mapping of the module's image, of which only written pages are restored.
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
    """A wasmtime engine with fixed settings, and with a pool of reserved instances unless `slots` is 0."""

    def __init__(self, lib: Library, settings: MappingProxyType[str, Setting], slots: int = 0) -> None:
        self.lib = lib
        self.settings = settings
        config = lib.bind("wasm_config_new", c_size_t)()
        configure(lib, config, settings)
        if slots:
            reserve(lib, config, slots)
        self.is_pooled = slots > 0
        self._spare: WasmtimeEngine | None = None
        self._lock = threading.Lock()
        self._free = [None] * slots  # one element per free slot: list operations are atomic
        self.pointer: int = lib.bind("wasm_engine_new_with_config", c_size_t, c_size_t)(config)
        _free_with(self, lib.bind("wasm_engine_delete", None, c_size_t), self.pointer)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the settings, for cache keys."""
        return hashlib.blake2b(repr(sorted(self.settings.items())).encode(), digest_size=16).digest()

    def acquire_slot(self) -> bool:
        """Take a slot in the pool for an instance, to be freed by `release_slot`; return False if none is free."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def release_slot(self) -> None:
        self._free.append(None)

    @property
    def spare(self) -> WasmtimeEngine:
        """The engine for instances and modules that do not fit in the pool: the same settings, without a pool.

        Each of the two engines can load what the other compiled.
        """
        with self._lock:
            if self._spare is None:
                self._spare = WasmtimeEngine(self.lib, self.settings)
            return self._spare

    def validate(self, wasm: bytes) -> None:
        """Type-check a module; raises InvalidModule with wasmtime's message."""
        check = self.lib.bind("wasmtime_module_validate", c_size_t, c_size_t, c_char_p, c_size_t, released=True)
        error = check(self.pointer, wasm, len(wasm))
        if error:
            raise InvalidModule(f"WASM module: {self.lib.take_error(error).splitlines()[0]}")

    def compile(self, wasm: bytes) -> CompiledModule:
        """Compile a module; the GIL is released meanwhile. Raises InvalidModule, and MemoryError without memory."""
        return self._module("wasmtime_module_new", wasm)

    def deserialize(self, artifact: bytes) -> CompiledModule:
        """Load the result of `CompiledModule.serialize`. The bytes become native code and must be trusted."""
        return self._module("wasmtime_module_deserialize", artifact)

    def _module(self, maker: str, data: bytes) -> CompiledModule:
        make = self.lib.bind(maker, c_size_t, c_size_t, c_char_p, c_size_t, ctypes.c_void_p, released=True)
        pointer = c_size_t()
        error = make(self.pointer, data, len(data), ctypes.byref(pointer))
        if error:
            text = self.lib.take_error(error)
            check_memory(text)
            if self.is_pooled:  # it may be larger than a slot
                return self.spare._module(maker, data)
            raise InvalidModule(f"WASM module: {text.splitlines()[0]}")
        return CompiledModule(self, pointer.value)


def configure(lib: Library, config: int, settings: MappingProxyType[str, Setting]) -> None:
    """Apply all settings to a wasm_config_t."""
    for name, value in settings.items():
        kind: Any = c_bool if isinstance(value, bool) else c_uint8 if name in _BYTE_SETTINGS else c_uint64
        lib.bind(f"wasmtime_config_{name}_set", None, c_size_t, kind)(config, value)


class CompiledModule:
    """The native code of a module, for one engine."""

    def __init__(self, engine: WasmtimeEngine, pointer: int) -> None:
        self.engine = engine
        self.pointer = pointer
        _free_with(self, engine.lib.bind("wasmtime_module_delete", None, c_size_t), pointer)

    def serialize(self) -> bytes:
        """Return the native code as bytes."""
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
        """Define a host function, a `raw.HostFunction`; value types as in `runtimes.wasm.module.parser`."""
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

    def link(self, module: CompiledModule) -> LinkedModule:
        lib = self.engine.lib
        pointer = c_size_t()
        error = lib.bind("wasmtime_linker_instantiate_pre", c_size_t, c_size_t, c_size_t, ctypes.c_void_p)(
            self.pointer, module.pointer, ctypes.byref(pointer)
        )
        if error:
            raise UnlinkableModule(f"WASM module cannot be linked: {lib.take_error(error).splitlines()[0]}")
        return LinkedModule(self, pointer.value)


class LinkedModule:
    """A module with resolved imports, ready to be instantiated."""

    def __init__(self, linker: Linker, pointer: int) -> None:
        self.linker = linker  # keeps the callbacks alive
        self.pointer = pointer
        _free_with(self, linker.engine.lib.bind("wasmtime_instance_pre_delete", None, c_size_t), pointer)


def _function_type(lib: Library, params: bytes, results: bytes) -> int:
    """Return a new wasm_functype_t; not shared, because wasmtime ties it to the first engine that uses it."""

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
    """Free a pointer when its owner is collected, but not at exit, where the order of finalizers is undefined."""
    weakref.finalize(owner, free, pointer).atexit = False


@once
def guest_engine() -> WasmtimeEngine:
    """Return the engine of actors; one per process, since an engine holds settings but no execution state."""
    return WasmtimeEngine(library(), GUEST_SETTINGS, POOL_SIZE if can_reserve(POOL_SIZE) else 0)


@once
def trap_signals() -> TrapSignals:
    """Return the process's wasmtime signal handlers, which creating the first engine installs."""
    guest_engine()
    return TrapSignals()


@once
def own_engine() -> WasmtimeEngine:
    """Return the engine for modules of this package."""
    return WasmtimeEngine(library(), OWN_SETTINGS)


@once
def profiling_engine() -> WasmtimeEngine:
    """Return the engine of profiled actors: the settings of actors plus a second memory and epoch interruption."""
    settings = GUEST_SETTINGS | {"wasm_multi_memory": True, "epoch_interruption": True}
    return WasmtimeEngine(library(), MappingProxyType(settings))


SECONDS: Final = 0.05
"""Seconds between two ticks."""


class Ticks:
    """A thread that increments an engine's epoch while instances are running."""

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._engine = engine
        self._tick = engine.lib.bind("wasmtime_engine_increment_epoch", None, c_size_t)
        self._at_work = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Register a running instance until `end`."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # threads do not survive a fork
                self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)
                self._thread.start()
            self._at_work += 1

    def end(self) -> None:
        """Unregister a running instance."""
        with self._lock:
            self._at_work -= 1

    def _run(self) -> None:
        while True:
            time.sleep(SECONDS)
            with self._lock:
                if not self._at_work:
                    self._thread = None
                    return
            self._tick(self._engine.pointer)
