"""Exit codes of actors and error numbers of syscalls.

Both are plain integers on the wire. An actor may use any exit code from 16 up, so received codes stay `int`, and
`exit_name` names them. Source: ref-fvm shared/src/error.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ExitCode(IntEnum):
    """Exit codes with a defined meaning. Below 16: reserved for the system; from 16: conventions of actors."""

    OK = 0
    SYS_SENDER_INVALID = 1
    SYS_SENDER_STATE_INVALID = 2
    SYS_ILLEGAL_INSTRUCTION = 4
    SYS_INVALID_RECEIVER = 5
    SYS_INSUFFICIENT_FUNDS = 6
    SYS_OUT_OF_GAS = 7
    SYS_ILLEGAL_EXIT_CODE = 9
    SYS_ASSERTION_FAILED = 10
    SYS_MISSING_RETURN = 11
    SYS_ACTOR_ARCHIVED = 15
    """Used by the lab `rent` only; unused by Filecoin, and actors cannot exit with it."""
    USR_ILLEGAL_ARGUMENT = 16
    USR_NOT_FOUND = 17
    USR_FORBIDDEN = 18
    USR_INSUFFICIENT_FUNDS = 19
    USR_ILLEGAL_STATE = 20
    USR_SERIALIZATION = 21
    USR_UNHANDLED_MESSAGE = 22
    USR_UNSPECIFIED = 23
    USR_ASSERTION_FAILED = 24
    USR_READ_ONLY = 25
    USR_NOT_PAYABLE = 26
    EVM_CONTRACT_REVERTED = 33
    EVM_CONTRACT_INVALID_INSTRUCTION = 34
    EVM_CONTRACT_UNDEFINED_INSTRUCTION = 35
    EVM_CONTRACT_STACK_UNDERFLOW = 36
    EVM_CONTRACT_STACK_OVERFLOW = 37
    EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS = 38
    EVM_CONTRACT_BAD_JUMPDEST = 39
    EVM_CONTRACT_SELFDESTRUCT_FAILED = 40


FIRST_USER_EXIT_CODE = 16
FIRST_ACTOR_EXIT_CODE = 32
"""First of the codes without a common meaning (ref-fvm `FIRST_ACTOR_SPECIFIC_EXIT_CODE`)."""


class ErrorNumber(IntEnum):
    """Error number that a failed syscall returns to the guest."""

    ILLEGAL_ARGUMENT = 1
    ILLEGAL_OPERATION = 2
    LIMIT_EXCEEDED = 3
    ASSERTION_FAILED = 4
    INSUFFICIENT_FUNDS = 5
    NOT_FOUND = 6
    INVALID_HANDLE = 7
    ILLEGAL_CID = 8
    ILLEGAL_CODEC = 9
    SERIALIZATION = 10
    FORBIDDEN = 11
    BUFFER_TOO_SMALL = 12
    READ_ONLY = 13


_OF_REFUSALS: Mapping[ErrorNumber, ExitCode] = MappingProxyType({
    ErrorNumber.INSUFFICIENT_FUNDS: ExitCode.SYS_INSUFFICIENT_FUNDS,
    ErrorNumber.NOT_FOUND: ExitCode.SYS_INVALID_RECEIVER,
})  # fmt: skip


def refusal_exit(number: ErrorNumber) -> ExitCode:
    """Return the exit code of a call that could not be made."""
    return _OF_REFUSALS.get(number, ExitCode.SYS_ASSERTION_FAILED)


def exit_name(code: int, *, native: bool = False) -> str:
    """Return the name of a code, or its number if it has none: `USR_FORBIDDEN`, `77`.

    The codes from 32 up are each actor's own. Those of contracts have names unless the actor is `native`.
    """
    if native and code >= FIRST_ACTOR_EXIT_CODE:
        return str(code)
    try:
        return ExitCode(code).name
    except ValueError:
        return str(code)


def numbered_exit(code: int, *, native: bool = False) -> str:
    """Return the number and the name of a code: `18 USR_FORBIDDEN`, `77`."""
    name = exit_name(code, native=native)
    return name if name == str(code) else f"{code} {name}"


def exit_meaning(code: int, *, native: bool = False) -> str:
    """Return number, name and meaning: `18 USR_FORBIDDEN, the caller may not do this`."""
    shown = numbered_exit(code, native=native)
    return f"{shown}, {'an actor-defined exit code' if shown == str(code) else _WORDS[code]}"


_WORDS: Mapping[int, str] = MappingProxyType(
    {
        ExitCode.OK: "success",
        ExitCode.SYS_SENDER_INVALID: "the sender does not exist or may not send",
        ExitCode.SYS_SENDER_STATE_INVALID: "the sender's nonce or balance does not allow it",
        ExitCode.SYS_ILLEGAL_INSTRUCTION: "the actor's code trapped",
        ExitCode.SYS_INVALID_RECEIVER: "the receiver does not exist and cannot be created",
        ExitCode.SYS_INSUFFICIENT_FUNDS: "the sender has insufficient funds for the value",
        ExitCode.SYS_OUT_OF_GAS: "out of gas",
        ExitCode.SYS_ILLEGAL_EXIT_CODE: "the actor exited with a code reserved for the system",
        ExitCode.SYS_ASSERTION_FAILED: "the machine could not carry out the call",
        ExitCode.SYS_MISSING_RETURN: "the actor returned a block that does not exist",
        ExitCode.SYS_ACTOR_ARCHIVED: "the receiver is archived: its rent has run out",
        ExitCode.USR_ILLEGAL_ARGUMENT: "an argument is invalid",
        ExitCode.USR_NOT_FOUND: "the requested item does not exist",
        ExitCode.USR_FORBIDDEN: "the caller may not do this",
        ExitCode.USR_INSUFFICIENT_FUNDS: "insufficient funds in the actor's accounts",
        ExitCode.USR_ILLEGAL_STATE: "the actor's state does not allow it",
        ExitCode.USR_SERIALIZATION: "parameters or state cannot be decoded or encoded",
        ExitCode.USR_UNHANDLED_MESSAGE: "the actor has no such method",
        ExitCode.USR_UNSPECIFIED: "the actor gave no reason",
        ExitCode.USR_ASSERTION_FAILED: "an assertion of the actor failed",
        ExitCode.USR_READ_ONLY: "state change in a read-only call",
        ExitCode.USR_NOT_PAYABLE: "the method does not accept value",
        ExitCode.EVM_CONTRACT_REVERTED: "the contract reverted",
        ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "the contract executed the opcode INVALID",
        ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "the contract executed an undefined opcode",
        ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "stack underflow in the contract",
        ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "stack overflow in the contract (more than 1,024 words)",
        ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS: "the contract accessed memory or data out of bounds",
        ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "the contract jumped to an invalid destination",
        ExitCode.EVM_CONTRACT_SELFDESTRUCT_FAILED: "the contract could not pay out its balance when destroyed",
    }
)
