"""Syscalls `vm.*`, `gas.*`, `debug.*` and `event.*`. Source: ref-fvm syscalls/vm.rs, gas.rs, debug.rs, event.rs.

Syscalls `vm.*`: the end of an invocation, and its context. Source: ref-fvm syscalls/vm.rs.

Syscalls `gas.*`: an actor's own charges, and the remaining gas. Source: ref-fvm syscalls/gas.rs.

Syscalls `debug.*`: log output of actors when debugging is enabled. Source: ref-fvm syscalls/debug.rs.

Syscall `event.emit_event`, in its two forms. Source: ref-fvm syscalls/event.rs; FIP-0072.
"""

from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ErrorNumber, ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS, to_milligas
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.messages.events import MAX_ENTRIES
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import EVENT_ENTRY, I32_RESULT, MESSAGE_CONTEXT, NO, U64, YES, Syscall, token_amount

MAX_MESSAGE = 1024
_READ_ONLY = 1


def exit_(call: WasmInvocation, code: int, block: int, offset: int, length: int) -> bytes:
    """End the invocation: code 0 is success with `block`; codes 1 to 15 are reserved and become 9."""
    # check
    if 0 < code < FIRST_USER_EXIT_CODE:
        raise ActorExit(ExitCode.SYS_ILLEGAL_EXIT_CODE, block, f"actor aborted with code {code}")
    # do
    raise ActorExit(code, block, _message(call, offset, length))


def _message(call: WasmInvocation, offset: int, length: int) -> str:
    if length == 0:
        return "actor aborted"
    try:
        data = call.memory.view(offset, length)
    except SyscallError as error:
        return f"failed to extract error message: {error.message}"
    if len(data) <= MAX_MESSAGE:
        return str(data, errors="replace")
    head, tail = data[: MAX_MESSAGE // 2], data[-(MAX_MESSAGE // 2) :]
    skipped = len(data) - MAX_MESSAGE
    return f"{str(head, errors='replace')} ... (skipped {skipped} bytes) ... {str(tail, errors='replace')}"


def message_context(call: WasmInvocation) -> bytes:
    """Return the context of the message: origin, caller, receiver, method, value, gas premium, flags."""
    # do
    context = call.kernel.context
    # return
    return MESSAGE_CONTEXT.pack(
        context.origin,
        context.nonce,
        context.caller,
        context.receiver,
        context.method,
        token_amount(context.value),
        token_amount(context.gas_premium),
        _READ_ONLY if context.read_only else 0,
    )


VM_SYSCALLS = (
    Syscall("vm", "exit", exit_, "IIrI"),
    Syscall("vm", "message_context", message_context, "", MESSAGE_CONTEXT),
)


def charge(call: WasmInvocation, offset: int, length: int, amount: int) -> None:
    """Charge gas under a name."""
    # check
    name = call.memory.read_text(offset, length)
    # charge
    call.kernel.gas.charge(name, to_milligas(amount))


def available(call: WasmInvocation) -> bytes:
    """Return the remaining gas, rounded down."""
    # return
    return U64.pack(call.kernel.gas.available // MILLIGAS_PER_GAS)


GAS_SYSCALLS = (
    Syscall("gas", "charge", charge, "rIQ"),
    Syscall("gas", "available", available, "", U64),
)


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


def emit_event(
    call: WasmInvocation, entries: int, count: int, keys: int, keys_length: int, values: int, values_length: int
) -> None:
    """Emit an event laid out in three buffers: entry headers, all keys, all values."""
    # check
    call.memory.check(entries, count * EVENT_ENTRY.size)
    raw = call.memory.view(entries, min(count, MAX_ENTRIES) * EVENT_ENTRY.size)  # no copy of data that will be rejected
    key_bytes = call.memory.view(keys, keys_length)
    value_bytes = call.memory.view(values, values_length)
    # charge and do
    call.kernel.events.emit_buffers(count, list(EVENT_ENTRY.packing.iter_unpack(raw)), key_bytes, value_bytes)


def emit_event_block(call: WasmInvocation, offset: int, length: int) -> None:
    """Emit an event encoded as CBOR (ABI version 3)."""
    # check
    data = call.memory.read(offset, length, MAX_BLOCK_SIZE + 1)  # no copy of data that will be rejected
    # charge and do
    call.kernel.events.emit_block(data)


EVENT_SYSCALLS = (Syscall("event", "emit_event", emit_event, "rIrIrI"),)
EVENT_SYSCALLS_V3 = (Syscall("event", "emit_event", emit_event_block, "rI"),)
