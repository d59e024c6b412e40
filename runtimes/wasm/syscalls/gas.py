"""Syscalls `gas.*`: an actor's own charges, and the remaining gas. Source: ref-fvm syscalls/gas.rs."""

from hypervisor.gas import MILLIGAS_PER_GAS, to_milligas
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import U64, Syscall


def charge(call: WasmInvocation, offset: int, length: int, amount: int) -> None:
    """Charge gas under a name."""
    # check
    name = call.memory.read_text(offset, length)
    # charge
    call.kernel.gas.charge(name, to_milligas(amount))


def available(call: WasmInvocation) -> bytes:
    """Return the remaining gas, rounded down."""
    # return
    return U64.pack(call.kernel.gas.available // MILLIGAS_PER_GAS)


GAS_SYSCALLS = (
    Syscall("gas", "charge", charge, "rIQ"),
    Syscall("gas", "available", available, "", U64),
)
