"""Instances of modules: for one invocation, with an instruction limit, or linked with other instances.

The rules of `raw` apply: one invocation creates, calls and deletes an instance on its thread, in its own store. A
guest's gas counter and memory are accessed in its VMContext, whose offsets `ContextOffsets` holds.

An instance with an instruction limit (wasmtime's fuel) is for modules without gas metering. Its engine has the setting
`consume_fuel`. Its module imports nothing, so it may be called on any thread.

Linked instances share one wasmtime store: a module and the modules whose exports it imports (lab `libraries`). The
instance created last is called.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache, partial
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from hypervisor.threads import GIL_POLICY
from runtimes.wasmtime.engine import CompiledModule, Linker
from runtimes.wasmtime.raw import (
    EXTERN_FUNCTION,
    EXTERN_GLOBAL,
    EXTERN_MEMORY,
    VALUE_FUNCTION,
    VALUE_I64,
    Extern,
    Library,
    Trap,
    Value,
    ValueTypes,
    WasmtimeUnusable,
)

_CONTEXT_OF_FUNCTION: Final = 24
_OWN_CONTEXT: Final = int.from_bytes(b"core", "little")
"""Magic number at the beginning of an instance's context; contexts of host functions have another."""
_PROBE_VALUES: Final = 0x5A17_C0DE_0F0F_3C3C, 0x0DD5_EED5_A5A5_9696
"""Counter values that are searched for to locate the counter; no guest runs meanwhile."""
_MAX_CONTEXT_SIZE: Final = 1 << 20

_Words: Any = c_int64 * 23
"""Words whose address is passed to wasmtime. The instance comes first; the offsets of the others follow."""
MEMORY: Final = 2
GLOBAL: Final = 6
FUNCTION: Final = 10
VALUE: Final = 14
CALL: Final = 18
TRAP: Final = 22
_Memory: Any = c_size_t * 2
"""Address and size in bytes of a memory, as stored for compiled code."""
_BOTH: Final = itemgetter(0, 1)
"""The words of a `_Memory` as a tuple; `tuple` itself takes twenty times as long."""


class Counter(Protocol):
    """A guest's gas counter in milligas; negative if the guest ran out of gas."""

    value: int


class ContextOffsets:
    """Offsets in an instance's context, shared by the instances of a module and determined with the first.

    In bytes, 0 if not known yet: of the `gas` counter, and of the address of the `memory`, which its size follows.
    """

    __slots__ = ("gas", "memory")

    def __init__(self) -> None:
        self.gas = 0
        self.memory = 0


