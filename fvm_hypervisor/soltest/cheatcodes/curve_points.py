"""Arithmetic on secp256k1 points: affine (x, y), and projective (x, y, z) for the affine (x/z, y/z).

The point at infinity is (0, 0), and (0, y, 0) with any y but 0. Results are (0, 1, 0) or have z = 1. Source: the
comments of forge 1.8's interface `Vm`. libsecp256k1 computes the sums and products.
"""

from __future__ import annotations

from typing import Final

from btclib_secp256k1 import keys

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.signing import ORDER
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

_FIELD: Final = 2**256 - 2**32 - 977
_Affine = tuple[int, int]
_Projective = tuple[int, int, int]
_INFINITY: Final = b""


@cheatcode("ecAddAffine(uint256,uint256,uint256,uint256)", returns="uint256,uint256")
def _add_affine(_context: Context, x1: int, y1: int, x2: int, y2: int) -> _Affine:
    return _affine(_sum(_point(x1, y1, "first point"), _point(x2, y2, "second point")))


@cheatcode(f"ecAddProjective({','.join(6 * ['uint256'])})", returns="uint256,uint256,uint256")
def _add_projective(_context: Context, x1: int, y1: int, z1: int, x2: int, y2: int, z2: int) -> _Projective:
    first, second = _from_projective(x1, y1, z1, "first point"), _from_projective(x2, y2, z2, "second point")
    return _projective(_sum(first, second))


@cheatcode("ecMulAffine(uint256,uint256,uint256)", returns="uint256,uint256")
def _mul_affine(_context: Context, x: int, y: int, scalar: int) -> _Affine:
    return _affine(_product(_point(x, y, "point"), scalar))


@cheatcode("ecMulProjective(uint256,uint256,uint256,uint256)", returns="uint256,uint256,uint256")
def _mul_projective(_context: Context, x: int, y: int, z: int, scalar: int) -> _Projective:
    return _projective(_product(_from_projective(x, y, z, "point"), scalar))


def _point(x: int, y: int, name: str) -> bytes:
    """Return a point as an uncompressed public key; empty if it is at infinity."""
    if (x, y) == (0, 0):
        return _INFINITY
    point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    if not keys.pubkey_verify(point):
        raise CheatcodeFailure(f"invalid secp256k1 {name}")
    return point


def _from_projective(x: int, y: int, z: int, name: str) -> bytes:
    if max(x, y, z) >= _FIELD or (z == 0 and (x != 0 or y == 0)):
        raise CheatcodeFailure(f"invalid secp256k1 {name}")
    if z == 0:
        return _INFINITY
    inverse = pow(z, -1, _FIELD)
    return _point(x * inverse % _FIELD, y * inverse % _FIELD, name)


def _sum(first: bytes, second: bytes) -> bytes:
    if not first or not second:
        return first or second
    return keys.pubkey_sum([first, second], compressed=False) or _INFINITY


def _product(point: bytes, scalar: int) -> bytes:
    factor = scalar % ORDER
    return keys.pubkey_tweak_mul(point, factor, compressed=False) if point and factor else _INFINITY


def _affine(point: bytes) -> _Affine:
    return (int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")) if point else (0, 0)


def _projective(point: bytes) -> _Projective:
    return (*_affine(point), 1) if point else (0, 1, 0)
