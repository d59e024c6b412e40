"""Operations on the curves alt_bn128 (EIP-196, EIP-197) and BLS12-381 (EIP-2537).

The curve is arkworks', compiled to WASM (`runtimes/evm/guests/bn254`), because no maintained library offers it as a
wheel. This module handles lengths, the guest the arithmetic. Creating an instance takes longer than an addition, so
instances are reused; each serves one call at a time, and a call reads only its own input.

A coordinate is 64 bytes, of which the first 16 are zero; all zeros is the point at infinity. Additions take points on
the curve, all other operations points of the subgroup; the library checks both and the range of coordinates.
"""

import atexit
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypervisor.errors import Fatal
from hypervisor.threads import once
from runtimes.evm.contracts.precompiles.failure import NotInGroup, PrecompileFailure

if TYPE_CHECKING:
    import wasmtime
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

_MODULE: Final = Path(__file__).parents[2] / "guests" / "bn254" / "bn254.wasm"
BN254_MODULUS: Final = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
BLS12_MODULUS: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
_COORDINATE: Final = 32
_POINT: Final = 64
_PAIR: Final = 192
_NOT_IN_GROUP: Final = 3
_REFUSALS: Final = {
    1: "bn254 coordinate above the field's modulus",
    2: "bn254 point is not on the curve",
    _NOT_IN_GROUP: "bn254 point is not in the group",
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
            raise (NotInGroup if status == _NOT_IN_GROUP else PrecompileFailure)(_REFUSALS[status])
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


_BLS_COORDINATE: Final = 64
_PADDING: Final = bytes(16)
_G1: Final = 128
_G2: Final = 256
_SCALAR: Final = 32
_ONE: Final = (1).to_bytes(32, "big")
P = TypeVar("P")


def g1_add(data: bytes) -> bytes:
    """Return the sum of two points of G1's curve."""
    _require_length(data, 2 * _G1)
    return _spread(g1_on_curve(data[:_G1]) + g1_on_curve(data[_G1:]))


def g2_add(data: bytes) -> bytes:
    """Return the sum of two points of G2's curve."""
    _require_length(data, 2 * _G2)
    return _spread(g2_on_curve(data[:_G2]) + g2_on_curve(data[_G2:]))


def g1_msm(data: bytes) -> bytes:
    """Return the sum of points of G1, each multiplied by a scalar."""
    from py_arkworks_bls12381 import G1Point

    return _spread(G1Point.multiexp_unchecked(*_terms(data, _G1, g1)))


def g2_msm(data: bytes) -> bytes:
    """Return the sum of points of G2, each multiplied by a scalar."""
    from py_arkworks_bls12381 import G2Point

    return _spread(G2Point.multiexp_unchecked(*_terms(data, _G2, g2)))


def pairing_check(data: bytes) -> bytes:
    """Return a word of 1 if the product of the pairings is one, else of 0."""
    from py_arkworks_bls12381 import GT

    _require_multiple(data, _G1 + _G2)
    starts = range(0, len(data), _G1 + _G2)
    first = [g1(data[start : start + _G1]) for start in starts]
    second = [g2(data[start + _G1 : start + _G1 + _G2]) for start in starts]
    return _ONE if GT.pairing_check(first, second) else bytes(32)


def map_fp_to_g1(data: bytes) -> bytes:
    """Map a field element to G1."""
    from py_arkworks_bls12381 import G1Point

    _require_length(data, _BLS_COORDINATE)
    return _spread(_point(data, G1Point.map_from_fp_be))


def map_fp2_to_g2(data: bytes) -> bytes:
    """Map an element of the quadratic extension field to G2."""
    from py_arkworks_bls12381 import G2Point

    _require_length(data, 2 * _BLS_COORDINATE)
    return _spread(_point(data, G2Point.map_from_fp2_be))


def g1_on_curve(data: bytes) -> "G1Point":
    """Return a point of G1's curve, also outside of the group."""
    from py_arkworks_bls12381 import G1Point

    return _point(data, G1Point.from_xy_bytes_unchecked_be)


def g1(data: bytes) -> "G1Point":
    """Return a point of G1."""
    from py_arkworks_bls12381 import G1Point

    g1_on_curve(data)
    return _point(data, G1Point.from_xy_bytes_be, NotInGroup)


def g2_on_curve(data: bytes) -> "G2Point":
    """Return a point of G2's curve, also outside of the group."""
    from py_arkworks_bls12381 import G2Point

    return _point(data, G2Point.from_xy_bytes_unchecked_be)


def g2(data: bytes) -> "G2Point":
    """Return a point of G2."""
    from py_arkworks_bls12381 import G2Point

    g2_on_curve(data)
    return _point(data, G2Point.from_xy_bytes_be, NotInGroup)


def _terms(data: bytes, size: int, read: Callable[[bytes], P]) -> "tuple[list[P], list[Scalar]]":
    from py_arkworks_bls12381 import Scalar

    _require_multiple(data, size + _SCALAR)
    points, scalars = [], []
    for start in range(0, len(data), size + _SCALAR):
        points.append(read(data[start : start + size]))
        scalars.append(Scalar.from_be_bytes_mod_order(data[start + size : start + size + _SCALAR]))
    return points, scalars


def _point(data: bytes, read: Callable[[bytes], P], failure: type[PrecompileFailure] = PrecompileFailure) -> P:
    """Read a point after removing the padding of its coordinates."""
    packed = b""
    for start in range(0, len(data), _BLS_COORDINATE):
        if data[start : start + 16] != _PADDING:
            raise PrecompileFailure("BLS12-381 coordinate with non-zero padding")
        packed += data[start + 16 : start + _BLS_COORDINATE]
    try:
        return read(packed)
    except ValueError as error:
        raise failure(f"BLS12-381: {error}") from None


def _spread(point: Any) -> bytes:
    packed = point.to_xy_bytes_be()
    return b"".join(_PADDING + packed[start : start + 48] for start in range(0, len(packed), 48))


def _require_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise PrecompileFailure(f"BLS12-381 input of {len(data)} bytes, expected {length}")


def _require_multiple(data: bytes, size: int) -> None:
    if not data or len(data) % size:
        raise PrecompileFailure(f"BLS12-381 input of {len(data)} bytes, expected a multiple of {size}")
