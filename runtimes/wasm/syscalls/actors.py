"""Syscalls `actor.*`, `self.*` and `send.send`. Source: ref-fvm syscalls/actor.rs, sself.rs, send.rs.

Syscalls `actor.*`: other actors, their addresses and code. Source: ref-fvm syscalls/actor.rs.

Syscalls `self.*`: the actor's own state root, balance and deletion. Source: ref-fvm syscalls/sself.rs.

Syscall `send.send`: call another actor. Source: ref-fvm syscalls/send.rs.
"""

from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.types import ActorID, BlockId, MethodNumber, TokenAmount
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import I32_RESULT, SEND, TOKEN_AMOUNT, U32, U64, Syscall, token_amount

ACTOR_ADDRESS_LENGTH = 21
_U32_MASK = 0xFFFF_FFFF


def resolve_address(call: WasmInvocation, offset: int, length: int) -> bytes:
    """Return the ID of the actor at an address."""
    # check
    address = call.memory.read_address(offset, length)
    # do and return
    return U64.pack(call.kernel.resolve_address(address))


def lookup_delegated_address(call: WasmInvocation, actor: int, buffer: int, length: int) -> bytes:
    """Write an actor's f4 address to the buffer; return its length, 0 if the actor has none."""
    # charge and do
    address = call.kernel.actor(ActorID(actor)).delegated_address
    data = b"" if address is None else address.to_bytes()
    if len(data) > length:
        raise SyscallError(ErrorNumber.BUFFER_TOO_SMALL, f"an address of {len(data)} bytes, a buffer of {length}")
    call.memory.write(buffer, data)
    # return
    return U32.pack(len(data))


def get_actor_code_cid(call: WasmInvocation, actor: int, buffer: int, length: int) -> bytes:
    """Write an actor's code CID to the buffer; return its length."""
    # charge and do
    cid = call.kernel.actor(ActorID(actor)).code
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def get_builtin_actor_type(call: WasmInvocation, cid_offset: int) -> bytes:
    """Return the type number of a code CID, 0 if it is not a built-in actor's."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # do and return
    return I32_RESULT.pack(call.kernel.machine.manifest.type_of(cid))


def get_code_cid_for_type(call: WasmInvocation, type_number: int, buffer: int, length: int) -> bytes:
    """Write the code CID of a type number to the buffer; return its length."""
    # do
    cid = call.kernel.get_code_cid_for_type(type_number & _U32_MASK)
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def next_actor_address(call: WasmInvocation, buffer: int, length: int) -> bytes:
    """Write the address of the next actor to be created to the buffer; return its length."""
    # check
    if length < ACTOR_ADDRESS_LENGTH:
        raise SyscallError(ErrorNumber.BUFFER_TOO_SMALL, f"{ACTOR_ADDRESS_LENGTH} bytes, a buffer of {length}")
    # do
    data = call.kernel.next_actor_address().to_bytes()
    call.memory.write(buffer, data)
    # return
    return U32.pack(len(data))


def create_actor(call: WasmInvocation, actor: int, cid_offset: int, offset: int, length: int) -> None:
    """Create an actor at an ID with code and, optionally, a delegated address."""
    # check
    cid = call.memory.read_cid(cid_offset)
    delegated = call.memory.read_address(offset, length) if length else None
    # charge and do
    call.kernel.create_actor(ActorID(actor), cid, delegated)


def balance_of(call: WasmInvocation, actor: int) -> bytes:
    """Return an actor's balance in attoFIL."""
    # charge, do and return
    return token_amount(call.kernel.actor(ActorID(actor)).balance)


def install_actor(call: WasmInvocation, cid_offset: int) -> None:
    """Check and compile the module of a code CID."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # do and charge
    call.kernel.install_actor(cid)


def upgrade_actor(call: WasmInvocation, cid_offset: int, params: int) -> bytes:
    """Replace this actor's code and run its `upgrade`; if that succeeds, the invocation ends with its result."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    call.account_memory()
    result = call.kernel.upgrade(cid, BlockId(params))
    # return
    if result.exit_code == ExitCode.OK:
        raise ActorExit(ExitCode.OK, result.block_id, is_plain=True)
    return SEND.pack(result.exit_code, result.block_id, result.codec, result.size)


