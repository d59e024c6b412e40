"""Addition, multiplication and pairing on the curve alt_bn128 (EIP-196, EIP-197).

The curve is arkworks', compiled to WASM (`runtimes/evm/guests/bn254`), because no maintained library offers it as a
wheel. This module handles lengths, the guest the arithmetic. Creating an instance takes longer than an addition, so
instances are reused; each serves one call at a time, and a call reads only its own input.
"""

import atexit
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypervisor.errors import Fatal
from hypervisor.threads import once
from runtimes.evm.precompiles.failure import PrecompileFailure

if TYPE_CHECKING:
    import wasmtime

_MODULE: Final = Path(__file__).parent.parent / "guests" / "bn254" / "bn254.wasm"
_COORDINATE: Final = 32
_POINT: Final = 64
_PAIR: Final = 192
_REFUSALS: Final = {
    1: "bn254 coordinate above the field's modulus",
    2: "bn254 point is not on the curve",
    3: "bn254 point is not in the group",
}


def add(data: bytes) -> bytes:
    """Return the sum of two points; input is truncated or zero-padded to 128 bytes."""
    return _run("add", data[: 2 * _POINT].ljust(2 * _POINT, b"\0"))


def multiply(data: bytes) -> bytes:
    """Return a point multiplied by a scalar; input is truncated or zero-padded to 96 bytes."""
    size = _POINT + _COORDINATE
    return _run("multiply", data[:size].ljust(size, b"\0"))


def pairing(data: bytes) -> bytes:
    """Return a word of 1 if the product of the pairings is one, else of 0; input is any number of 192-byte pairs."""
    if len(data) % _PAIR:
        raise PrecompileFailure(f"bn254 pairing of {len(data)} bytes: expected a multiple of {_PAIR}")
    is_one = _run("pairing", data, len(data))[0] if data else 1
    return is_one.to_bytes(32, "big")


class _Curve:
    """An instance of the module, with memory for an input of `max_input` bytes."""

    def __init__(self, max_input: int) -> None:
        import wasmtime

        module, engine = _module()
        self.max_input = max_input
        self._store = wasmtime.Store(engine)
        self._exports = wasmtime.Instance(self._store, module, []).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        self._start = self._call("reserve", max_input)

    def run(self, function: str, data: bytes, *more: int) -> bytes:
        """Call a function on an input; return the first 64 bytes of its output, which overwrites the input."""
        self._memory.write(self._store, data, self._start)
        status = self._call(function, self._start, *more)
        if status:
            raise PrecompileFailure(_REFUSALS[status])
        return bytes(self._memory.read(self._store, self._start, self._start + _POINT))

    def _call(self, function: str, *arguments: int) -> int:
        import wasmtime

        work = self._exports[function]
        assert isinstance(work, wasmtime.Func)
        try:
            return int(work(self._store, *arguments))
        except wasmtime.Trap as trap:
            raise Fatal(f"bn254 {function}: {trap}") from trap


_IDLE: Final[deque[_Curve]] = deque()
_ROOM: Final = 4096


@once
def _module() -> "tuple[wasmtime.Module, wasmtime.Engine]":
    """Compile the module at first use, which takes 0.2 seconds; it holds no state."""
    import wasmtime

    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, _MODULE.read_bytes())
    for close in (engine.close, module.close, _IDLE.clear):  # called in reverse order
        atexit.register(close)  # wasmtime-py's own finalizers fail during interpreter shutdown
    return module, engine


def _run(function: str, data: bytes, *more: int) -> bytes:
    """Call a function of the module on an idle instance. A large input gets a new instance."""
    if len(data) > _ROOM:
        return _Curve(len(data)).run(function, data, *more)
    try:
        curve = _IDLE.pop()
    except IndexError:
        curve = _Curve(_ROOM)
    try:
        output = curve.run(function, data, *more)
    except PrecompileFailure:
        _IDLE.append(curve)
        raise
    _IDLE.append(curve)
    return output
