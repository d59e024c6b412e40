"""The plain boundary: guests linked and called through the public wrappers of wasmtime-py only.

It is the oracle of `boundary.RawBoundary`, with the same signature. The steps of a syscall are the same code; modules
and functions are located, called and checked by the wrappers, and so is every access to a guest's memory: no address of
it is used. Each invocation creates its own host functions, so nothing has to be looked up by store. It is ten times
slower, and wasmtime-py stores the exception of a host function once per process: do not use it with machines on several
threads.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import cast

import wasmtime

from hypervisor.errors import InvalidModule, UnlinkableModule
from hypervisor.kernel import Kernel
from runtimes.wasm.boundary import ResolvedModule
from runtimes.wasm.module.parser import I32
from runtimes.wasm.syscalls.abi import Revision, argument_slots, host_function
from runtimes.wasm.syscalls.invocation import GuestMemory, WasmInvocation
from runtimes.wasm.syscalls.table import Syscall
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine, configure
from runtimes.wasmtime.raw import TRAP_INTERRUPT, TRAP_NAMES, TRAP_UNREACHABLE, Trap

_MASKS = {"I": 0xFFFF_FFFF, "Q": 0xFFFF_FFFF_FFFF_FFFF, "i": -1, "q": -1}
_SIGN, _MASK = 1 << 31, (1 << 32) - 1


class PlainBoundary:
    """The syscalls of one ABI revision, through wasmtime-py."""

    def __init__(self, engine: WasmtimeEngine, revision: Revision) -> None:
        config = wasmtime.Config()
        pointer = ctypes.cast(config.ptr(), ctypes.c_void_p).value
        assert pointer is not None
        configure(engine.lib, pointer, engine.settings)
        self.engine = wasmtime.Engine(config)
        weakref.finalize(self, self.engine.close)  # wasmtime-py's own finalizer fails during interpreter shutdown
        self.revision = revision

    def link(self, module: CompiledModule) -> ResolvedModule:
        """Load the compiled module and check its imports; raises InvalidModule."""
        try:
            own = wasmtime.Module.deserialize(self.engine, module.serialize())
        except wasmtime.WasmtimeError as error:
            raise InvalidModule(f"WASM module: {error}") from None
        syscalls = []
        for item in own.imports:
            syscall = self.revision.get((item.module, item.name or ""))
            if syscall is None or not _fits(item.type, syscall):
                raise UnlinkableModule(f"WASM module cannot be linked: import {item.module}.{item.name}")
            syscalls.append(syscall)
        return _PlainResolvedModule(self.engine, own, syscalls)


def _fits(kind: object, syscall: Syscall) -> bool:
    if not isinstance(kind, wasmtime.FuncType):
        return False
    wanted = _function_type(syscall)
    return kind.params == wanted.params and kind.results == wanted.results


def _function_type(syscall: Syscall) -> wasmtime.FuncType:
    i32, i64 = wasmtime.ValType.i32, wasmtime.ValType.i64
    return wasmtime.FuncType([i32() if kind == I32 else i64() for kind in syscall.wasm_params], [i32()])


class _PlainResolvedModule:
    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, syscalls: list[Syscall]) -> None:
        self._engine = engine
        self._module = module
        weakref.finalize(self, module.close)
        self._imports = syscalls

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        store = wasmtime.Store(self._engine)
        store.set_limits(memory_bytes, table_elements, 1, 1, 1)
        instance = PlainInstance(store)
        return _PlainInvocation(kernel, instance)

    def instantiate(self, invocation: WasmInvocation) -> None:
        instance = _instance_of(invocation)
        self.attach(invocation)
        functions = [
            wasmtime.Func(instance.store, _function_type(syscall), _host_function(instance, syscall))
            for syscall in self._imports
        ]
        instance.instantiate(self._module, functions)

    def end(self, invocation: WasmInvocation) -> None:
        _instance_of(invocation).store.close()

    def detach(self, invocation: WasmInvocation) -> None:
        _instance_of(invocation).attached[get_ident()] = None

    def attach(self, invocation: WasmInvocation) -> None:
        _instance_of(invocation).attached[get_ident()] = invocation

    def take_unattached_call_error(self, invocation: WasmInvocation) -> BaseException | None:
        return _instance_of(invocation).unattached_call_errors.pop(get_ident(), None)


def _instance_of(invocation: WasmInvocation) -> PlainInstance:
    instance = invocation.instance
    assert isinstance(instance, PlainInstance)
    return instance


class _InvocationStopped(Exception):
    """Raised by a host function to end the invocation; the cause is in `WasmInvocation.failure`."""


def _host_function(instance: PlainInstance, syscall: Syscall) -> Callable[..., int]:
    masks = [_MASKS[letter] for letter in syscall.letters]
    run = host_function(syscall, instance.attached, instance.unattached_call_errors, lambda: TRAP_INTERRUPT)
    layout = argument_slots(syscall)
    slots = ctypes.create_string_buffer(layout.size)

    def called(*arguments: int) -> int:
        layout.pack_into(slots, 0, *(value & mask for value, mask in zip(arguments, masks, strict=True)))
        if run(0, 0, ctypes.addressof(slots), len(arguments)):
            raise _InvocationStopped
        return int.from_bytes(slots.raw[:4], "little")

    return called


class PlainCounter:
    """The gas counter in milligas; negative if the guest ran out of gas."""

    def __init__(self, store: wasmtime.Store, gas: wasmtime.Global) -> None:
        self._store = store
        self._gas = gas

    @property
    def value(self) -> int:
        """Current value in milligas."""
        return int(self._gas.value(self._store))

    @value.setter
    def value(self, milligas: int) -> None:
        self._gas.set_value(self._store, milligas)


class PlainInstance:
    """One guest in its own store."""

    def __init__(self, store: wasmtime.Store) -> None:
        self.store = store
        self.attached: dict[int, WasmInvocation | None] = {}
        self.unattached_call_errors: dict[int, BaseException] = {}
        self._exports: wasmtime._instance.InstanceExports | dict[str, object] = {}
        self._memory: wasmtime.Memory | None = None
        self._gas: wasmtime.Global | None = None
        self._function: wasmtime.Func | None = None

    def instantiate(self, module: wasmtime.Module, functions: list[wasmtime.Func]) -> None:
        """Create the instance; raises Trap if it exceeds its limits or a segment does not fit."""
        try:
            self._exports = wasmtime.Instance(self.store, module, functions).exports(self.store)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise _trap(failure) from None

    def find_memory(self) -> bool:
        found = self._exports.get("memory")
        self._memory = found if isinstance(found, wasmtime.Memory) else None
        return self._memory is not None

    def find_gas(self, name: bytes) -> bool:
        found = self._exports.get(name.decode())
        self._gas = found if isinstance(found, wasmtime.Global) else None
        return self._gas is not None

    def find_function(self, name: bytes) -> bool:
        found = self._exports.get(name.decode())
        self._function = found if isinstance(found, wasmtime.Func) else None
        return self._function is not None

    @property
    def counter(self) -> PlainCounter:
        assert self._gas is not None
        return PlainCounter(self.store, self._gas)

    def memory(self) -> tuple[int, int]:
        """Return 0, since the address is not used, and the size in bytes."""
        assert self._memory is not None
        return 0, self._memory.data_len(self.store)

    def __getitem__(self, part: slice) -> memoryview:
        """Return a copy of bytes of the memory, fewer at its end."""
        assert self._memory is not None
        return memoryview(bytes(self._memory.read(self.store, part.start, part.stop)))

    def __setitem__(self, part: slice, data: bytes) -> None:
        """Write bytes into the memory; raises IndexError beyond its end."""
        assert self._memory is not None
        if data:  # the wrapper rejects an empty write at the end of memory
            self._memory.write(self.store, data, part.start)

    def enter(self, argument: int) -> int:
        """Call the located function, (i32) -> i32; raises Trap. Both numbers are unsigned."""
        return self._enter(argument)

    def enter_with(self, first: int, second: int) -> int:
        """Call the located function, (i32, i32) -> i32; raises Trap. All numbers are unsigned."""
        return self._enter(first, second)

    def _enter(self, *arguments: int) -> int:
        assert self._function is not None
        try:
            result = self._function(self.store, *(number - ((number & _SIGN) << 1) for number in arguments))
        except _InvocationStopped:
            raise Trap(TRAP_UNREACHABLE, TRAP_NAMES[TRAP_UNREACHABLE]) from None
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise _trap(failure) from None
        return int(result) & _MASK

    def start(self) -> None:
        assert self._function is not None
        try:
            self._function(self.store)
        except _InvocationStopped:
            raise Trap(TRAP_UNREACHABLE, TRAP_NAMES[TRAP_UNREACHABLE]) from None
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise _trap(failure) from None


def _trap(failure: wasmtime.Trap | wasmtime.WasmtimeError) -> Trap:
    code = failure.trap_code if isinstance(failure, wasmtime.Trap) else None
    if code is None or code.value >= len(TRAP_NAMES):
        return Trap(None, str(failure))
    frames = tuple(frame.func_index for frame in failure.frames) if isinstance(failure, wasmtime.Trap) else ()
    return Trap(code.value, TRAP_NAMES[code.value], frames)


class _PlainInvocation(WasmInvocation):
    __slots__ = ()

    def locate(self, gas: bytes) -> None:
        super().locate(gas)
        self.memory = PlainMemory(_instance_of(self))


class PlainMemory(GuestMemory):
    """A guest's memory, accessed through the wrappers."""

    __slots__ = ()

    def __init__(self, instance: PlainInstance) -> None:
        super().__init__(instance.memory)
        self.data = cast("memoryview", instance)  # only slices of it are used

    def follow(self) -> int:
        """Update the size; the wrappers follow the memory."""
        _, self.size = self._locate()
        return self.size