class Instance:
    """One guest: a store with one instance, created, called and deleted by one invocation on its thread.

    `context` identifies the store in host functions (`Library.caller_context`). `has_slot` is True if the instance
    takes a slot of the engine's pool, which the caller counts. `counter` is its gas counter, once located.
    """

    __slots__ = (
        "_at",
        "_lib",
        "_limits",
        "_offsets",
        "_store",
        "_vm_context",
        "_words",
        "context",
        "counter",
        "has_slot",
        "memory",
    )  # fmt: skip

    def __init__(
        self,
        lib: Library,
        engine: int,
        memory_bytes: int,
        table_elements: int,
        has_slot: bool = False,
        offsets: ContextOffsets | None = None,
        memories: int = 1,
        instances: int = 1,
    ) -> None:
        """Create the store. `offsets` is shared by the instances of a module.

        `instances` and `memories` are the maximum numbers in the store.
        """
        self._lib = lib
        self._offsets = offsets or ContextOffsets()
        self.counter: Counter
        self.has_slot = has_slot
        self._words = _Words()
        self._at = ctypes.addressof(self._words)
        self._store = lib.store_new(engine, 0, 0)
        self.context = lib.store_context(self._store)
        self._vm_context = 0
        self.memory: Callable[[], tuple[int, int]]
        """Return the current address and size in bytes of the guest's memory, once located."""
        self._limits: tuple[int, int, int, int] = table_elements, instances, 1, memories
        lib.store_limiter(self._store, memory_bytes, *self._limits)

    def limit_memory(self, size: int) -> None:
        """Limit the size of every memory to `size` bytes from now on; a larger one is not shrunk."""
        self._lib.store_limiter(self._store, size, *self._limits)

    def follow_epochs(self, callback: Any) -> None:
        """Run the callback on the guest's thread at the engine's next tick. The caller must keep the callback alive."""
        self._lib.epoch_callback(self._store, callback, 0, 0)
        self._lib.epoch_deadline(self.context, 1)

    def instantiate(self, pre: int) -> None:
        """Create the instance; raises Trap if it exceeds its limits or a segment does not fit."""
        words = self._words
        words[TRAP] = 0
        error = self._lib.instantiate(pre, self.context, self._at, self._at + 8 * TRAP)
        if error or words[TRAP]:
            failure = self._lib.take_failure(error, words[TRAP])
            if failure is not None:
                raise failure

    def export(self, name: bytes, kind: int, index: int) -> bool:
        """Look up an export of a kind and store its handle; return False if there is none."""
        found = self._lib.export_get(self.context, self._at, name, len(name), self._at + 8 * index)
        return found and self._words[index] & 0xFF == kind

    def find_memory(self) -> bool:
        """Locate the exported memory; faster after `find_gas`."""
        vm_context, offsets = self._vm_context, self._offsets
        if not vm_context or not offsets.memory:
            if not self.export(b"memory", EXTERN_MEMORY, MEMORY):
                return False
            if not vm_context:
                self.memory = self._api_memory
                return True
            offsets.memory = self._offset_of_memory(vm_context)
        self.memory = partial(_BOTH, _Memory.from_address(vm_context + offsets.memory))
        return True

    def exported_memory(self, name: bytes) -> tuple[int, int]:
        """Return the current address and size in bytes of an exported memory; raises Trap if there is none."""
        found = (c_int64 * 4)()
        at = ctypes.addressof(found)
        there = self._lib.export_get(self.context, self._at, name, len(name), at)
        if not there or found[0] & 0xFF != EXTERN_MEMORY:
            raise Trap(None, f"no memory {name.decode()}")
        item = c_size_t(self.context), c_size_t(at + 8)
        return self._lib.memory_data(*item), self._lib.memory_size(*item)

    def find_function(self, name: bytes) -> bool:
        return self.export(name, EXTERN_FUNCTION, FUNCTION)

    def find_gas(self, name: bytes) -> bool:
        """Locate the gas counter, an exported global of type i64; faster after `find_function`."""
        vm_context, offsets = self._own_context(), self._offsets
        if not vm_context or not offsets.gas:
            if not self.export(name, EXTERN_GLOBAL, GLOBAL):
                return False
            self._words[VALUE] = VALUE_I64
            self.counter = ApiCounter(self._lib, self.context, self._at + 8 + 8 * GLOBAL, self._words)
            if not vm_context:
                return True
            offsets.gas = self._offset_of_gas(vm_context)
        self._vm_context = vm_context
        self.counter = c_int64.from_address(vm_context + offsets.gas)
        return True

    def _own_context(self) -> int:
        """Return the context of the function's instance; 0 for an imported function or if none is located."""
        if not self._words[FUNCTION + 1]:
            return 0
        reference = self._lib.function_reference(self.context, self._at + 8 + 8 * FUNCTION)
        vm_context: int = c_size_t.from_address(reference + _CONTEXT_OF_FUNCTION).value
        return vm_context if c_uint32.from_address(vm_context).value == _OWN_CONTEXT else 0

    def _offset_of_gas(self, vm_context: int) -> int:
        """Return the offset of the counter in the context: the word that changes when wasmtime sets the counter."""
        for at in range(8, _MAX_CONTEXT_SIZE, 8):
            word = c_int64.from_address(vm_context + at)
            for mark in _PROBE_VALUES:
                self.counter.value = mark
                if word.value != mark:
                    break
            else:
                return at
        raise WasmtimeUnusable("an instance's gas counter was not found in its context, as expected of this wasmtime")

    def _offset_of_memory(self, vm_context: int) -> int:
        """Return the offset of the memory's address and size in the context; they precede the globals."""
        memory = self._api_memory()
        for at in range(8, self._offsets.gas, 8):
            if tuple(_Memory.from_address(vm_context + at)) == memory:
                return at
        raise WasmtimeUnusable("an instance's memory was not found in its context, as expected of this wasmtime")

    def _api_memory(self) -> tuple[int, int]:
        """Return the memory's address and size through wasmtime's API."""
        item = c_size_t(self.context), c_size_t(self._at + 8 + 8 * MEMORY)
        return self._lib.memory_data(*item), self._lib.memory_size(*item)

    def grow_memory(self, pages: int) -> int:
        """Add pages to the guest's memory, which its own allocator never uses; return the number of pages before."""
        before = c_size_t()
        grow = self._lib.bind("wasmtime_memory_grow", *(c_size_t,) * 5)
        error = grow(self.context, self._at + 8 + 8 * MEMORY, pages, ctypes.addressof(before))
        failure = self._lib.take_failure(error, 0)
        if failure is not None:
            raise failure
        return before.value

    def enter(self, argument: int) -> int:
        """Call the located function, (i32) -> i32; raises Trap. Both numbers are unsigned."""
        if threading.get_ident() == threading.main_thread().ident:
            raise RuntimeError("a guest must not be called on the main thread: a signal handler could run inside it")
        return self.enter_alone(argument)

    def enter_with(self, first: int, second: int) -> int:
        """Call the located function, (i32, i32) -> i32; raises Trap. All numbers are unsigned."""
        self._words[CALL + 2] = second
        return self.enter(first)

    def enter_alone(self, argument: int) -> int:
        """Call as `enter` on any thread; only for modules without host functions."""
        words, at = self._words, self._at
        words[CALL] = argument
        words[TRAP] = 0
        call = self._lib.call_released if GIL_POLICY.releases else self._lib.call
        error = call(self.context, at + 80 + 8, at + 144, 2, at + 176)
        if error or words[TRAP]:
            failure = self._lib.take_failure(error, words[TRAP])
            if failure is not None:
                raise failure
        result: int = words[CALL] & 0xFFFF_FFFF
        return result

    def start(self) -> None:
        """Call the located function, () -> (); raises Trap."""
        self.enter(0)  # an array longer than the function's arguments is allowed

    def add_function(self, module: int, name: bytes, imports: tuple[tuple[bytes, int], ...], table: bytes) -> int:
        """Instantiate another module in this store and put its function `name` into this instance's table.

        `imports` are exports of this instance by name and kind, in the module's order. Returns the index in the table;
        raises Trap. The new instance lives as long as the store.
        """
        lib, context = self._lib, self.context
        externs = (Extern * len(imports))()
        found, made, trap = Extern(), (c_int64 * 2)(), c_size_t()
        tables = Extern()
        for item, (export, kind) in zip(externs, imports, strict=True):
            if not lib.export_get(context, self._at, export, len(export), ctypes.addressof(item)) or item.kind != kind:
                raise Trap(None, f"no export {export.decode()}")
        if not lib.export_get(context, self._at, table, len(table), ctypes.addressof(tables)):
            raise Trap(None, f"no table {table.decode()}")
        make = lib.bind("wasmtime_instance_new", c_size_t, *(c_size_t,) * 6)
        error = make(
            context, module, ctypes.addressof(externs), len(imports), ctypes.addressof(made), ctypes.addressof(trap)
        )
        failure = lib.take_failure(error, trap.value)
        if failure is not None:
            raise failure
        lib.export_get(context, ctypes.addressof(made), name, len(name), ctypes.addressof(found))
        value = Value(VALUE_FUNCTION, found.item[:2])
        before = c_size_t()
        grow = lib.bind("wasmtime_table_grow", c_size_t, *(c_size_t,) * 5)
        at = ctypes.addressof(tables) + Extern.item.offset
        error = grow(context, at, 1, ctypes.addressof(value), ctypes.addressof(before))
        if error:
            raise Trap(None, lib.take_error(error))
        return before.value

    def close(self) -> None:
        """Delete the store and its contents. The counter must not be used afterwards."""
        store, self._store = self._store, 0
        if store:
            self._lib.store_delete(store)


