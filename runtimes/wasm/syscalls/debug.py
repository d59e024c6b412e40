"""Syscalls `debug.*`: log output of actors when debugging is enabled. Source: ref-fvm syscalls/debug.rs."""

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import I32_RESULT, NO, YES, Syscall

MAX_ARTIFACT_NAME = 256


def enabled(call: WasmInvocation) -> bytes:
    """Return 0 if actors should log, else -1."""
    # return
    return YES if call.kernel.debug_enabled else NO


def log(call: WasmInvocation, offset: int, length: int) -> None:
    """Log a line. Without a listener the memory is not read."""
    # check
    if not call.kernel.debug_enabled:
        return
    text = call.memory.read_text(offset, length)
    # do
    call.kernel.debug_log(text)


def store_artifact(call: WasmInvocation, name_offset: int, name_length: int, offset: int, length: int) -> None:
    """Log the name and size of a piece of debugging data; no file is written."""
    # check
    if not call.kernel.debug_enabled:
        return
    data = call.memory.read(offset, length)
    name = call.memory.read_text(name_offset, name_length)
    if not 0 < name_length <= MAX_ARTIFACT_NAME or name.startswith(".") or "/" in name or "\\" in name:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"'{name}' is not a valid artifact name")
    # do
    call.kernel.debug_log(f"artifact {name}: {len(data)} bytes")


DEBUG_SYSCALLS = (
    Syscall("debug", "enabled", enabled, "", I32_RESULT),
    Syscall("debug", "log", log, "rI"),
    Syscall("debug", "store_artifact", store_artifact, "rIrI"),
)
