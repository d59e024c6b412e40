"""An instance with an instruction limit (wasmtime's fuel), for modules without gas metering.

Its engine has the setting `consume_fuel`. Its module imports nothing, so it may be called on any thread (`raw`).
"""

from __future__ import annotations

import ctypes
from ctypes import c_size_t, c_uint8, c_uint64, c_void_p
from functools import cache
from typing import Any

from hypervisor.gil import GIL_POLICY
from runtimes.wasmtime.instance import CALL, FUNCTION, TRAP, Instance
from runtimes.wasmtime.raw import Library, Trap, ValueTypes

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