ACTOR_SYSCALLS = (
    Syscall("actor", "resolve_address", resolve_address, "rI", U64),
    Syscall("actor", "lookup_delegated_address", lookup_delegated_address, "QwI", U32),
    Syscall("actor", "get_actor_code_cid", get_actor_code_cid, "QwI", U32),
    Syscall("actor", "get_builtin_actor_type", get_builtin_actor_type, "r", I32_RESULT),
    Syscall("actor", "get_code_cid_for_type", get_code_cid_for_type, "iwI", U32),
    Syscall("actor", "next_actor_address", next_actor_address, "wI", U32),
    Syscall("actor", "create_actor", create_actor, "QrrI"),
    Syscall("actor", "balance_of", balance_of, "Q", TOKEN_AMOUNT),
)
SYSCALLS_INSTALL = (Syscall("actor", "install_actor", install_actor, "r"),)
"""Syscalls of the feature m2-native."""
SYSCALLS_UPGRADE = (Syscall("actor", "upgrade_actor", upgrade_actor, "rI", SEND),)
"""Syscalls of the feature upgrade-actor."""


def root(call: WasmInvocation, buffer: int, length: int) -> bytes:
    """Write the state root's CID to the buffer; return its length."""
    # charge and do
    cid = call.kernel.root()
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def set_root(call: WasmInvocation, cid_offset: int) -> None:
    """Set the state root to a block."""
    # check
    cid = call.memory.read_cid(cid_offset)
    # charge and do
    call.kernel.set_root(cid)


def current_balance(call: WasmInvocation) -> bytes:
    """Return the actor's balance in attoFIL."""
    # do and return
    return token_amount(call.kernel.current_balance())


def self_destruct(call: WasmInvocation, burn: int) -> None:
    """Delete the actor and, if `burn` is positive, burn its balance."""
    # charge and do
    call.kernel.self_destruct(burn > 0)


def self_destruct_to(call: WasmInvocation, offset: int, length: int) -> None:
    """Delete the actor and send its balance to a beneficiary (ABI version 3)."""
    # check
    beneficiary = call.memory.read_address(offset, length)
    # charge and do
    call.kernel.self_destruct_to(beneficiary)


SELF_SYSCALLS = (
    Syscall("self", "root", root, "wI", U32),
    Syscall("self", "set_root", set_root, "r"),
    Syscall("self", "current_balance", current_balance, "", TOKEN_AMOUNT),
    Syscall("self", "self_destruct", self_destruct, "I"),
)
SELF_SYSCALLS_V3 = (Syscall("self", "self_destruct", self_destruct_to, "rI"),)


NO_GAS_LIMIT = (1 << 64) - 1
_READ_ONLY = 1


def send(
    call: WasmInvocation,
    recipient_offset: int,
    recipient_length: int,
    method: int,
    params: int,
    value_high: int,
    value_low: int,
    gas_limit: int,
    flags: int,
) -> bytes:
    """Send a message. The gas limit is in gas; the maximum value means all that is left, and 0 means none."""
    # check
    recipient = call.memory.read_address(recipient_offset, recipient_length)
    if flags & ~_READ_ONLY:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"send flags {flags:#x} are not valid")
    # charge and do
    call.account_memory()
    result = call.kernel.send(
        recipient,
        MethodNumber(method),
        BlockId(params),
        TokenAmount(value_high << 64 | value_low),
        None if gas_limit == NO_GAS_LIMIT else gas_limit,
        read_only=bool(flags & _READ_ONLY),
    )
    # return
    return SEND.pack(result.exit_code, result.block_id, result.codec, result.size)


SEND_SYSCALLS = (Syscall("send", "send", send, "rIQIQQQQ", SEND),)
