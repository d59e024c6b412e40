"""Syscalls `self.*`: the actor's own state root, balance and end. Source: ref-fvm syscalls/sself.rs."""

from runtimes.wasm.syscalls.table import TOKEN_AMOUNT, U32, Caller, Syscall, token_amount


def root(call: Caller, buffer: int, length: int) -> bytes:
    """The state root's CID into the buffer; returns its length."""
    # check
    call.memory.check(buffer, length)
    # charge and do
    cid = call.kernel.self_.root()
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def set_root(call: Caller, cid_offset: int) -> None:
    """Make a block the state root."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    call.kernel.self_.set_root(cid)


def current_balance(call: Caller) -> bytes:
    """The actor's balance."""
    # do and return
    return token_amount(call.kernel.self_.current_balance())


def self_destruct(call: Caller, burn: int) -> None:
    """Delete the actor; what it holds is burnt, if it says so."""
    # charge and do
    call.kernel.self_.self_destruct(burn > 0)


def self_destruct_to(call: Caller, offset: int, length: int) -> None:
    """Delete the actor; what it holds goes to a beneficiary (machine version 3)."""
    # check
    beneficiary = call.memory.read_address(offset, length)
    # charge and do
    call.kernel.self_.self_destruct_to(beneficiary)


SYSCALLS = (
    Syscall("self", "root", root, "wI", U32),
    Syscall("self", "set_root", set_root, "r"),
    Syscall("self", "current_balance", current_balance, "", TOKEN_AMOUNT),
    Syscall("self", "self_destruct", self_destruct, "I"),
)
SYSCALLS_V3 = (Syscall("self", "self_destruct", self_destruct_to, "rI"),)
