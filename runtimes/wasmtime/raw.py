"""The fast boundary to wasmtime: its C functions called through ctypes, without wrappers or checks.

wasmtime-py's own wrappers take 12-19 us to call a guest and 6-7 us for a host function; these calls take 0.3-0.7 us and
0.1-0.5 us. In return, callers must follow these rules; tests/runtimes/wasm/test_raw.py has a test for each:

1. The library is loaded with `PyDLL`, and callbacks are created with `PYFUNCTYPE`: the GIL stays held. With `CDLL`
   every crossing releases the GIL, which takes 100-230 us if another Python thread is busy. Compilation uses
   `released`, and so do guests if the process shares the interpreter (hypervisor/gil).
2. A host function catches BaseException, stores it, and returns a trap: an exception that leaves a ctypes callback is
   lost, and the callback's result is undefined.
3. Nothing may be raised before a host function's first `try`. So a guest is called on any thread except the main one,
   where Python runs signal handlers between any two instructions (`Instance.enter` refuses), and with much of the
   recursion limit left (hypervisor/deep_stack). A module without host functions may run anywhere (`enter_alone`).
4. Callback objects outlive the linker in which they are defined and all instances made from it.
5. A guest's memory grows but never moves (an engine setting): its size is read again before a slice beyond the last
   known end is rejected (`memory.GuestMemory`).
6. A guest's pointer is checked as a Python integer before memory is accessed (`memory.GuestMemory`).
7. Signatures are checked when a module is linked, never at run time: `invoke` must be (i32) -> i32.
8. A failure is reported as an error or as a trap: both pointers are checked and freed.
9. The layouts and names below are those of one wasmtime version; other versions are rejected with an error.
10. A guest's gas counter is read and written in place, in the instance's VMContext, and so are the address and size of
    its memory. A function of the guest leads to the context. The offsets are found once per module by comparing with
    values that wasmtime writes or returns (`Instance.find_gas`, `find_memory`); if a module's entry function is
    imported, these values are read through wasmtime's API instead.

Layouts in bytes: wasmtime_val_raw_t 16, wasmtime_val_t 32 (kind at 0, value at 8), wasmtime_extern_t 32 (kind at 0,
item at 8), wasmtime_instance_t 16, wasmtime_func_t 16, wasmtime_memory_t and wasmtime_global_t 24; VMFuncRef has the
context of its instance at 24, VMContext its kind at 0.
"""

import ctypes
import platform
import sys
import threading
from collections.abc import Callable
from ctypes import c_bool, c_int64, c_size_t, c_uint8, c_uint32, c_void_p
from importlib import metadata, util
from pathlib import Path
from typing import Any, Protocol

from hypervisor.errors import HypervisorError
from hypervisor.gil import GIL_POLICY
from hypervisor.once import once

WASMTIME_VERSION = "50.0.1"
TRAP_UNREACHABLE = 9
TRAP_NAMES = (
    "call stack exhausted",
    "memory access out of bounds",
    "misaligned memory access",
    "table access out of bounds",
    "indirect call to null",
    "indirect call with another signature",
    "integer overflow",
    "integer division by zero",
    "conversion of not-a-number to an integer",
    "unreachable instruction executed",
)
"""Messages by wasmtime's trap code. Higher codes belong to features that are disabled in all engines."""

HostFunction = ctypes.PYFUNCTYPE(c_size_t, c_size_t, c_size_t, c_size_t, c_size_t)
"""A host function: (environment, caller, arguments and results, their number) -> trap, 0 for none."""

EpochCallback = ctypes.PYFUNCTYPE(c_size_t, c_size_t, c_size_t, c_size_t, c_size_t)
"""A callback at an epoch tick: (context, environment, ticks until the next call, next action) -> error, 0 for none."""

EXTERN_FUNCTION, EXTERN_MEMORY = 0, 3
_EXTERN_FUNCTION, _EXTERN_GLOBAL, _EXTERN_MEMORY = 0, 1, 3
_VALUE_I64, _VALUE_FUNCTION = 1, 5
_CONTEXT_OF_FUNCTION = 24
_OWN_CONTEXT = int.from_bytes(b"core", "little")
"""Magic number at the beginning of an instance's context; contexts of host functions have another."""
_PROBE_VALUES = 0x5A17_C0DE_0F0F_3C3C, 0x0DD5_EED5_A5A5_9696
"""Counter values that are searched for to locate the counter; no guest runs meanwhile."""
_MAX_CONTEXT_SIZE = 1 << 20

