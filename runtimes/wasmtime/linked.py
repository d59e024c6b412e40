"""Several instances in one store: a module, and those whose exports it imports. For the lab `libraries`.

What `raw` says of instances holds: made, entered and deleted by one invocation on its thread. The last instance that is
made is the one that is entered.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import c_bool, c_char_p, c_int64, c_size_t
from dataclasses import dataclass
from functools import cache
from typing import Final

from runtimes.wasmtime.engine import CompiledModule, Linker
from runtimes.wasmtime.raw import Extern, Instance, Library, Trap

HOST: Final = -1
"""Where an import comes from that no instance of the program gives."""


@cache
def _new(lib: Library) -> Callable[..., int]:
    return lib.bind("wasmtime_instance_new", c_size_t, *(c_size_t,) * 6)


@cache
def _get(lib: Library) -> Callable[..., bool]:
    name = c_char_p, c_size_t
    return lib.bind("wasmtime_linker_get", c_bool, c_size_t, c_size_t, *name, *name, c_size_t)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """What answers an import: an export of the instance at a place, or (`HOST`) a host function of a module's name."""

    place: int
    name: bytes
    module: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A module of a program and what answers its imports, in the module's order."""

    module: CompiledModule
    imports: tuple[ImportSource, ...]


class LinkedInstance(Instance):
    """One guest of several instances, in a store that has room for them alone."""

    __slots__ = ("_parts", "_room")

    def __init__(
        self, lib: Library, engine: int, memory_bytes: int, table_elements: int, *, count: int, library_bytes: int
    ) -> None:
        """`count` instances; while all but the last are made, a memory may have `library_bytes`."""
        super().__init__(lib, engine, memory_bytes, table_elements)
        self._parts = (c_int64 * (2 * count))()
        self._room = memory_bytes
        self._limits = table_elements, count, count, count  # of instances, tables and memories
        self.limit_memory(max(memory_bytes, library_bytes))

    def instantiate_parts(self, parts: Sequence[Part], linker: Linker) -> None:
        """Make the instances, in their order.

        Raises Trap where one is larger than its limits or a segment does not fit.
        """
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            if last:
                self.limit_memory(self._room)
            given = (Extern * max(1, len(part.imports)))()
            for item, source in zip(given, part.imports, strict=False):
                self._find(ctypes.addressof(item), source, linker)
            made = self._at if last else ctypes.addressof(self._parts) + 16 * place
            trap = c_size_t()
            error = _new(self._lib)(
                self.context, part.module.pointer, ctypes.addressof(given), len(part.imports), made,
                ctypes.addressof(trap),
            )  # fmt: skip
            failure = self._lib.take_failure(error, trap.value)
            if failure is not None:
                raise failure

    def _find(self, item: int, source: ImportSource, linker: Linker) -> None:
        if source.place == HOST:
            module, name = source.module, source.name
            found = _get(self._lib)(linker.pointer, self.context, module, len(module), name, len(name), item)
        else:
            instance = ctypes.addressof(self._parts) + 16 * source.place
            found = self._lib.export_get(self.context, instance, source.name, len(source.name), item)
        if not found:
            raise Trap(None, f"nothing answers the import {source.module.decode()}.{source.name.decode()}")

    def _own_context(self) -> int:
        """Its counter is in the context of another instance: wasmtime is asked for it."""
        return 0

    def enter_alone(self, argument: int) -> int:
        """As `Instance.enter_alone`; a trap names no function: a number means another one in each part."""
        try:
            return super().enter_alone(argument)
        except Trap as trap:
            raise Trap(trap.code, str(trap)) from None
