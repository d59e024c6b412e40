"""The reason of a failed call: the exits it passed through, and the failure that started it.

A caller sees only an exit code or revert data. The backtrace is recorded separately for receipts and error messages;
actors cannot see it, and no rule depends on it. Source: ref-fvm fvm/src/call_manager/backtrace.rs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from store.codec import encode

_OWN_FAULTS = frozenset({
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION,
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION,
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW,
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW,
    ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS,
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST,
    ExitCode.EVM_CONTRACT_SELFDESTRUCT_FAILED,
})  # fmt: skip
"""Exit codes of a contract that are never caused by a callee."""

_NO_DATA: Final = (b"", encode(b""))
"""Return values of a contract that reverts without data: no block, or an empty byte string."""


class BacktraceFrame(NamedTuple):
    """A nonzero exit of an actor. `returned` is the block returned to the caller.

    `is_plain` is true if the message adds nothing to the exit code, as for EVM contracts.
    """

    source: Address
    code: int
    message: str
    returned: bytes
    is_plain: bool = False


class Backtrace:
    """Frames of the last failure, innermost first, and the error that caused it.

    `cause` describes a failed syscall or precompile; it is empty if the first frame's actor exited by itself.
    """

    __slots__ = ("cause", "frames")

    def __init__(self) -> None:
        self.frames: list[BacktraceFrame] = []
        self.cause = ""

    @property
    def is_empty(self) -> bool:
        """True if there is no failure that could explain another one."""
        return not self.frames and not self.cause

    @property
    def reason(self) -> str:
        """Description of the original failure; empty if only exit codes are known."""
        if self.cause or not self.frames:
            return self.cause
        return f"{self.frames[0].source}: {self.frames[0].message}"

    def clear(self) -> None:
        """Discard the failure, when a call begins or succeeds."""
        self.frames.clear()
        self.cause = ""

    def set_cause(self, message: str) -> None:
        """Start a new backtrace with an error."""
        self.clear()
        self.cause = message

    def push_frame(self, frame: BacktraceFrame) -> None:
        """Add an exit to the failure that caused it, or start a new backtrace if it is unrelated."""
        if not self._explains(frame):
            self.clear()
        if not self.is_empty or not (frame.is_plain or not frame.message or frame.code == ExitCode.SYS_OUT_OF_GAS):
            self.frames.append(frame)

    def _explains(self, frame: BacktraceFrame) -> bool:
        if frame.code in _OWN_FAULTS:
            return False
        if frame.code == ExitCode.SYS_OUT_OF_GAS:
            return bool(self.cause)  # otherwise the actor itself ran out of gas
        if frame.code != ExitCode.EVM_CONTRACT_REVERTED or frame.returned in _NO_DATA:
            return True
        # A contract with its own revert data handled the failure, unless it passes on the callee's data.
        return bool(self.frames) and frame.returned == self.frames[-1].returned
