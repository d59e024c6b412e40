"""The seven operations on BLS12-381 (EIP-2537), with arkworks.

A coordinate is 64 bytes, of which the first 16 are zero; all zeros is the point at infinity. Additions take points on
the curve, all other operations points of the subgroup; the library checks both and the range of coordinates.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtimes.evm.precompiles.failure import PrecompileFailure

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

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
    return _spread(_point(data[:_G1], _g1_unchecked) + _point(data[_G1:], _g1_unchecked))


def g2_add(data: bytes) -> bytes:
    """Return the sum of two points of G2's curve."""
    _require_length(data, 2 * _G2)
    return _spread(_point(data[:_G2], _g2_unchecked) + _point(data[_G2:], _g2_unchecked))


def g1_msm(data: bytes) -> bytes:
    """Return the sum of points of G1, each multiplied by a scalar."""
    from py_arkworks_bls12381 import G1Point

    return _spread(G1Point.multiexp_unchecked(*_terms(data, _G1, _g1)))


def g2_msm(data: bytes) -> bytes:
    """Return the sum of points of G2, each multiplied by a scalar."""
    from py_arkworks_bls12381 import G2Point

    return _spread(G2Point.multiexp_unchecked(*_terms(data, _G2, _g2)))


def pairing_check(data: bytes) -> bytes:
    """Return a word of 1 if the product of the pairings is one, else of 0."""
    from py_arkworks_bls12381 import GT

    _require_multiple(data, _G1 + _G2)
    starts = range(0, len(data), _G1 + _G2)
    first = [_point(data[start : start + _G1], _g1) for start in starts]
    second = [_point(data[start + _G1 : start + _G1 + _G2], _g2) for start in starts]
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


def _g1(data: bytes) -> "G1Point":
    from py_arkworks_bls12381 import G1Point

    return G1Point.from_xy_bytes_be(data)


def _g1_unchecked(data: bytes) -> "G1Point":
    from py_arkworks_bls12381 import G1Point

    return G1Point.from_xy_bytes_unchecked_be(data)


def _g2(data: bytes) -> "G2Point":
    from py_arkworks_bls12381 import G2Point

    return G2Point.from_xy_bytes_be(data)


def _g2_unchecked(data: bytes) -> "G2Point":
    from py_arkworks_bls12381 import G2Point

    return G2Point.from_xy_bytes_unchecked_be(data)


def _terms(data: bytes, size: int, read: Callable[[bytes], P]) -> "tuple[list[P], list[Scalar]]":
    from py_arkworks_bls12381 import Scalar

    _require_multiple(data, size + _SCALAR)
    points, scalars = [], []
    for start in range(0, len(data), size + _SCALAR):
        points.append(_point(data[start : start + size], read))
        scalars.append(Scalar.from_be_bytes_mod_order(data[start + size : start + size + _SCALAR]))
    return points, scalars


def _point(data: bytes, read: Callable[[bytes], P]) -> P:
    """Read a point after removing the padding of its coordinates."""
    packed = b""
    for start in range(0, len(data), _BLS_COORDINATE):
        if data[start : start + 16] != _PADDING:
            raise PrecompileFailure("BLS12-381 coordinate with non-zero padding")
        packed += data[start + 16 : start + _BLS_COORDINATE]
    try:
        return read(packed)
    except ValueError as error:
        raise PrecompileFailure(f"BLS12-381: {error}") from None


def _spread(point: Any) -> bytes:
    packed = point.to_xy_bytes_be()
    return b"".join(_PADDING + packed[start : start + 48] for start in range(0, len(packed), 48))


def _require_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise PrecompileFailure(f"BLS12-381 input of {len(data)} bytes, expected {length}")


def _require_multiple(data: bytes, size: int) -> None:
    if not data or len(data) % size:
        raise PrecompileFailure(f"BLS12-381 input of {len(data)} bytes, expected a multiple of {size}")
