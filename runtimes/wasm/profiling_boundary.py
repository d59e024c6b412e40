"""The boundary of profiled runs: a `boundary.RawBoundary` that measures the time of each syscall.

Profiled code is several times slower than plain code. So at each tick of the engine, a running guest is ended if its
message was stopped (`gas.stopped`): its gas counter is set to -1.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from threading import get_ident
from time import perf_counter_ns
from typing import Any, Protocol

from hypervisor.kernel import Kernel
from runtimes.wasm.boundary import RawBoundary, RawResolvedModule, ResolvedModule
from runtimes.wasm.syscalls.abi import Revision, syscall_runner
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import Syscall
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import EpochCallback
from runtimes.wasmtime.ticks import Ticks


class TimedInvocation(Protocol):
    """The times recorded for an invocation."""

    nested_ns: int
    """Nanoseconds spent in nested invocations."""
    syscall_ns: dict[str, int]
    """Mapping from syscall to nanoseconds spent in it, without nested invocations."""


class ProfilingBoundary(RawBoundary):
    """A boundary that measures syscalls and adds a second memory to guests, for the profile."""

    def __init__(self, engine: WasmtimeEngine, revision: Revision) -> None:
        super().__init__(engine, revision, memories=2)
        self._ticks = Ticks(engine)
        self._at_tick = EpochCallback(self._check_at_tick)

    def link(self, module: CompiledModule) -> ResolvedModule:
        return _InterruptibleModule(self, module, self._ticks, self._at_tick)

    def _syscall_function(self, syscall: Syscall) -> Callable[[WasmInvocation, tuple[Any, ...]], int]:
        perform, name = syscall_runner(syscall), f"{syscall.module}::{syscall.name}"

        def timed(invocation: WasmInvocation, arguments: tuple[Any, ...]) -> int:
            profile: TimedInvocation = invocation.profile
            nested, start = profile.nested_ns, perf_counter_ns()
            try:
                return perform(invocation, arguments)
            finally:
                own = perf_counter_ns() - start - (profile.nested_ns - nested)
                profile.syscall_ns[name] = profile.syscall_ns.get(name, 0) + own

        return timed

    def _check_at_tick(self, _context: int, _environment: int, ticks: int, _kind: int) -> int:
        ctypes.c_uint64.from_address(ticks).value = 1
        invocation = self.innermost.get(get_ident())
        if invocation is not None and invocation.kernel.gas.stopped:
            invocation.instance.counter.value = -1
        return 0


class _InterruptibleModule(RawResolvedModule):
    """A linked module whose running instances can be interrupted at each tick of the engine."""

    def __init__(self, boundary: RawBoundary, module: CompiledModule, ticks: Ticks, callback: Any) -> None:
        super().__init__(boundary, module)
        self._ticks = ticks
        self._callback = callback

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        self._ticks.begin()
        try:
            invocation = super().begin(kernel, memory_bytes, table_elements)
        except BaseException:
            self._ticks.end()
            raise
        instance = invocation.instance
        assert isinstance(instance, Instance)
        instance.follow_epochs(self._callback)
        return invocation

    def end(self, invocation: WasmInvocation) -> None:
        self._ticks.end()
        super().end(invocation)
