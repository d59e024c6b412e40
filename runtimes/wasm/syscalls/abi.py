"""The network's syscall ABI: the syscalls of each revision, and the steps around every syscall.

The order of these steps is consensus (ref-fvm fvm/src/syscalls/linker.rs): charge the gas that the guest has used since
the last charge; charge for the syscall; check the pointer for the result; check the buffer that the syscall writes to;
run the handler; set the guest's gas counter. The last step also runs if the syscall ends the invocation. If the result
pointer is invalid it is skipped: an oversight of the network that must be reproduced.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from threading import get_ident
from types import MappingProxyType

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


_SLOT = 16
_PADDING = {"i": "12x", "I": "12x", "q": "8x", "Q": "8x"}
_ERROR_NUMBER = struct.Struct("<I")

HostCall = Callable[[int, int, int, int], int]
"""A host function: (environment, caller, address of the arguments' slots, their number) -> trap, 0 for none."""


def argument_slots(syscall: Syscall) -> struct.Struct:
    """Return the layout of a call's arguments, one per slot of 16 bytes; its result replaces the first one."""
    letters = "".join(letter + _PADDING[letter] for letter in syscall.letters)
    return struct.Struct("<" + (letters or f"{_SLOT}x"))


def host_function(
    syscall: Syscall,
    innermost: Mapping[int, WasmInvocation | None],
    unattached_call_errors: MutableMapping[int, BaseException],
    trap: Callable[[], int],
) -> HostCall:
    """Return the host function of a syscall, which runs it from its charges to its error number (0 for none).

    It runs the syscall for the thread's entry in `innermost`. It raises nothing: an exception is stored in the
    invocation, or in `unattached_call_errors` if the thread has none, and `trap()` is returned.
    """
    handler, size = syscall.handler, syscall.result
    first, count = 1 if size else 0, len(syscall.params)
    buffer = first + syscall.params.find("wI") if "wI" in syscall.params else None
    name = f"{syscall.module}::{syscall.name}"
    layout, put = argument_slots(syscall), _ERROR_NUMBER.pack_into
    slots_at, unpack = (ctypes.c_char * layout.size).from_address, layout.unpack_from

    def run(_environment: int, _caller: int, address: int, _count: int) -> int:
        invocation = None
        try:
            invocation = innermost[get_ident()]
            if invocation is None:
                raise LookupError(f"{name} is called while no invocation is attached")
            slots = slots_at(address)
            arguments = unpack(slots)
            kernel = invocation.kernel
            memory, counter, tracker = invocation.memory, invocation.counter, kernel.gas
            used = invocation.counter_start - counter.value
            if not tracker.try_charge(kernel.prices.syscall + (used if used > 0 else 0)):
                tracker.charge("wasm_exec", used if used > 0 else 0)
                if tracker.tracer is not None:
                    tracker.tracer.event(SyscallEntered(name, arguments, memory))
                tracker.charge("OnSyscall", kernel.prices.syscall)
            if size:
                at = arguments[0]
                end = at + size
                if end > memory.size and end > memory.follow():
                    put(slots, 0, ErrorNumber.ILLEGAL_ARGUMENT)  # no `set_gas_counter`, as on the network: see above
                    return 0
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
                if tracker.tracer is not None:
                    tracker.tracer.event(SyscallLeft(0, result or b""))
                put(slots, 0, 0)
            except SyscallError as error:
                if tracker.tracer is not None:
                    tracker.tracer.event(SyscallLeft(error.number, message=error.message))
                put(slots, 0, error.number)
            finally:
                left = tracker.limit - tracker.used
                counter.value = invocation.counter_start = left if left < MAX_COUNTER else MAX_COUNTER
        except BaseException as error:  # noqa: BLE001  # nothing may leave a callback: rule 2 of `raw`
            if invocation is None:
                unattached_call_errors[get_ident()] = error
            else:
                invocation.failure = error
            return trap()
        return 0

    return run
