"""Addition, multiplication and pairing on the curve alt_bn128 (EIP-196, EIP-197).

The curve is arkworks' (`runtimes/evm/guests/bn254`), as a WASM module of ours on wasmtime: no wheel of a maintained
library offers it. Here are the lengths, there the numbers. Each call has an instance of its own, so calls share
nothing and may come from any thread.
"""

import atexit
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypervisor.errors import Fatal
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
    """The sum of two points; input is cut or extended with zeros to 128 bytes."""
    return _run("add", data[: 2 * _POINT].ljust(2 * _POINT, b"\0"))


def multiply(data: bytes) -> bytes:
    """A point times a number; input is cut or extended with zeros to 96 bytes."""
    size = _POINT + _COORDINATE
    return _run("multiply", data[:size].ljust(size, b"\0"))


def pairing(data: bytes) -> bytes:
    """A word of 1 where the product of the pairings is one, else of 0; input is any number of 192-byte pairs."""
    if len(data) % _PAIR:
        raise PrecompileFailure(f"bn254 pairing of {len(data)} bytes: expected a multiple of {_PAIR}")
    is_one = _run("pairing", data, len(data))[0] if data else 1
    return is_one.to_bytes(32, "big")


@cache
def _module() -> "tuple[wasmtime.Module, wasmtime.Engine]":
    """Compiled when first used, which takes a fifth of a second. It is code alone and holds no state."""
    import wasmtime

    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, _MODULE.read_bytes())
    atexit.register(engine.close)  # wasmtime-py's own way fails while the interpreter ends
    atexit.register(module.close)
    return module, engine


def _run(function: str, data: bytes, *more: int) -> bytes:
    """Call the module's function on the input, and return the first 64 bytes of what it wrote over it."""
    import wasmtime

    module, engine = _module()
    with wasmtime.Store(engine) as store:
        exports = wasmtime.Instance(store, module, []).exports(store)
        memory, reserve, work = exports["memory"], exports["reserve"], exports[function]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(reserve, wasmtime.Func)
        assert isinstance(work, wasmtime.Func)
        try:
            start = reserve(store, len(data))
            memory.write(store, data, start)
            status = work(store, start, *more)
        except wasmtime.Trap as trap:
            raise Fatal(f"bn254 {function} of {len(data)} bytes: {trap}") from trap
        if status:
            raise PrecompileFailure(_REFUSALS[status])
        return bytes(memory.read(store, start, start + _POINT))