_Memory = c_size_t * 2
"""Address and size in bytes of a memory, as stored for compiled code."""

# name: (result, arguments). None: the caller passes c_size_t objects that it reuses; plain integers would be truncated.
# Converting integers takes longer than the call itself, and these functions are called around every syscall.
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...] | None]] = {
    "wasmtime_store_new": (c_size_t, (c_size_t, c_size_t, c_size_t)),
    "wasmtime_store_delete": (None, (c_size_t,)),
    "wasmtime_store_context": (c_size_t, (c_size_t,)),
    "wasmtime_store_limiter": (None, (c_size_t, c_int64, c_int64, c_int64, c_int64, c_int64)),
    "wasmtime_store_epoch_deadline_callback": (None, (c_size_t, EpochCallback, c_size_t, c_size_t)),
    "wasmtime_context_set_epoch_deadline": (None, (c_size_t, ctypes.c_uint64)),
    "wasmtime_caller_context": (c_size_t, (c_size_t,)),
    "wasmtime_instance_pre_instantiate": (c_size_t, (c_size_t, c_size_t, c_size_t, c_size_t)),
    "wasmtime_instance_export_get": (c_bool, (c_size_t, c_size_t, ctypes.c_char_p, c_size_t, c_size_t)),
    "wasmtime_func_call_unchecked": (c_size_t, (c_size_t, c_size_t, c_size_t, c_size_t, c_size_t)),
    "wasmtime_func_to_raw": (c_size_t, (c_size_t, c_size_t)),
    "wasmtime_memory_data": (c_size_t, None),
    "wasmtime_memory_data_size": (c_size_t, None),
    "wasmtime_global_get": (None, None),
    "wasmtime_global_set": (c_size_t, None),
    "wasmtime_trap_new_code": (c_size_t, (c_uint8,)),
    "wasmtime_trap_code": (c_bool, (c_size_t, c_void_p)),
    "wasm_trap_message": (None, (c_size_t, c_void_p)),
    "wasm_trap_delete": (None, (c_size_t,)),
    "wasm_trap_trace": (None, (c_size_t, c_void_p)),
    "wasm_frame_func_index": (c_uint32, (c_size_t,)),
    "wasm_frame_vec_delete": (None, (c_void_p,)),
    "wasmtime_error_message": (None, (c_size_t, c_void_p)),
    "wasmtime_error_delete": (None, (c_size_t,)),
    "wasm_byte_vec_delete": (None, (c_void_p,)),
}


class WasmtimeUnusable(HypervisorError):
    """Raised if wasmtime is missing or not the version whose layouts this module knows."""


