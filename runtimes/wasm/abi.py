"""The network's syscall ABI: which syscalls there are at each revision, and what happens around every one of them.

The order around a syscall is consensus (ref-fvm fvm/src/syscalls/linker.rs): charge what the guest has used since the
last time; charge for the call; check the pointer for the result; do it; tell the guest what is left. The last step is
taken even where the syscall ends the invocation, and, by an oversight of the network's that must be copied, not taken
where the pointer for the result is bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.tracing import SyscallEntered, SyscallLeft
from runtimes.wasm.memory import GuestMemory
from runtimes.wasm.syscalls import actor, crypto, debug, event, gas, ipld, network, rand, self_, send, vm
from runtimes.wasm.syscalls.table import Syscall
from runtimes.wasmtime.raw import Counter

MAX_COUNTER = (1 << 63) - 1

ImportName = tuple[str, str]
Revision = MappingProxyType[ImportName, Syscall]


def _revision(*tables: tuple[Syscall, ...]) -> Revision:
    """A revision of tables; what comes later replaces what came before under the same name."""
    return MappingProxyType({(syscall.module, syscall.name): syscall for table in tables for syscall in table})


_SHARED = (
    vm.SYSCALLS, ipld.SYSCALLS, self_.SYSCALLS, actor.SYSCALLS, send.SYSCALLS, network.SYSCALLS, event.SYSCALLS,
    crypto.SYSCALLS, gas.SYSCALLS, debug.SYSCALLS, rand.SYSCALLS,
)  # fmt: skip

_V4 = (*_SHARED, crypto.SYSCALLS_V4)

REVISIONS: MappingProxyType[str, Revision] = MappingProxyType(
    {
        "v4": _revision(*_V4),
        "v3": _revision(*_SHARED, self_.SYSCALLS_V3, event.SYSCALLS_V3, rand.SYSCALLS_V3),
        "v4+install_actor": _revision(*_V4, actor.SYSCALLS_INSTALL),
        "v4+upgrade_actor": _revision(*_V4, actor.SYSCALLS_UPGRADE),
        "v4+install_actor+upgrade_actor": _revision(*_V4, actor.SYSCALLS_INSTALL, actor.SYSCALLS_UPGRADE),
    }
)
"""Syscalls by import name and `MachineRules.revision`: v3 for network versions 18 to 20, v4 from 21 on."""
FULLEST = "v4+install_actor+upgrade_actor"
"""The revision that has all of v4's, and those of every feature."""


class Guest(Protocol):
    """One instance in a store of its own, as a boundary offers it. Numbers are unsigned."""

    @property
    def counter(self) -> Counter:
        """The gas counter that was found."""

    def find_memory(self) -> bool:
        """Find the exported memory; False if there is none."""

    def find_gas(self, name: bytes) -> bool:
        """Find the gas counter, an exported global of type i64; False if there is none."""

    def find_function(self, name: bytes) -> bool:
        """Find the function to enter; False if there is none."""

    def memory(self) -> tuple[int, int]:
        """Address and size in bytes of the memory, as they are now."""

    def enter(self, argument: int) -> int:
        """Call the function that was found, (i32) -> i32; raises Trap."""

    def enter_with(self, first: int, second: int) -> int:
        """Call the function that was found, (i32, i32) -> i32; raises Trap."""

    def start(self) -> None:
        """Call the function that was found, () -> (); raises Trap."""


@dataclass(slots=True)
class WasmInvocation:
    """One guest at work: its kernel, its instance, and the gas that its counter was last set to (milligas)."""

    kernel: Kernel
    instance: Guest
    memory: GuestMemory
    counter_start: int = 0
    counted: int = 0
    """Bytes of the guest's memory that are counted in the message's budget."""
    failure: BaseException | None = None
    """What ended the invocation inside a host function, to be raised once the guest has unwound."""
    around: WasmInvocation | None = None
    """The invocation in which this one was begun on its thread, where the boundary keeps that here."""
    profile: Any = None
    """What a profile notes of it (`profiling`)."""

    def charge_execution(self) -> None:
        """Charge what the guest has used since its counter was set; raises OutOfGas where its counter is negative."""
        used = self.counter_start - self.instance.counter.value
        self.kernel.gas.charge("wasm_exec", used if used > 0 else 0)

    def set_gas_counter(self) -> None:
        """Set the guest's counter to what is left."""
        left = self.kernel.gas.available
        self.instance.counter.value = self.counter_start = left if left < MAX_COUNTER else MAX_COUNTER

    def account_memory(self) -> None:
        """Count how far the guest's memory has grown, before another guest takes its share."""
        size = self.memory.follow()
        if size > self.counted:
            self.kernel.memory.grow(self.counted, size)
            self.counted = size


def performer(syscall: Syscall) -> Callable[[WasmInvocation, tuple[Any, ...]], int]:
    """What a syscall does from its charges to its error number, 0 for none."""
    handler, size = syscall.handler, syscall.result
    name = f"{syscall.module}::{syscall.name}"

    def perform(invocation: WasmInvocation, arguments: tuple[Any, ...]) -> int:
        kernel, memory, counter = invocation.kernel, invocation.memory, invocation.instance.counter
        gas, used = kernel.gas, invocation.counter_start - counter.value
        # Both charges at once where there is no listener and there is gas for them: this is done around every syscall.
        total = gas.used + kernel.prices.syscall + (used if used > 0 else 0)
        if gas.tracer is None and total <= gas.limit:
            gas.used = total
        else:
            gas.charge("wasm_exec", used if used > 0 else 0)
            if gas.tracer is not None:
                gas.tracer.event(SyscallEntered(name, arguments, memory))
            gas.charge("OnSyscall", kernel.prices.syscall)
        if size and arguments[0] + size > memory.size and not memory.reaches(arguments[0] + size):
            return ErrorNumber.ILLEGAL_ARGUMENT  # without `set_gas_counter`: the network's oversight, see above
        try:
            if size:
                memory.write(arguments[0], handler(invocation, *arguments[1:]))  # type: ignore[arg-type]
            else:
                handler(invocation, *arguments)
        except SyscallError as error:
            if gas.tracer is not None:
                gas.tracer.event(SyscallLeft(error.number, message=error.message))
            return error.number
        finally:
            left = gas.limit - gas.used
            counter.value = invocation.counter_start = left if left < MAX_COUNTER else MAX_COUNTER
        if gas.tracer is not None:
            gas.tracer.event(SyscallLeft(0, memory.read(arguments[0], size) if size else b""))
        return 0

    return perform
