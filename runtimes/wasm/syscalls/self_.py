"""Syscalls `self.*`: the actor's own state root, balance and deletion. Source: ref-fvm syscalls/sself.rs."""

from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import TOKEN_AMOUNT, U32, Syscall, token_amount


def root(call: WasmInvocation, buffer: int, length: int) -> bytes:
    """Write the state root's CID to the buffer; return its length."""
    # check
    call.memory.check(buffer, length)
    # charge and do
    cid = call.kernel.self_.root()
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def set_root(call: WasmInvocation, cid_offset: int) -> None:
    """Set the state root to a block."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    call.kernel.self_.set_root(cid)


def current_balance(call: WasmInvocation) -> bytes:
    """Return the actor's balance in attoFIL."""
    # do and return
    return token_amount(call.kernel.self_.current_balance())


def self_destruct(call: WasmInvocation, burn: int) -> None:
    """Delete the actor and, if `burn` is positive, burn its balance."""
    # charge and do
    call.kernel.self_.self_destruct(burn > 0)


def self_destruct_to(call: WasmInvocation, offset: int, length: int) -> None:
    """Delete the actor and send its balance to a beneficiary (ABI version 3)."""
    # check
    beneficiary = call.memory.read_address(offset, length)
    # charge and do
    call.kernel.self_.self_destruct_to(beneficiary)


SELF_SYSCALLS = (
    Syscall("self", "root", root, "wI", U32),
    Syscall("self", "set_root", set_root, "r"),
    Syscall("self", "current_balance", current_balance, "", TOKEN_AMOUNT),
    Syscall("self", "self_destruct", self_destruct, "I"),
)
SELF_SYSCALLS_V3 = (Syscall("self", "self_destruct", self_destruct_to, "rI"),)