class Trap(Exception):
    """A guest trapped (`code` is an index of `TRAP_NAMES`), or wasmtime reported another error (None)."""

    def __init__(self, code: int | None, message: str, frames: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.frames = frames
        """Indices of the functions on the guest's stack, innermost first; as many as wasmtime records."""


_NO_MEMORY = ("Cannot allocate", "failed to allocate")
"""Parts of wasmtime's errors after the system has refused memory."""
_INVALID = "failed to parse WebAssembly module"
"""Start of wasmtime's errors for an invalid module."""


def check_memory(error: str) -> None:
    """Raise MemoryError if a text of wasmtime reports that the system refused memory.

    That is a failure of this machine, which must not become a result of the guest. Errors of the validation are left
    out, because they contain names that the module's author chose.
    """
    if not error.startswith(_INVALID) and any(part in error for part in _NO_MEMORY):
        raise MemoryError(f"no memory for an actor's code ({error.splitlines()[0]}); raise the memory limit")


class ByteVector(ctypes.Structure):
    """wasm_byte_vec_t: bytes allocated by wasmtime."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class _FrameVector(ctypes.Structure):
    """wasm_frame_vec_t: pointers to frames allocated by wasmtime."""

    _fields_ = (("size", c_size_t), ("data", ctypes.POINTER(c_size_t)))


class Library:
    """wasmtime's C functions. Rarely used ones are bound by `bind(name, result, arguments)`."""

    def __init__(self, path: Path) -> None:
        self._held = ctypes.PyDLL(str(path))
        self._released = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._held, name)  # cached by the library object; `[name]` would create a new one
            function.restype, function.argtypes = result, arguments
        held: Any = self._held
        self.call_released: Callable[..., int] = self._released.wasmtime_func_call_unchecked
        entry: Any = self.call_released
        entry.restype, entry.argtypes = _SIGNATURES["wasmtime_func_call_unchecked"]
        self.store_new: Callable[..., int] = held.wasmtime_store_new
        self.store_delete: Callable[..., None] = held.wasmtime_store_delete
        self.store_context: Callable[..., int] = held.wasmtime_store_context
        self.store_limiter: Callable[..., None] = held.wasmtime_store_limiter
        self.epoch_callback: Callable[..., None] = held.wasmtime_store_epoch_deadline_callback
        self.epoch_deadline: Callable[..., None] = held.wasmtime_context_set_epoch_deadline
        self.caller_context: Callable[..., int] = held.wasmtime_caller_context
        self.instantiate: Callable[..., int] = held.wasmtime_instance_pre_instantiate
        self.export_get: Callable[..., bool] = held.wasmtime_instance_export_get
        self.call: Callable[..., int] = held.wasmtime_func_call_unchecked
        self.function_reference: Callable[..., int] = held.wasmtime_func_to_raw
        self.memory_data: Callable[..., int] = held.wasmtime_memory_data
        self.memory_size: Callable[..., int] = held.wasmtime_memory_data_size
        self.global_get: Callable[..., None] = held.wasmtime_global_get
        self.global_set: Callable[..., int] = held.wasmtime_global_set
        self.trap_new: Callable[..., int] = held.wasmtime_trap_new_code
        self.trap_code: Callable[..., bool] = held.wasmtime_trap_code
        self.trap_delete: Callable[..., None] = held.wasm_trap_delete
        self.trap_trace: Callable[..., None] = held.wasm_trap_trace
        self.frame_function: Callable[..., int] = held.wasm_frame_func_index
        self.frames_delete: Callable[..., None] = held.wasm_frame_vec_delete
        self.trap_message: Callable[..., None] = held.wasm_trap_message
        self.error_delete: Callable[..., None] = held.wasmtime_error_delete
        self.error_message: Callable[..., None] = held.wasmtime_error_message
        self.bytes_delete: Callable[..., None] = held.wasm_byte_vec_delete

    def bind(self, name: str, result: Any, *arguments: Any, released: bool = False) -> Callable[..., Any]:
        """Return a function of the library; `released` releases the GIL during the call."""
        function = (self._released if released else self._held)[name]
        function.restype, function.argtypes = result, arguments
        return function

    def take_bytes(self, vector: ByteVector) -> bytes:
        """Return the bytes of a vector owned by the caller, and free it."""
        data = ctypes.string_at(vector.data, vector.size) if vector.size else b""
        self.bytes_delete(ctypes.byref(vector))
        return data

    def take_error(self, error: int) -> str:
        message = ByteVector()
        self.error_message(error, ctypes.byref(message))
        self.error_delete(error)
        return self.take_bytes(message).decode(errors="replace")

    def take_failure(self, error: int, trap: int) -> Trap | None:
        """Return the failure reported by the two pointers of a call, or None, and free them."""
        failure = None
        if error:
            text = self.take_error(error)
            check_memory(text)
            failure = Trap(None, text)
        if trap:
            failure = self._take_trap(trap)
        return failure

    def _take_trap(self, trap: int) -> Trap:
        code = c_uint8()
        known = self.trap_code(trap, ctypes.byref(code)) and code.value < len(TRAP_NAMES)
        text = ByteVector()
        self.trap_message(trap, ctypes.byref(text))
        frames = self._frames(trap) if known else ()
        self.trap_delete(trap)
        message = self.take_bytes(text).rstrip(b"\0").decode(errors="replace")
        return Trap(code.value, TRAP_NAMES[code.value], frames) if known else Trap(None, message)

    def _frames(self, trap: int) -> tuple[int, ...]:
        frames = _FrameVector()
        self.trap_trace(trap, ctypes.byref(frames))
        found = tuple(self.frame_function(frames.data[index]) for index in range(frames.size))
        self.frames_delete(ctypes.byref(frames))
        return found


