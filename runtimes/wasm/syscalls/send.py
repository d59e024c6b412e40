"""Syscall `send.send`: call another actor. Source: ref-fvm syscalls/send.rs."""

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.types import BlockId, MethodNumber, TokenAmount
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import SEND, Syscall

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
