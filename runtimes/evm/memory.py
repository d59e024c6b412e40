"""What an invocation pays for memory, and how it ends where there is none: as the official module's instance does."""

from typing import Final

from hypervisor.errors import ActorExit
from hypervisor.exit_codes import ExitCode
from runtimes.evm.rules import EvmRules
from runtimes.evm.syscalls import Syscalls

TWO_GIB: Final = 2 << 30
"""The size at which the module no longer asks for memory, but panics."""


def charge_memory(syscalls: Syscalls, milligas: int) -> None:
    """Pay for memory."""
    syscalls.charge("OnEvmMemory", milligas)


def hold(
    syscalls: Syscalls,
    rules: EvmRules,
    size: int,
    copies: int = 1,
    *,
    beside: int = 0,
    failure: ExitCode = ExitCode.SYS_ILLEGAL_INSTRUCTION,
) -> None:
    """Pay for copies of `size` bytes each, held beside `beside` bytes of the frame's own.

    What the first memory holds is free. Raises ActorExit: 24 for a copy of 2 GiB and more, else `failure` for what no
    instance can hold, which has asked for one copy by then and paid for it.
    """
    if size >= TWO_GIB:
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"{size} bytes: capacity overflow")
    needed = size * copies
    if needed <= rules.free_memory:
        return
    if beside + needed > rules.max_frame_memory:
        charge_memory(syscalls, size * rules.memory_growth_price)
        raise ActorExit(failure, message=f"{copies} copies of {size} bytes cannot be held")
    charge_memory(syscalls, needed * (rules.memory_fill_price + rules.memory_growth_price))
