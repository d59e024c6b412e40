"""Syscall `event.emit_event`, in its two forms. Source: ref-fvm syscalls/event.rs; FIP-0072."""

from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.messages.events import MAX_ENTRIES
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import EVENT_ENTRY, Syscall


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
    call.memory.check(offset, length)
    data = call.memory.read(offset, min(length, MAX_BLOCK_SIZE + 1))  # no copy of data that will be rejected
    # charge and do
    call.kernel.events.emit_block(data)


EVENT_SYSCALLS = (Syscall("event", "emit_event", emit_event, "rIrIrI"),)
EVENT_SYSCALLS_V3 = (Syscall("event", "emit_event", emit_event_block, "rI"),)