class ApiCounter:
    """A gas counter accessed through wasmtime's API."""

    __slots__ = ("_arguments", "_lib", "_words")

    def __init__(self, lib: Library, context: int, item: int, words: Any) -> None:
        self._lib = lib
        self._words = words
        value = ctypes.addressof(words) + 8 * VALUE
        self._arguments = c_size_t(context), c_size_t(item), c_size_t(value)

    @property
    def value(self) -> int:
        self._lib.global_get(*self._arguments)
        milligas: int = self._words[VALUE + 1]
        return milligas

    @value.setter
    def value(self, milligas: int) -> None:
        self._words[VALUE + 1] = milligas
        error = self._lib.global_set(*self._arguments)
        if error:
            raise Trap(None, self._lib.take_error(error))


_WASM_I32 = 0x7F
"""Code of i32 in a module; the codes of the other types descend, while wasmtime numbers its kinds upwards from 0."""


@cache
def _bind(lib: Library) -> dict[str, Any]:
    """Return the library functions used only here."""
    return {
        "set": lib.bind("wasmtime_context_set_fuel", c_size_t, c_size_t, c_uint64),
        "get": lib.bind("wasmtime_context_get_fuel", c_size_t, c_size_t, c_void_p),
        "type": lib.bind("wasmtime_func_type", c_size_t, c_size_t, c_size_t),
        "parameters": lib.bind("wasm_functype_params", ctypes.POINTER(ValueTypes), c_size_t),
        "results": lib.bind("wasm_functype_results", ctypes.POINTER(ValueTypes), c_size_t),
        "kind": lib.bind("wasm_valtype_kind", c_uint8, c_size_t),
        "delete": lib.bind("wasm_functype_delete", None, c_size_t),
    }


