"""Texts of failures: revert data without an interface, and go-ethereum's texts of frames and instructions.

Revert data are Solidity's built-in errors, else hexadecimal.

`revert_reason` uses Lotus' format, `reverted_with` that of Ethereum tools (anvil, forge).

`Error(string)` comes from `require` and `revert`, `Panic(uint256)` from the compiler's checks. Custom errors require an
interface (`bridge.abi.abi`). Source: the Solidity documentation, and lotus node/impl/eth for names and for data that
does not match its selector; go-ethereum core/vm/errors.go for the texts by exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ErrorNumber, ExitCode, exit_name

_ERROR: Final = bytes.fromhex("08c379a0")  # Error(string)
_PANIC: Final = bytes.fromhex("4e487b71")  # Panic(uint256)
_DESCRIBED: Final = "NonZeroExitCode"
_EXIT_ERRORS: Final = {
    bytes.fromhex("c9ed4577"): "Exit",  # Exit(int256)
    bytes.fromhex("d4bb6671"): "ActorError",  # ActorError(int256)
    bytes.fromhex("486029fd"): _DESCRIBED,  # NonZeroExitCode(int256,string): the text is the name of the code
}
"""Errors of filecoin-solidity and similar libraries by their selectors."""
_WORD: Final = 32
_PANICS: Final = {
    0x00: "Panic()",
    0x01: "Assert()",
    0x11: "ArithmeticOverflow()",
    0x12: "DivideByZero()",
    0x21: "InvalidEnumVariant()",
    0x22: "InvalidStorageArray()",
    0x31: "PopEmptyArray()",
    0x32: "ArrayIndexOutOfBounds()",
    0x41: "OutOfMemory()",
    0x51: "CalledUninitializedFunction()",
}
_PANIC_WORDS: Final = {
    0x00: "generic/unspecified error",
    0x01: "assertion failed",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "failed to convert value into enum type",
    0x22: "storage byte array incorrectly encoded",
    0x31: "called `.pop()` on an empty array",
    0x32: "array out-of-bounds access",
    0x41: "memory allocation error",
    0x51: "called an invalid internal function",
}


def error_text(data: bytes) -> str | None:
    """Return the text of an `Error(string)`, with invalid UTF-8 replaced; None for other or malformed data."""
    selector, head, length, text = data[:4], data[4:36], data[36:68], data[68:]
    if selector != _ERROR or len(length) != _WORD or int.from_bytes(head, "big") != _WORD:
        return None
    size = int.from_bytes(length, "big")
    return text[:size].decode("utf-8", "replace") if size <= len(text) else None


def panic_code(data: bytes) -> int | None:
    """Return the code of a `Panic(uint256)`; None for other data."""
    selector, body = data[:4], data[4:]
    return int.from_bytes(body, "big") if selector == _PANIC and len(body) == _WORD else None


def revert_reason(data: bytes) -> str:
    """Format revert data: `Error(text)`, the name of a panic, other data in hex, `none` if empty."""
    if not data:
        return "none"
    text = error_text(data)
    if text is not None:
        return f"Error({text})"
    code = panic_code(data)
    return f"0x{data.hex()}" if code is None else _PANICS.get(code, f"Panic(0x{code:x})")


def exit_error(data: bytes) -> str | None:
    """Format an error with the exit code of a failed actor call: `Exit(18 USR_FORBIDDEN)`; None for other data.

    These are the errors of Solidity libraries for Filecoin. A negative code is the number of a failed syscall.
    """
    name, body = _EXIT_ERRORS.get(data[:4]), data[4:]
    if name is None or len(body) < _WORD or (name != _DESCRIBED and len(body) != _WORD):
        return None
    code = int.from_bytes(body[:_WORD], "big", signed=True)
    if not 1 - (1 << 32) <= code < 1 << 32:
        return None
    known = exit_name(code, native=True) if code >= 0 else _syscall_name(-code)
    return f"{name}({code}{'' if known == str(code) else f' {known}'})"


def _syscall_name(number: int) -> str:
    return next((known.name for known in ErrorNumber if known == number), str(-number))


def panic_text(code: int) -> str:
    """Format a panic like Ethereum tools."""
    return f"panic: {_PANIC_WORDS.get(code, 'unknown code')} (0x{code:02x})"


def reverted_with(data: bytes) -> str | None:
    """Format revert data like Ethereum tools, a custom error by selector and data; None if empty."""
    if not data:
        return None
    text, code = error_text(data), panic_code(data)
    if text is not None:
        return text
    if code is not None:
        return panic_text(code)
    selector, rest = data[:4], data[4:]
    if len(selector) < 4:
        return f"custom error bytes 0x{selector.hex()}"
    return f"custom error 0x{selector.hex()}" + (f": {rest.hex()}" if rest else "")


class LogTooLong(HypervisorError):
    """Raised when a trace exceeds its maximum size."""


REVERTED: Final = "execution reverted"
UINT64_OVERFLOW: Final = "gas uint64 overflow"

TEXTS: Final[Mapping[int, str]] = MappingProxyType({
    ExitCode.SYS_INSUFFICIENT_FUNDS: "insufficient balance for transfer",
    ExitCode.SYS_OUT_OF_GAS: "out of gas",
    ExitCode.USR_READ_ONLY: "write protection",
    ExitCode.EVM_CONTRACT_REVERTED: REVERTED,
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "invalid opcode: INVALID",
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "invalid opcode",
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "stack underflow",
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "stack limit reached 1024 (1023)",
    ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS: "return data out of bounds",
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "invalid jump destination",
})  # fmt: skip

_MESSAGES: Final[Mapping[str, str]] = MappingProxyType({
    "writing a slot needs more gas than a transfer's stipend": "out of gas: not enough gas for reentrancy sentry",
    "code begins with the reserved byte 0xef": "invalid code: must not begin with 0xef",
    "a memory offset or size exceeds 32 bits": UINT64_OVERFLOW,
    "the gas left does not pay for the contract's code": "contract creation code storage out of gas",
})  # fmt: skip
"""Texts of failures that go-ethereum distinguishes within an exit code, by the machine's message."""