@once
def library() -> Library:
    """Return the library of the installed wasmtime package; raises WasmtimeUnusable if its version does not match."""
    try:
        version = metadata.version("wasmtime")
    except metadata.PackageNotFoundError:
        raise WasmtimeUnusable("wasmtime is not installed: pip install " + _requirement()) from None
    check_version(version)
    spec = util.find_spec("wasmtime")
    if spec is None or not spec.submodule_search_locations:
        raise WasmtimeUnusable("wasmtime's files are missing: reinstall it with pip install " + _requirement())
    machine = {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}.get(platform.machine(), platform.machine())
    file = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}.get(sys.platform, "_libwasmtime.so")
    path = Path(spec.submodule_search_locations[0]) / f"{sys.platform}-{machine}" / file
    if not path.is_file():
        raise WasmtimeUnusable(f"wasmtime does not provide a library for {sys.platform} on {machine}")
    return Library(path)


def check_version(version: str) -> None:
    """Raise WasmtimeUnusable for any version except the one whose layouts this module knows."""
    if version != WASMTIME_VERSION:
        raise WasmtimeUnusable(
            f"wasmtime {version} is installed, this runtime needs {WASMTIME_VERSION}: pip install {_requirement()}"
        )


def _requirement() -> str:
    return f"wasmtime=={WASMTIME_VERSION}"


class Counter(Protocol):
    """A guest's gas counter in milligas; negative if the guest ran out of gas."""

    value: int


class ContextOffsets:
    """Offsets in an instance's context, shared by the instances of a module and determined with the first.

    In bytes, 0 if not known yet: of the `gas` counter, and of the address of the `memory`, which its size follows.
    """

    __slots__ = ("gas", "memory")

    def __init__(self) -> None:
        self.gas = 0
        self.memory = 0