class FueledInstance(Instance):
    """A guest with fuel. As in `raw`, it is created, called and deleted on one thread."""

    __slots__ = ()

    def set_fuel(self, amount: int) -> None:
        """Set the number of instructions that the instance may still execute."""
        error = _bind(self._lib)["set"](self.context, amount)
        if error:
            raise Trap(None, self._lib.take_error(error))

    def remaining_fuel(self) -> int:
        """Return the remaining fuel; 0 if it ran out."""
        found = c_uint64()
        error = _bind(self._lib)["get"](self.context, ctypes.byref(found))
        if error:
            raise Trap(None, self._lib.take_error(error))
        return found.value

    def function_type(self, name: bytes) -> tuple[bytes, bytes] | None:
        """Return parameter and result types of an exported function as encoded in a module, or None."""
        if not self.find_function(name):
            return None
        functions = _bind(self._lib)
        found = functions["type"](self.context, self._at + 8 * FUNCTION + 8)
        try:
            parts = [functions[part](found).contents for part in ("parameters", "results")]
            encoded = [bytes(_WASM_I32 - functions["kind"](part.data[at]) for at in range(part.size)) for part in parts]
        except ValueError:
            return None  # a reference type, which our modules do not use
        finally:
            functions["delete"](found)
        return encoded[0], encoded[1]

    def enter_function(self, name: bytes, *arguments: int) -> int:
        """Call an exported function with at most two i32 arguments; return its unsigned result. Raises Trap.

        The caller has checked the function's type.
        """
        if not self.find_function(name):
            raise Trap(None, f"no function {name.decode()}")
        words, at = self._words, self._at
        for index, argument in enumerate(arguments):
            words[CALL + 2 * index] = argument
        words[TRAP] = 0
        call = self._lib.call_released if GIL_POLICY.releases else self._lib.call
        call_at, slots = at + 8 * CALL, max(1, len(arguments))
        error = call(self.context, at + 8 * FUNCTION + 8, call_at, slots, at + 8 * TRAP)
        if error or words[TRAP]:
            failure = self._lib.take_failure(error, words[TRAP])
            if failure is not None:
                raise failure
        result: int = words[CALL] & (1 << 64) - 1
        return result


