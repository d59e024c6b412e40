"""The boundary between Python and guests: syscalls as host functions, and the setup of an invocation.

The protocol has two implementations: `RawBoundary` uses `raw` and is the default; `plain.PlainBoundary` uses the public
wrappers of wasmtime-py, is about ten times slower, and serves as its oracle. The machine option `boundary` or the
environment variable FVM_BOUNDARY selects `raw` or `plain`. The semantics of a syscall are in `abi`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from threading import get_ident
from typing import Protocol

from hypervisor.errors import InvalidInput
from hypervisor.kernel import Kernel
from runtimes.wasm.syscalls.abi import HostCall, Revision, host_function
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import Syscall
from runtimes.wasmtime.engine import CompiledModule, LinkedModule, Linker, WasmtimeEngine
from runtimes.wasmtime.instance import ContextOffsets, Instance
from runtimes.wasmtime.raw import TRAP_INTERRUPT, HostFunction

RAW, PLAIN = "raw", "plain"
ENVIRONMENT = "FVM_BOUNDARY"


class ResolvedModule(Protocol):
    """A module linked against one revision of the syscalls."""

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        """Create an empty store with these limits for one invocation; `end` deletes it."""

    def instantiate(self, invocation: WasmInvocation) -> None:
        """Create the instance; raises Trap if it exceeds its limits or a segment does not fit."""

    def end(self, invocation: WasmInvocation) -> None:
        """Delete the store and its contents."""

    def detach(self, invocation: WasmInvocation) -> None:
        """Hide the invocation from host functions until `attach`."""

    def attach(self, invocation: WasmInvocation) -> None:
        """Make the invocation visible to host functions again."""

    def take_unattached_call_error(self, invocation: WasmInvocation) -> BaseException | None:
        """Return and clear the error of a host function that was called while no invocation was attached."""


class Boundary(Protocol):
    """The syscalls of one revision as host functions of one engine."""

    def link(self, module: CompiledModule) -> ResolvedModule:
        """Resolve a module's imports; raises InvalidModule if one is unknown or has another signature."""


def selected_boundary(options: Mapping[str, str]) -> str:
    """Return the boundary selected by a machine's options or the environment."""
    name = options.get("boundary") or os.environ.get(ENVIRONMENT) or RAW
    if name not in (RAW, PLAIN):
        raise InvalidInput(f"boundary '{name}' is not known: choose {RAW} or {PLAIN}")
    return name


class RawBoundary:
    """The boundary over `raw`; it follows the rules listed there.

    A host function finds its invocation by thread: at most one guest runs on a thread, and its callers wait. So one
    linker serves all invocations on all threads. `innermost` holds the innermost invocation of each thread, and
    `unattached_call_errors` the errors of host functions called without an attached invocation. A store may hold
    `memories` memories.
    """

    def __init__(self, engine: WasmtimeEngine, revision: Revision, memories: int = 1) -> None:
        self.engine = engine
        self.memories = memories
        self.innermost: dict[int, WasmInvocation | None] = {}
        self.unattached_call_errors: dict[int, BaseException] = {}
        self._callbacks = [(syscall, HostFunction(self._host_function(syscall))) for syscall in revision.values()]
        self._linkers: dict[int, Linker] = {}
        self._lock = threading.Lock()

    def link(self, module: CompiledModule) -> ResolvedModule:
        return RawResolvedModule(self, module)

    def linker(self, engine: WasmtimeEngine) -> Linker:
        """Return the linker with the host functions for an engine: this boundary's own or its spare one."""
        with self._lock:
            linker = self._linkers.get(engine.pointer)
            if linker is None:
                linker = self._linkers[engine.pointer] = Linker(engine)
                for syscall, callback in self._callbacks:
                    linker.define(syscall.module, syscall.name, syscall.wasm_params, syscall.wasm_results, callback)
        return linker

    def _host_function(self, syscall: Syscall) -> HostCall:
        new_trap = partial(self.engine.lib.trap_new, TRAP_INTERRUPT)
        return host_function(syscall, self.innermost, self.unattached_call_errors, new_trap)


class RawResolvedModule:
    """A linked module; instances use the engine's pool, or its spare engine if the pool is full or too small."""

    def __init__(self, boundary: RawBoundary, module: CompiledModule) -> None:
        self._boundary = boundary
        self._module = module
        self._innermost = boundary.innermost
        self._engine = module.engine
        self._linked = boundary.linker(module.engine).link(module)
        self._spare: LinkedModule | None = None
        self._lock = threading.Lock()
        self._offsets = ContextOffsets()

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        has_slot = self._engine.acquire_slot()
        engine = self._linked_for(has_slot).linker.engine
        lib, memories = engine.lib, self._boundary.memories
        instance = Instance(lib, engine.pointer, memory_bytes, table_elements, has_slot, self._offsets, memories)
        thread = get_ident()
        invocation = self._innermost[thread] = WasmInvocation(kernel, instance, self._innermost.get(thread))
        return invocation

    def instantiate(self, invocation: WasmInvocation) -> None:
        instance = invocation.instance
        assert isinstance(instance, Instance)
        instance.instantiate(self._linked_for(instance.has_slot).pointer)

    def _linked_for(self, has_slot: bool) -> LinkedModule:
        if has_slot or not self._engine.is_pooled:
            return self._linked
        with self._lock:
            if self._spare is None:
                spare = self._engine.spare
                self._spare = self._boundary.linker(spare).link(spare.deserialize(self._module.serialize()))
            return self._spare

    def end(self, invocation: WasmInvocation) -> None:
        instance, thread = invocation.instance, get_ident()
        assert isinstance(instance, Instance)
        if invocation.outer is None:
            del self._innermost[thread]
        else:
            self._innermost[thread] = invocation.outer
        instance.close()
        if instance.has_slot:
            self._engine.release_slot()

    def detach(self, invocation: WasmInvocation) -> None:
        self._innermost[get_ident()] = None

    def attach(self, invocation: WasmInvocation) -> None:
        self._innermost[get_ident()] = invocation

    def take_unattached_call_error(self, invocation: WasmInvocation) -> BaseException | None:
        return self._boundary.unattached_call_errors.pop(get_ident(), None)
