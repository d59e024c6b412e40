"""The network's syscall ABI: the syscalls of each revision, and the steps around every syscall.

The order of these steps is consensus (ref-fvm fvm/src/syscalls/linker.rs): charge the gas that the guest has used since
the last charge; charge for the syscall; check the pointer for the result; check the buffer that the syscall writes to;
run the handler; set the guest's gas counter. The last step also runs if the syscall ends the invocation. If the result
pointer is invalid it is skipped: an oversight of the network that must be reproduced.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.tracing import SyscallEntered, SyscallLeft
from runtimes.wasm.syscalls import actors, crypto, ipld, network, vm
from runtimes.wasm.syscalls.invocation import MAX_COUNTER, WasmInvocation
from runtimes.wasm.syscalls.table import Syscall

ImportName = tuple[str, str]
Revision = MappingProxyType[ImportName, Syscall]


def _revision(*tables: tuple[Syscall, ...]) -> Revision:
    """Return one revision made of several tables; later entries replace earlier ones of the same name."""
    return MappingProxyType({(syscall.module, syscall.name): syscall for table in tables for syscall in table})


_SHARED = (
    vm.VM_SYSCALLS, ipld.SYSCALLS, actors.SELF_SYSCALLS, actors.ACTOR_SYSCALLS, actors.SEND_SYSCALLS,
    network.NETWORK_SYSCALLS, vm.EVENT_SYSCALLS, crypto.SYSCALLS, vm.GAS_SYSCALLS, vm.DEBUG_SYSCALLS,
    network.RAND_SYSCALLS,
)  # fmt: skip

_V4 = (*_SHARED, crypto.SYSCALLS_V4)

SYSCALL_REVISIONS: MappingProxyType[str, Revision] = MappingProxyType(
    {
        "v4": _revision(*_V4),
        "v3": _revision(*_SHARED, actors.SELF_SYSCALLS_V3, vm.EVENT_SYSCALLS_V3, network.RAND_SYSCALLS_V3),
        "v4+install_actor": _revision(*_V4, actors.SYSCALLS_INSTALL),
        "v4+upgrade_actor": _revision(*_V4, actors.SYSCALLS_UPGRADE),
        "v4+install_actor+upgrade_actor": _revision(*_V4, actors.SYSCALLS_INSTALL, actors.SYSCALLS_UPGRADE),
    }
)
"""Syscalls by import name and `MachineRules.revision`: v3 for network versions 18 to 20, v4 from 21 on."""
ALL_FEATURES = "v4+install_actor+upgrade_actor"
"""The revision with all syscalls of v4 and of every feature."""


@cache
def revision_named(name: str) -> Revision:
    """Return the syscalls of a `MachineRules.revision`, without those that it disables (`-module.name,module.name`)."""
    base, _, disabled = name.partition("-")
    lacking = disabled.split(",")
    syscalls = SYSCALL_REVISIONS[base].items()
    return MappingProxyType({key: syscall for key, syscall in syscalls if ".".join(key) not in lacking})


def syscall_runner(syscall: Syscall) -> Callable[[WasmInvocation, tuple[Any, ...]], int]:
    """Return a function that runs a syscall from its charges to its error number (0 for none)."""
    handler, size = syscall.handler, syscall.result
    first, count = 1 if size else 0, len(syscall.params)
    buffer = first + syscall.params.find("wI") if "wI" in syscall.params else None
    name = f"{syscall.module}::{syscall.name}"

    def perform(invocation: WasmInvocation, arguments: tuple[Any, ...]) -> int:
        kernel, memory, counter = invocation.kernel, invocation.memory, invocation.counter
        tracker, used = kernel.gas, invocation.counter_start - counter.value
        # Fast path around every syscall: without a tracer and with enough gas, both charges are one addition.
        total = tracker.used + kernel.prices.syscall + (used if used > 0 else 0)
        if tracker.tracer is None and total <= tracker.limit:
            tracker.used = total
        else:
            tracker.charge("wasm_exec", used if used > 0 else 0)
            if tracker.tracer is not None:
                tracker.tracer.event(SyscallEntered(name, arguments, memory))
            tracker.charge("OnSyscall", kernel.prices.syscall)
        if size:
            at = arguments[0]
            end = at + size
            if end > memory.size and end > memory.follow():
                return ErrorNumber.ILLEGAL_ARGUMENT  # no `set_gas_counter`, as on the network: see above
        try:
            if buffer is not None and arguments[buffer] + arguments[buffer + 1] > memory.size:
                memory.check(arguments[buffer], arguments[buffer + 1])
            # A call with a fixed number of arguments takes a third of the time of a call with a sequence.
            if count == 0:
                result = handler(invocation)
            elif count == 1:
                result = handler(invocation, arguments[first])
            elif count == 2:
                result = handler(invocation, arguments[first], arguments[first + 1])
            elif count == 3:
                result = handler(invocation, arguments[first], arguments[first + 1], arguments[first + 2])
            else:
                result = handler(invocation, *arguments[first:])
            if size:
                memory.data[at:end] = result  # type: ignore[assignment]  # handlers with a result return bytes
        except SyscallError as error:
            if tracker.tracer is not None:
                tracker.tracer.event(SyscallLeft(error.number, message=error.message))
            return error.number
        finally:
            left = tracker.limit - tracker.used
            counter.value = invocation.counter_start = left if left < MAX_COUNTER else MAX_COUNTER
        if tracker.tracer is not None:
            tracker.tracer.event(SyscallLeft(0, result or b""))
        return 0

    return perform
