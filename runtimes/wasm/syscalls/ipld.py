"""Syscalls `ipld.*`: blocks. Source: ref-fvm syscalls/ipld.rs."""

from hypervisor.blocks import MAX_BLOCK_SIZE
from runtimes.wasm.syscalls.table import I32_RESULT, IPLD_OPEN, IPLD_STAT, U32, Caller, Syscall


def block_open(call: Caller, cid_offset: int) -> bytes:
    """Open a block of reachable state: its handle, codec and size."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    stat = call.kernel.ipld.open(cid)
    # return
    return IPLD_OPEN.pack(stat.codec, stat.id, stat.size)


def block_create(call: Caller, codec: int, offset: int, length: int) -> bytes:
    """Make a block of bytes in memory; returns its handle."""
    # check
    call.memory.check(offset, length)
    data = call.memory.read(offset, min(length, MAX_BLOCK_SIZE + 1))  # no time for copying what will be refused
    # charge, do and return
    return U32.pack(call.kernel.ipld.create(codec, data))


def block_read(call: Caller, block: int, offset: int, buffer: int, length: int) -> bytes:
    """Copy part of a block into memory; returns how much of the block is left, negative if the buffer has room."""
    # check
    call.memory.check(buffer, length)
    # charge and do
    data = call.kernel.ipld.read(block, offset, length)
    call.memory.write(buffer, data)
    # return
    return I32_RESULT.pack(len(call.kernel.ipld.block(block).data) - (offset + length))


def block_stat(call: Caller, block: int) -> bytes:
    """A block's codec and size."""
    # do
    stat = call.kernel.ipld.stat(block)
    # return
    return IPLD_STAT.pack(stat.codec, stat.size)


def block_link(call: Caller, block: int, hash_code: int, hash_length: int, buffer: int, length: int) -> bytes:
    """Write a block to the state; its CID goes into the buffer, its length is returned."""
    # check
    call.memory.check(buffer, length)
    # charge and do
    cid = call.kernel.ipld.link(block, hash_code, hash_length)
    # return; a buffer that is too small is found out only now, the block being written and paid for
    return U32.pack(call.memory.write_cid(cid, buffer, length))


SYSCALLS = (
    Syscall("ipld", "block_open", block_open, "r", IPLD_OPEN),
    Syscall("ipld", "block_create", block_create, "QrI", U32),
    Syscall("ipld", "block_read", block_read, "IIwI", I32_RESULT),
    Syscall("ipld", "block_stat", block_stat, "I", IPLD_STAT),
    Syscall("ipld", "block_link", block_link, "IQIwI", U32),
)
