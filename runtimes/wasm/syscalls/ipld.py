"""Syscalls `ipld.*`: blocks. Source: ref-fvm syscalls/ipld.rs."""

from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import I32_RESULT, IPLD_OPEN, IPLD_STAT, U32, Syscall


def block_open(call: WasmInvocation, cid_offset: int) -> bytes:
    """Open a block of reachable state; return its codec, handle and size."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    ipld = call.kernel.ipld
    block = ipld.open(cid)
    # return
    return IPLD_OPEN.pack(block.codec, ipld.add(block), len(block.data))


def block_create(call: WasmInvocation, codec: int, offset: int, length: int) -> bytes:
    """Create a block from bytes in memory; return its handle."""
    # check
    data = call.memory.read(offset, length, MAX_BLOCK_SIZE + 1)  # no copy of data that will be rejected
    # charge, do and return
    return U32.pack(call.kernel.ipld.create(codec, data))


def block_read(call: WasmInvocation, block: int, offset: int, buffer: int, length: int) -> bytes:
    """Copy part of a block into memory; return the bytes left in the block, negative if the buffer is larger."""
    # charge and do
    data, left = call.kernel.ipld.read(block, offset, length)
    call.memory.data[buffer : buffer + len(data)] = data
    # return
    return I32_RESULT.pack(left)


def block_stat(call: WasmInvocation, block: int) -> bytes:
    """Return a block's codec and size."""
    # do
    found = call.kernel.ipld.block(block)
    # return
    return IPLD_STAT.pack(found.codec, len(found.data))


def block_link(call: WasmInvocation, block: int, hash_code: int, hash_length: int, buffer: int, length: int) -> bytes:
    """Write a block to the state and its CID to the buffer; return the CID's length."""
    # charge and do
    cid = call.kernel.ipld.link(block, hash_code, hash_length)
    # return; a buffer that is too small is detected only here, after the block is written and charged
    return U32.pack(call.memory.write_cid(cid, buffer, length))


SYSCALLS = (
    Syscall("ipld", "block_open", block_open, "r", IPLD_OPEN),
    Syscall("ipld", "block_create", block_create, "QrI", U32),
    Syscall("ipld", "block_read", block_read, "IIwI", I32_RESULT),
    Syscall("ipld", "block_stat", block_stat, "I", IPLD_STAT),
    Syscall("ipld", "block_link", block_link, "IQIwI", U32),
)