class Instance:
    """One guest: a store with one instance, created, called and deleted by one invocation on its thread.

    `context` identifies the store in host functions (`Library.caller_context`). `has_slot` is True if the instance
    takes a slot of the engine's pool, which the caller counts. `counter` is its gas counter, once located.
    """

    __slots__ = (
        "_at",
        "_lib",
        "_limits",
        "_memory",
        "_offsets",
        "_store",
        "_vm_context",
        "_words",
        "context",
        "counter",
        "has_slot",
    )  # fmt: skip

    # Offsets in the block of words whose address is passed to wasmtime.
    _INSTANCE, _MEMORY, _GLOBAL, _FUNCTION, _VALUE, _CALL, _TRAP = 0, 2, 6, 10, 14, 18, 22
    _Words = c_int64 * 23

    def __init__(
        self,
        lib: Library,
        engine: int,
        memory_bytes: int,
        table_elements: int,
        *,
        has_slot: bool = False,
        offsets: ContextOffsets | None = None,
        instances: int = 1,
        memories: int = 1,
    ) -> None:
        """Create the store. `offsets` is shared by the instances of a module.

        `instances` and `memories` are the maximum numbers in the store.
        """
        self._lib = lib
        self._offsets = offsets or ContextOffsets()
        self.counter: Counter
        self.has_slot = has_slot
        self._words = self._Words()
        self._at = ctypes.addressof(self._words)
        self._store = lib.store_new(engine, 0, 0)
        self.context = lib.store_context(self._store)
        self._vm_context = 0
        self._memory: Any = None
        self._limits = table_elements, instances, 1, memories
        self.limit_memory(memory_bytes)

    def limit_memory(self, size: int) -> None:
        """Limit the size of every memory to `size` bytes from now on; a larger one is not shrunk."""
        self._lib.store_limiter(self._store, size, *self._limits)

    def follow_epochs(self, callback: Any) -> None:
        """Run the callback on the guest's thread at the engine's next tick. The caller must keep the callback alive."""
        self._lib.epoch_callback(self._store, callback, 0, 0)
        self._lib.epoch_deadline(self.context, 1)

    def instantiate(self, pre: int) -> None:
        """Create the instance; raises Trap if it exceeds its limits or a segment does not fit."""
        words = self._words
        words[self._TRAP] = 0
        error = self._lib.instantiate(pre, self.context, self._at, self._at + 8 * self._TRAP)
        if error or words[self._TRAP]:
            failure = self._lib.take_failure(error, words[self._TRAP])
            if failure is not None:
                raise failure

    def export(self, name: bytes, kind: int, index: int) -> bool:
        """Look up an export of a kind and store its handle; return False if there is none."""
        found = self._lib.export_get(self.context, self._at, name, len(name), self._at + 8 * index)
        return found and self._words[index] & 0xFF == kind

    def find_memory(self) -> bool:
        """Locate the exported memory; faster after `find_gas`."""
        vm_context, offsets = self._vm_context, self._offsets
        if not vm_context or not offsets.memory:
            if not self.export(b"memory", _EXTERN_MEMORY, self._MEMORY):
                return False
            if not vm_context:
                return True
            offsets.memory = self._offset_of_memory(vm_context)
        self._memory = _Memory.from_address(vm_context + offsets.memory)
        return True

    def exported_memory(self, name: bytes) -> tuple[int, int]:
        """Return the current address and size in bytes of an exported memory; raises Trap if there is none."""
        found = (c_int64 * 4)()
        at = ctypes.addressof(found)
        there = self._lib.export_get(self.context, self._at, name, len(name), at)
        if not there or found[0] & 0xFF != _EXTERN_MEMORY:
            raise Trap(None, f"no memory {name.decode()}")
        item = c_size_t(self.context), c_size_t(at + 8)
        return self._lib.memory_data(*item), self._lib.memory_size(*item)

    def find_function(self, name: bytes) -> bool:
        return self.export(name, _EXTERN_FUNCTION, self._FUNCTION)

    def find_gas(self, name: bytes) -> bool:
        """Locate the gas counter, an exported global of type i64; faster after `find_function`."""
        vm_context, offsets = self._own_context(), self._offsets
        if not vm_context or not offsets.gas:
            if not self.export(name, _EXTERN_GLOBAL, self._GLOBAL):
                return False
            self._words[self._VALUE] = _VALUE_I64
            self.counter = _ApiCounter(self._lib, self.context, self._at + 8 + 8 * self._GLOBAL, self._words)
            if not vm_context:
                return True
            offsets.gas = self._offset_of_gas(vm_context)
        self._vm_context = vm_context
        self.counter = c_int64.from_address(vm_context + offsets.gas)
        return True

    def _own_context(self) -> int:
        """Return the context of the function's instance; 0 for an imported function or if none is located."""
        if not self._words[self._FUNCTION + 1]:
            return 0
        reference = self._lib.function_reference(self.context, self._at + 8 + 8 * self._FUNCTION)
        vm_context: int = c_size_t.from_address(reference + _CONTEXT_OF_FUNCTION).value
        return vm_context if c_uint32.from_address(vm_context).value == _OWN_CONTEXT else 0

    def _offset_of_gas(self, vm_context: int) -> int:
        """Return the offset of the counter in the context: the word that changes when wasmtime sets the counter."""
        for at in range(8, _MAX_CONTEXT_SIZE, 8):
            word = c_int64.from_address(vm_context + at)
            for mark in _PROBE_VALUES:
                self.counter.value = mark
                if word.value != mark:
                    break
            else:
                return at
        raise WasmtimeUnusable("an instance's gas counter was not found in its context, as expected of this wasmtime")

    def _offset_of_memory(self, vm_context: int) -> int:
        """Return the offset of the memory's address and size in the context; they precede the globals."""
        memory = self._api_memory()
        for at in range(8, self._offsets.gas, 8):
            if tuple(_Memory.from_address(vm_context + at)) == memory:
                return at
        raise WasmtimeUnusable("an instance's memory was not found in its context, as expected of this wasmtime")

    def memory(self) -> tuple[int, int]:
        """Return the current address and size in bytes of the guest's memory."""
        memory = self._memory
        return self._api_memory() if memory is None else (memory[0], memory[1])

    def _api_memory(self) -> tuple[int, int]:
        item = c_size_t(self.context), c_size_t(self._at + 8 + 8 * self._MEMORY)
        return self._lib.memory_data(*item), self._lib.memory_size(*item)

    def grow_memory(self, pages: int) -> int:
        """Add pages to the guest's memory, which its own allocator never uses; return the number of pages before."""
        before = c_size_t()
        grow = self._lib.bind("wasmtime_memory_grow", *(c_size_t,) * 5)
        error = grow(self.context, self._at + 8 + 8 * self._MEMORY, pages, ctypes.addressof(before))
        failure = self._lib.take_failure(error, 0)
        if failure is not None:
            raise failure
        return before.value

    def enter(self, argument: int) -> int:
        """Call the located function, (i32) -> i32; raises Trap. Both numbers are unsigned."""
        if threading.get_ident() == threading.main_thread().ident:
            raise RuntimeError("a guest must not be called on the main thread: a signal handler could run inside it")
        return self.enter_alone(argument)

    def enter_with(self, first: int, second: int) -> int:
        """Call the located function, (i32, i32) -> i32; raises Trap. All numbers are unsigned."""
        self._words[self._CALL + 2] = second
        return self.enter(first)

    def enter_alone(self, argument: int) -> int:
        """Call as `enter` on any thread; only for modules without host functions."""
        words, at = self._words, self._at
        words[self._CALL] = argument
        words[self._TRAP] = 0
        call = self._lib.call_released if GIL_POLICY.releases else self._lib.call
        error = call(self.context, at + 80 + 8, at + 144, 2, at + 176)
        if error or words[self._TRAP]:
            failure = self._lib.take_failure(error, words[self._TRAP])
            if failure is not None:
                raise failure
        return words[self._CALL] & 0xFFFF_FFFF

    def start(self) -> None:
        """Call the located function, () -> (); raises Trap."""
        self.enter(0)  # an array longer than the function's arguments is allowed

    def add_function(self, module: int, name: bytes, imports: tuple[tuple[bytes, int], ...], table: bytes) -> int:
        """Instantiate another module in this store and put its function `name` into this instance's table.

        `imports` are exports of this instance by name and kind, in the module's order. Returns the index in the table;
        raises Trap. The new instance lives as long as the store.
        """
        lib, context = self._lib, self.context
        externs = (Extern * len(imports))()
        found, made, trap = Extern(), (c_int64 * 2)(), c_size_t()
        tables = Extern()
        for item, (export, kind) in zip(externs, imports, strict=True):
            if not lib.export_get(context, self._at, export, len(export), ctypes.addressof(item)) or item.kind != kind:
                raise Trap(None, f"no export {export.decode()}")
        if not lib.export_get(context, self._at, table, len(table), ctypes.addressof(tables)):
            raise Trap(None, f"no table {table.decode()}")
        make = lib.bind("wasmtime_instance_new", c_size_t, *(c_size_t,) * 6)
        error = make(
            context, module, ctypes.addressof(externs), len(imports), ctypes.addressof(made), ctypes.addressof(trap)
        )
        failure = lib.take_failure(error, trap.value)
        if failure is not None:
            raise failure
        lib.export_get(context, ctypes.addressof(made), name, len(name), ctypes.addressof(found))
        value = _Value(_VALUE_FUNCTION, found.item[:2])
        before = c_size_t()
        grow = lib.bind("wasmtime_table_grow", c_size_t, *(c_size_t,) * 5)
        at = ctypes.addressof(tables) + Extern.item.offset
        error = grow(context, at, 1, ctypes.addressof(value), ctypes.addressof(before))
        if error:
            raise Trap(None, lib.take_error(error))
        return before.value

    def close(self) -> None:
        """Delete the store and its contents. The counter must not be used afterwards."""
        store, self._store = self._store, 0
        if store:
            self._lib.store_delete(store)


class Extern(ctypes.Structure):
    """wasmtime_extern_t."""

    _fields_ = (("kind", c_uint8), ("item", c_int64 * 3))


class _Value(ctypes.Structure):
    """wasmtime_val_t holding a function."""

    _fields_ = (("kind", c_uint8), ("item", c_int64 * 3))

    def __init__(self, kind: int, item: list[int]) -> None:
        super().__init__(kind, (c_int64 * 3)(*item))


class _ApiCounter:
    """A gas counter accessed through wasmtime's API."""

    __slots__ = ("_arguments", "_lib", "_words")

    def __init__(self, lib: Library, context: int, item: int, words: Any) -> None:
        self._lib = lib
        self._words = words
        value = ctypes.addressof(words) + 8 * Instance._VALUE
        self._arguments = c_size_t(context), c_size_t(item), c_size_t(value)

    @property
    def value(self) -> int:
        self._lib.global_get(*self._arguments)
        milligas: int = self._words[Instance._VALUE + 1]
        return milligas

    @value.setter
    def value(self, milligas: int) -> None:
        self._words[Instance._VALUE + 1] = milligas
        error = self._lib.global_set(*self._arguments)
        if error:
            raise Trap(None, self._lib.take_error(error))
