"""Why a call failed, in words for people: how a failure went up through the calls, and what it began with.

A caller sees an exit code, or a contract's own words for it; the reason stays with the callee. It is carried up beside
the call, for receipts and error messages. No actor sees it, and no rule depends on it. Names and form: ref-fvm
fvm/src/call_manager/backtrace.rs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypervisor.address import Address
from hypervisor.exit_codes import ExitCode
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
"""Ends of a contract that no callee has brought about."""

_NO_DATA: Final = (b"", encode(b""))
"""What a contract returns that reverts without data: no block, or a byte string of none."""


class BacktraceFrame(NamedTuple):
    """An actor's exit with another code than 0. `returned` is the block that it gave its caller.

    `is_plain` if the message says no more than the exit code, as EVM contracts' messages do.
    """

    source: Address
    code: int
    message: str
    returned: bytes
    is_plain: bool = False


class Backtrace:
    """The frames that the last failure went through, from the bottom up, and the refusal that it began with.

    `cause` is a refused syscall or precompile in words; empty where the first frame's actor exited for its own reasons.
    """

    __slots__ = ("cause", "frames")

    def __init__(self) -> None:
        self.frames: list[BacktraceFrame] = []
        self.cause = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is no failure that could explain another one."""
        return not self.frames and not self.cause

    @property
    def reason(self) -> str:
        """What the failure began with; empty where nothing but its exit codes says so."""
        if self.cause or not self.frames:
            return self.cause
        return f"{self.frames[0].source}: {self.frames[0].message}"

    def clear(self) -> None:
        """Forget the failure: a call begins, or has ended well."""
        self.frames.clear()
        self.cause = ""

    def set_cause(self, words: str) -> None:
        """Begin with a refusal."""
        self.clear()
        self.cause = words

    def push_frame(self, frame: BacktraceFrame) -> None:
        """Add an exit, on top of its own last call's failure where that explains it; else the backtrace begins anew."""
        if not self._explains(frame):
            self.clear()
        if not self.is_empty or not (frame.is_plain or not frame.message or frame.code == ExitCode.SYS_OUT_OF_GAS):
            self.frames.append(frame)

    def _explains(self, frame: BacktraceFrame) -> bool:
        if frame.code in _OWN_FAULTS:
            return False
        if frame.code == ExitCode.SYS_OUT_OF_GAS:
            return bool(self.cause)  # else it ran out itself
        if frame.code != ExitCode.EVM_CONTRACT_REVERTED or frame.returned in _NO_DATA:
            return True
        # A contract with words of its own has caught the failure, unless these are the callee's, passed on.
        return bool(self.frames) and frame.returned == self.frames[-1].returned
