"""Gas and time by guest function, and coverage: a runtime whose actors record their call tree and executed blocks.

Counts are exact, and charges and results are those of a plain run. `hypervisor.machine.profile` evaluates the records
and finds this runtime by its name in `machine.registry`.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from hypervisor.kernel import Kernel
from hypervisor.machine.profile import ProfiledInvocation, ProfileNode, ProfileRecorder
from hypervisor.machine.registry import RuntimeServices
from hypervisor.threads import once
from runtimes.wasm.boundary import Boundary, ResolvedModule
from runtimes.wasm.module import encode
from runtimes.wasm.module.blocks import code_blocks
from runtimes.wasm.module.opcodes import PAGE_BYTES, WasmPrices
from runtimes.wasm.module.parser import WasmModule, function_label, function_names, parse_module
from runtimes.wasm.modules import GuestModule, GuestModules, code_prices
from runtimes.wasm.profiled_code import (
    BLOCKS_AT,
    HEAD,
    NODE,
    PAGES,
    PROFILE_EXPORT,
    REVISION,
    ROOT,
    ProfilingBoundary,
    ProfilingEncoder,
)
from runtimes.wasm.runtime import WasmRuntime
from runtimes.wasm.syscalls.abi import Revision
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.engine import profiling_engine
from runtimes.wasmtime.instance import Instance
from store.cid import Cid

_PROFILE: Final = PROFILE_EXPORT.encode()


class ProfilingRuntime(WasmRuntime):
    """The native runtime with profiling, for one machine."""

    def __init__(self, services: RuntimeServices) -> None:
        super().__init__(services)
        self.recorder = ProfileRecorder()
        self._profiled: dict[tuple[Cid, str, WasmPrices], GuestModule] = {}

    def _module(self, kernel: Kernel, code: Cid) -> GuestModule:
        network = kernel.machine.context.network
        revision, prices = network.rules.revision, code_prices(network.prices)
        found = self._profiled.get((code, revision, prices))
        if found is None:
            super()._module(kernel, code)  # rejects what a plain run rejects
            wasm = kernel.load_code(code)
            self.recorder.modules[code] = self.recorder.name_of(code), wasm
            plain = _modules().load(self._digest(code, wasm), wasm, revision, prices)
            linked = _ProfiledModule(plain.linked, self.recorder, code, _labels(wasm), len(code_blocks(wasm)))
            found = self._profiled[code, revision, prices] = GuestModule(linked, plain.facts)
        return found


class _ProfiledModule:
    """A profiled module: a `boundary.ResolvedModule` that records profiles."""

    def __init__(
        self, linked: ResolvedModule, recorder: ProfileRecorder, code: Cid, labels: Labels, blocks: int
    ) -> None:
        self._linked = linked
        self._blocks = blocks
        self._recorder = recorder
        self._code = code
        self._labels = labels
        self.detach, self.attach = linked.detach, linked.attach
        self.take_unattached_call_error = linked.take_unattached_call_error

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        # The limit applies to each memory of the instance, so it must admit the profile's. `instantiate` then sets the
        # limit of the guest's own memory; that of the profile never grows.
        invocation = self._linked.begin(kernel, max(memory_bytes, PAGES * PAGE_BYTES), table_elements)
        context = kernel.context
        notes = ProfiledInvocation(
            context.receiver, context.method, self._code, ProfileNode("?"), max_memory_bytes=memory_bytes
        )
        notes.begun = perf_counter_ns()
        self._recorder.begin(notes)
        invocation.profile = notes
        return invocation

    def instantiate(self, invocation: WasmInvocation) -> None:
        self._linked.instantiate(invocation)
        instance = invocation.instance
        assert isinstance(instance, Instance)
        instance.limit_memory(invocation.profile.max_memory_bytes)
        address, _ = instance.exported_memory(_PROFILE)
        ctypes.memmove(address, HEAD.pack(ROOT, ROOT + NODE.size, 0), HEAD.size)
        invocation.profile.current_node = lambda: _current_node(instance)
        invocation.profile.functions = lambda: _functions(instance, self._labels)

    def end(self, invocation: WasmInvocation) -> None:
        notes: ProfiledInvocation = invocation.profile
        try:
            if notes.current_node is not None:
                instance = invocation.instance
                assert isinstance(instance, Instance)
                address, _ = instance.exported_memory(_PROFILE)
                self._recorder.cover(self._code, ctypes.string_at(address + BLOCKS_AT, self._blocks))
                if self._recorder.keeps_calls:
                    notes.root = _tree(notes, invocation, self._labels)
        finally:
            self._linked.end(invocation)
            self._recorder.end()


@once
def _modules() -> ProfiledModules:
    """Return the profiled modules of this process."""
    return ProfiledModules(default_folder())


def _current_node(instance: Instance) -> int:
    """Return the innermost node of a running guest."""
    address, _ = instance.exported_memory(_PROFILE)
    current: int = HEAD.unpack(ctypes.string_at(address, HEAD.size))[0]
    return current


def _functions(instance: Instance, labels: Labels) -> list[str]:
    """Return the names of the functions on the stack of a running guest, innermost first."""
    address, _ = instance.exported_memory(_PROFILE)
    current, end, _ = HEAD.unpack(ctypes.string_at(address, HEAD.size))
    data = ctypes.string_at(address, end)
    syscalls, names = labels
    found: list[str] = []
    while current != ROOT:
        function, caller, *_ = NODE.unpack_from(data, current)
        if function >= len(syscalls):
            found.append(function_label(names, function))
        current = caller
    return found


Labels = tuple[tuple[str, ...], dict[int, str]]
"""The syscalls that a module imports, in order, and the names of its functions."""


@lru_cache(16)
def _labels(wasm: bytes) -> Labels:
    imported = parse_module(wasm).imported_functions
    return tuple(f"{item.module}::{item.name}" for item in imported), function_names(wasm)


def _tree(notes: ProfiledInvocation, invocation: WasmInvocation, labels: Labels) -> ProfileNode:
    """Return the call tree of a finished invocation, including the invocations it made."""
    instance = invocation.instance
    assert isinstance(instance, Instance)
    address, _ = instance.exported_memory(_PROFILE)
    current, end, last = HEAD.unpack(ctypes.string_at(address, HEAD.size))
    data = ctypes.string_at(address, end)
    syscalls, names = labels
    nodes: dict[int, ProfileNode] = {ROOT: ProfileNode("")}
    for at in range(ROOT + NODE.size, end, NODE.size):
        function, caller, _, _, milligas, count = NODE.unpack_from(data, at)
        is_syscall = function < len(syscalls)
        label = syscalls[function] if is_syscall else function_label(names, function)
        nodes[at] = ProfileNode(label, is_syscall, milligas, count)
        nodes[caller].calls.append(nodes[at])  # a caller's node is created first
    if current != ROOT:
        nodes[current].milligas += last - max(0, instance.counter.value)
    for at, called in notes.under:
        nodes[at].invocations.append(called)
        nodes[at].milligas -= called.milligas
    nodes[ROOT].milligas = 0
    notes.milligas = sum(node.milligas for node in nodes.values()) + sum(called.milligas for _, called in notes.under)
    return nodes[ROOT]


class ProfiledModules(GuestModules):
    """A `GuestModules` for profiled runs; their disk cache must not evict plain modules."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(profiling_engine(), ModuleCache(None if folder is None else folder / f"profiled-{REVISION}"))

    def _open(self, revision: Revision) -> Boundary:
        return ProfilingBoundary(self._engine, revision)

    def _instrument(self, module: WasmModule, prices: WasmPrices) -> bytes:
        return encode.instrument(module, prices, ProfilingEncoder)
