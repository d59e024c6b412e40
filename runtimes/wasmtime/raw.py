"""The fast boundary to wasmtime: its C functions called through ctypes, without wrappers or checks.

wasmtime-py's own wrappers take 12-19 us to call a guest and 6-7 us for a host function; these calls take 0.3-0.7 us and
0.1-0.5 us. In return, callers must follow these rules; tests/runtimes/wasm/test_raw.py has a test for each:

1. The library is loaded with `PyDLL`, and callbacks are created with `PYFUNCTYPE`: the GIL stays held. With `CDLL`
   every crossing releases the GIL, which takes 100-230 us if another Python thread is busy. Compilation uses
   `released`, and so do guests if the process shares the interpreter (`hypervisor.threads`).
2. A host function catches BaseException, stores it, and returns a trap: an exception that leaves a ctypes callback is
   lost, and the callback's result is undefined.
3. Nothing may be raised before a host function's first `try`. So a guest is called on any thread except the main one,
   where Python runs signal handlers between any two instructions (`instance.Instance.enter` refuses), and with much of
   the recursion limit left (`hypervisor.threads`). A module without host functions may run anywhere (`enter_alone`).
4. Callback objects outlive the linker in which they are defined and all instances made from it.
5. A guest's memory grows but never moves (an engine setting): its size is read again before a slice beyond the last
   known end is rejected (`invocation.GuestMemory`).
6. A guest's pointer is checked as a Python integer before memory is accessed (`invocation.GuestMemory`).
7. Signatures are checked when a module is linked, never at run time: `invoke` must be (i32) -> i32.
8. A failure is reported as an error or as a trap: both pointers are checked and freed.
9. The layouts and names below are those of one wasmtime version; other versions are rejected with an error.
10. A guest's gas counter is read and written in place, in the instance's VMContext, and so are the address and size of
    its memory. A function of the guest leads to the context. The offsets are found once per module by comparing with
    values that wasmtime writes or returns (`instance.Instance.find_gas`, `find_memory`); if a module's entry function
    is imported, these values are read through wasmtime's API instead.

Layouts in bytes: wasmtime_val_raw_t 16, wasmtime_val_t 32 (kind at 0, value at 8), wasmtime_extern_t 32 (kind at 0,
item at 8), wasmtime_instance_t 16, wasmtime_func_t 16, wasmtime_memory_t and wasmtime_global_t 24; VMFuncRef has the
context of its instance at 24, VMContext its kind at 0.
"""

import ctypes
import platform
import sys
from collections.abc import Callable
from ctypes import c_bool, c_int64, c_size_t, c_uint8, c_uint32, c_void_p
from importlib import util
from pathlib import Path
from typing import Any

from hypervisor.errors import HypervisorError
from hypervisor.threads import once

WASMTIME_VERSION = "50.0.1"
TRAP_UNREACHABLE = 9
TRAP_INTERRUPT = 10
"""Code of the trap by which a host function ends its guest; its message and its frames are not read."""
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

EXTERN_FUNCTION, EXTERN_GLOBAL, EXTERN_MEMORY = 0, 1, 3
VALUE_I64, VALUE_FUNCTION = 1, 5

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
        found = self.trap_code(trap, ctypes.byref(code))
        if found and code.value == TRAP_INTERRUPT:
            self.trap_delete(trap)
            return Trap(None, "a host function ended the guest")
        known = found and code.value < len(TRAP_NAMES)
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
    spec = util.find_spec("wasmtime")
    if spec is None or not spec.submodule_search_locations:
        raise WasmtimeUnusable("wasmtime is not installed: pip install " + _requirement())
    package = Path(spec.submodule_search_locations[0])
    if not package.with_name(f"wasmtime-{WASMTIME_VERSION}.dist-info").is_dir():
        check_version(_installed_version())
    machine = {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}.get(platform.machine(), platform.machine())
    file = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}.get(sys.platform, "_libwasmtime.so")
    path = package / f"{sys.platform}-{machine}" / file
    if not path.is_file():
        raise WasmtimeUnusable(f"wasmtime does not provide a library for {sys.platform} on {machine}")
    return Library(path)


def _installed_version() -> str:
    from importlib import metadata  # imported on use, with the parser of emails

    try:
        return metadata.version("wasmtime")
    except metadata.PackageNotFoundError:
        return "without metadata"


def check_version(version: str) -> None:
    """Raise WasmtimeUnusable for any version except the one whose layouts this module knows."""
    if version != WASMTIME_VERSION:
        raise WasmtimeUnusable(
            f"wasmtime {version} is installed, this runtime needs {WASMTIME_VERSION}: pip install {_requirement()}"
        )


def _requirement() -> str:
    return f"wasmtime=={WASMTIME_VERSION}"


class ValueTypes(ctypes.Structure):
    """wasm_valtype_vec_t."""

    _fields_ = (("size", c_size_t), ("data", ctypes.POINTER(c_size_t)))


class Extern(ctypes.Structure):
    """wasmtime_extern_t."""

    _fields_ = (("kind", c_uint8), ("item", c_int64 * 3))


class Value(ctypes.Structure):
    """wasmtime_val_t holding a function."""

    _fields_ = (("kind", c_uint8), ("item", c_int64 * 3))

    def __init__(self, kind: int, item: list[int]) -> None:
        super().__init__(kind, (c_int64 * 3)(*item))
