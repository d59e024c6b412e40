"""Memory charges of an invocation, and its end if memory is exhausted, as in the official module."""

from typing import Final

from hypervisor.errors import ActorExit
from hypervisor.exit_codes import ExitCode
from runtimes.evm.rules import EvmRules
from runtimes.evm.syscalls import Syscalls

TWO_GIB: Final = 2 << 30
"""Size in bytes at which the official module panics instead of allocating."""


def charge_memory(syscalls: Syscalls, milligas: int) -> None:
    """Charge for memory."""
    syscalls.charge("OnEvmMemory", milligas)


def hold(
    syscalls: Syscalls,
    rules: EvmRules,
    size: int,
    copies: int = 1,
    *,
    frame_memory: int = 0,
    failure: ExitCode = ExitCode.SYS_ILLEGAL_INSTRUCTION,
) -> None:
    """Charge for copies of `size` bytes each, held in addition to `frame_memory` bytes of the frame's memory.

    What fits in the initial memory is free. Raises ActorExit: 24 for a copy of 2 GiB and more, else `failure` if the
    copies exceed an instance's limit, after one copy was charged.
    """
    if size >= TWO_GIB:
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"{size} bytes: capacity overflow")
    needed = size * copies
    if needed <= rules.free_memory:
        return
    if frame_memory + needed > rules.max_frame_memory:
        charge_memory(syscalls, size * rules.memory_growth_price)
        raise ActorExit(failure, message=f"{copies} copies of {size} bytes cannot be allocated")
    charge_memory(syscalls, needed * (rules.memory_fill_price + rules.memory_growth_price))
