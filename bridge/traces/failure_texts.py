"""go-ethereum's error texts of frames and instructions (core/vm/errors.go), by exit code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode


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
