"""Addition, multiplication and pairing on the curve alt_bn128 (EIP-196, EIP-197), on py_ecc."""

from functools import lru_cache
from types import ModuleType
from typing import Any

from runtimes.evm.imports import recursion_limit_kept
from runtimes.evm.precompiles.failure import PrecompileFailure

_COORDINATE = 32
_PAIR = 192


@lru_cache(maxsize=1)
def _curve() -> ModuleType:
    with recursion_limit_kept():
        from py_ecc import optimized_bn128

    return optimized_bn128


def add(data: bytes) -> bytes:
    """The sum of two points; input is cut or extended with zeros to 128 bytes."""
    padded = data[:128].ljust(128, b"\0")
    return _encode(_curve().add(_g1(padded[:64]), _g1(padded[64:])))


def multiply(data: bytes) -> bytes:
    """A point times a number; input is cut or extended with zeros to 96 bytes."""
    padded = data[:96].ljust(96, b"\0")
    return _encode(_curve().multiply(_g1(padded[:64]), int.from_bytes(padded[64:], "big")))


def pairing(data: bytes) -> bytes:
    """A word of 1 where the product of the pairings is one, else of 0; input is any number of 192-byte pairs."""
    if len(data) % _PAIR:
        raise PrecompileFailure(f"bn254 pairing of {len(data)} bytes: expected a multiple of {_PAIR}")
    curve = _curve()
    product = curve.FQ12.one()
    for start in range(0, len(data), _PAIR):
        p, q = _g1(data[start : start + 64]), _g2(data[start + 64 : start + _PAIR])
        product *= curve.pairing(q, p, final_exponentiate=False)
    return int(curve.final_exponentiate(product) == curve.FQ12.one()).to_bytes(32, "big")


def _coordinate(data: bytes, index: int) -> int:
    number = int.from_bytes(data[index * _COORDINATE : (index + 1) * _COORDINATE], "big")
    if number >= _curve().field_modulus:
        raise PrecompileFailure("bn254 coordinate above the field's modulus")
    return number


def _g1(data: bytes) -> Any:
    curve = _curve()
    x, y = _coordinate(data, 0), _coordinate(data, 1)
    if x == y == 0:
        return curve.Z1
    point = (curve.FQ(x), curve.FQ(y), curve.FQ.one())
    if not curve.is_on_curve(point, curve.b):
        raise PrecompileFailure("bn254 point is not on the curve")
    return point


def _g2(data: bytes) -> Any:
    curve = _curve()
    x_imaginary, x_real, y_imaginary, y_real = (_coordinate(data, index) for index in range(4))
    x, y = curve.FQ2([x_real, x_imaginary]), curve.FQ2([y_real, y_imaginary])
    zero = curve.FQ2.zero()
    if x == zero and y == zero:
        return curve.Z2
    point = (x, y, curve.FQ2.one())
    if not curve.is_on_curve(point, curve.b2) or not curve.is_inf(curve.multiply(point, curve.curve_order)):
        raise PrecompileFailure("bn254 point is not in the group")
    return point


def _encode(point: Any) -> bytes:
    curve = _curve()
    if curve.is_inf(point):
        return bytes(64)
    x, y = curve.normalize(point)
    return int(x).to_bytes(_COORDINATE, "big") + int(y).to_bytes(_COORDINATE, "big")