HOST: Final = -1
"""Value of `ImportSource.instance_index` for an import that is a host function."""


@cache
def _new(lib: Library) -> Callable[..., int]:
    return lib.bind("wasmtime_instance_new", c_size_t, *(c_size_t,) * 6)


@cache
def _get(lib: Library) -> Callable[..., bool]:
    name = c_char_p, c_size_t
    return lib.bind("wasmtime_linker_get", c_bool, c_size_t, c_size_t, *name, *name, c_size_t)


class ImportSource(NamedTuple):
    """The source of an import: an export of the instance at an index, or (`HOST`) a host function."""

    instance_index: int
    name: bytes
    module: bytes = b""


class Part(NamedTuple):
    """A module of a program and the sources of its imports, in the module's order."""

    module: CompiledModule
    imports: tuple[ImportSource, ...]


class LinkedInstance(Instance):
    """A guest that consists of several instances, in a store that holds no others."""

    __slots__ = ("_parts", "_room")

    def __init__(
        self, lib: Library, engine: int, memory_bytes: int, table_elements: int, *, count: int, library_bytes: int
    ) -> None:
        """Create the store for `count` instances.

        The memory of the last one is limited to `memory_bytes`, the memory of each other one to the larger of
        `memory_bytes` and `library_bytes`.
        """
        super().__init__(lib, engine, memory_bytes, table_elements)
        self._parts = (c_int64 * (2 * count))()
        self._room = memory_bytes
        self._limits = table_elements, count, count, count  # of instances, tables and memories
        self.limit_memory(max(memory_bytes, library_bytes))

    def instantiate_parts(self, parts: Sequence[Part], linker: Linker) -> None:
        """Create the instances in order.

        Raises Trap if one exceeds its limits or a segment does not fit.
        """
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            if last:
                self.limit_memory(self._room)
            imports = (Extern * max(1, len(part.imports)))()
            for item, source in zip(imports, part.imports, strict=False):
                self._find(ctypes.addressof(item), source, linker)
            made = self._at if last else ctypes.addressof(self._parts) + 16 * index
            trap = c_size_t()
            error = _new(self._lib)(
                self.context, part.module.pointer, ctypes.addressof(imports), len(part.imports), made,
                ctypes.addressof(trap),
            )  # fmt: skip
            failure = self._lib.take_failure(error, trap.value)
            if failure is not None:
                raise failure

    def _find(self, item: int, source: ImportSource, linker: Linker) -> None:
        if source.instance_index == HOST:
            module, name = source.module, source.name
            found = _get(self._lib)(linker.pointer, self.context, module, len(module), name, len(name), item)
        else:
            instance = ctypes.addressof(self._parts) + 16 * source.instance_index
            found = self._lib.export_get(self.context, instance, source.name, len(source.name), item)
        if not found:
            raise Trap(None, f"unresolved import {source.module.decode()}.{source.name.decode()}")

    def _own_context(self) -> int:
        """Return 0: the counter is in another instance's context and must be read through wasmtime."""
        return 0

    def enter_alone(self, argument: int) -> int:
        """Call as `Instance.enter_alone`; traps have no frames, because function indices differ between parts."""
        try:
            return super().enter_alone(argument)
        except Trap as trap:
            raise Trap(trap.code, str(trap)) from None
