"""The seven operations on BLS12-381 (EIP-2537), on arkworks.

A coordinate is 64 bytes, of which the first 16 are zero; a point of zeros is the one at infinity. Additions need
points on the curve, everything else points of the subgroup; the library checks both and the size of coordinates.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtimes.evm.precompiles.failure import PrecompileFailure

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

_COORDINATE: Final = 64
_PADDING: Final = bytes(16)
_G1: Final = 128
_G2: Final = 256
_SCALAR: Final = 32
_ONE: Final = (1).to_bytes(32, "big")
P = TypeVar("P")


def g1_add(data: bytes) -> bytes:
    """The sum of two points of the first curve."""
    _require_length(data, 2 * _G1)
    return _spread(_point(data[:_G1], _g1_unchecked) + _point(data[_G1:], _g1_unchecked))


def g2_add(data: bytes) -> bytes:
    """The sum of two points of the second curve."""
    _require_length(data, 2 * _G2)
    return _spread(_point(data[:_G2], _g2_unchecked) + _point(data[_G2:], _g2_unchecked))


def g1_msm(data: bytes) -> bytes:
    """The sum of points of the first group, each times a number."""
    from py_arkworks_bls12381 import G1Point

    return _spread(G1Point.multiexp_unchecked(*_terms(data, _G1, _g1)))


def g2_msm(data: bytes) -> bytes:
    """The sum of points of the second group, each times a number."""
    from py_arkworks_bls12381 import G2Point

    return _spread(G2Point.multiexp_unchecked(*_terms(data, _G2, _g2)))


def pairing_check(data: bytes) -> bytes:
    """A word of 1 where the product of the pairings is one, else of 0."""
    from py_arkworks_bls12381 import GT

    _require_multiple(data, _G1 + _G2)
    starts = range(0, len(data), _G1 + _G2)
    first = [_point(data[start : start + _G1], _g1) for start in starts]
    second = [_point(data[start + _G1 : start + _G1 + _G2], _g2) for start in starts]
    return _ONE if GT.pairing_check(first, second) else bytes(32)


def map_fp_to_g1(data: bytes) -> bytes:
    """A field element mapped into the first group."""
    from py_arkworks_bls12381 import G1Point

    _require_length(data, _COORDINATE)
    return _spread(_point(data, G1Point.map_from_fp_be))


def map_fp2_to_g2(data: bytes) -> bytes:
    """An element of the quadratic field mapped into the second group."""
    from py_arkworks_bls12381 import G2Point

    _require_length(data, 2 * _COORDINATE)
    return _spread(_point(data, G2Point.map_from_fp2_be))


def g1_msm_gas(data: bytes) -> int:
    """The price of the first group's sum."""
    return _msm_gas(len(data) // (_G1 + _SCALAR), 12000, _G1_DISCOUNTS)


def g2_msm_gas(data: bytes) -> int:
    """The price of the second group's sum."""
    return _msm_gas(len(data) // (_G2 + _SCALAR), 22500, _G2_DISCOUNTS)


def _msm_gas(count: int, each: int, discounts: Sequence[int]) -> int:
    if count == 0:
        return 0
    return count * each * discounts[min(count, len(discounts)) - 1] // 1000


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
    """Strip the padding of each coordinate and read what is left."""
    packed = b""
    for start in range(0, len(data), _COORDINATE):
        if data[start : start + 16] != _PADDING:
            raise PrecompileFailure("BLS12-381 coordinate with a padding that is not zero")
        packed += data[start + 16 : start + _COORDINATE]
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


_G1_DISCOUNTS: Final = (
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665, 661, 658, 654,
    651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604,
    603, 601, 599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574,
    573, 572, 570, 569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551,
    550, 549, 548, 547, 547, 546, 545, 544, 543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532,
    532, 531, 530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
)  # fmt: skip
_G2_DISCOUNTS: Final = (
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699, 693, 688, 683,
    679, 674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615,
    613, 611, 609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582, 580, 579,
    578, 576, 575, 574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554,
    553, 552, 552, 551, 550, 549, 548, 547, 546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536,
    535, 535, 534, 533, 532, 532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
)  # fmt: skip