_FAULTS: Final[Mapping[str, ExitCode]] = MappingProxyType({
    "OutOfGas": ExitCode.SYS_OUT_OF_GAS,
    "READ_ONLY": ExitCode.USR_READ_ONLY,
    "InsufficientStack": ExitCode.EVM_CONTRACT_STACK_UNDERFLOW,
    "FullStack": ExitCode.EVM_CONTRACT_STACK_OVERFLOW,
    "OutOfBoundsRead": ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS,
    "InvalidJumpDestination": ExitCode.EVM_CONTRACT_BAD_JUMPDEST,
})  # fmt: skip
"""Exit codes of faults reported by engines, if the name is not the end of the exit code's name."""


def failure_text(exit_code: int, message: str, *, creates: bool) -> str:
    """Return go-ethereum's text for a failed call, or an empty string; `message` is the machine's."""
    if creates and exit_code == ExitCode.USR_FORBIDDEN:
        return "contract address collision"
    if message.startswith("max code size exceeded"):
        return message
    if message.startswith("max initcode size exceeded"):
        return f"{TEXTS[ExitCode.SYS_OUT_OF_GAS]}: {message}"
    return _MESSAGES.get(message) or TEXTS.get(exit_code, "")


def fault_text(reason: str) -> str:
    """Return go-ethereum's text for the fault of an instruction (`bridge.evm_steps`), or the reason itself."""
    code = fault_code(reason)
    return reason if code is None else TEXTS.get(code, reason)


def fault_code(reason: str) -> ExitCode | None:
    """Return the exit code of an instruction's fault, None for one that has none."""
    return _FAULTS.get(reason) or ExitCode.__members__.get(f"EVM_CONTRACT_{reason}")
