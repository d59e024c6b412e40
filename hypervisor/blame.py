"""Why a call failed, in words for people: the innermost failure that explains it.

A caller sees an exit code, or a contract's own words for it; the reason stays with the callee. It is carried up beside
the call, for receipts and error messages. No actor sees it, and no rule depends on it.
"""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.exit_codes import ExitCode

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


class Blame(NamedTuple):
    """A failure in words. `exit_code` is that of the call that failed, None where it could not be made."""

    words: str
    exit_code: int | None = None


def blame_for(receiver: object, exit_code: int, message: str, inner: Blame | None) -> Blame | None:
    """What explains that a call ended with an exit code; `inner` is its own last call, if that failed."""
    ran_out_itself = exit_code == ExitCode.SYS_OUT_OF_GAS and inner is not None and inner.exit_code is not None
    if inner is not None and exit_code not in _OWN_FAULTS and not ran_out_itself:
        return inner
    if not message or exit_code == ExitCode.SYS_OUT_OF_GAS or _is_plain(message):
        return None
    return Blame(f"{receiver}: {message}", exit_code)


def _is_plain(message: str) -> bool:
    """Whether a message says what a contract's exit code says already, as EVM actors' do."""
    return message == "contract reverted" or f"EVM_CONTRACT_{message}" in ExitCode.__members__
