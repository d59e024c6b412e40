"""Several instances in one wasmtime store: a module and the modules whose exports it imports (lab `libraries`).

As in `raw`, one invocation creates, calls and deletes the instances on its thread. The instance created last is called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import c_bool, c_char_p, c_int64, c_size_t
from dataclasses import dataclass
from functools import cache
from typing import Final

from runtimes.wasmtime.engine import CompiledModule, Linker
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import Extern, Library, Trap

HOST: Final = -1
"""Value of `ImportSource.instance_index` for an import that is a host function."""


@cache
def _new(lib: Library) -> Callable[..., int]:
    return lib.bind("wasmtime_instance_new", c_size_t, *(c_size_t,) * 6)


@cache
def _get(lib: Library) -> Callable[..., bool]:
    name = c_char_p, c_size_t
    return lib.bind("wasmtime_linker_get", c_bool, c_size_t, c_size_t, *name, *name, c_size_t)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """The source of an import: an export of the instance at an index, or (`HOST`) a host function."""

    instance_index: int
    name: bytes
    module: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
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
