"""Syscalls `vm.*`: the end of an invocation, and its context. Source: ref-fvm syscalls/vm.rs."""

from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import MESSAGE_CONTEXT, Syscall, token_amount

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
