"""Prices of Ethereum's precompiles under Filecoin's rules, in gas.

The official EVM actor runs them as WASM (hashes and recovery as syscalls), and they cost what that execution costs. The
figures are fitted to what the official actor (v18) executed for selected inputs, within 10 %. Points at infinity and
numbers out of range end a computation early and cost less, and so does rejected input (`first_refusal`). Input of a
wrong length is free.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from runtimes.evm.contracts.precompiles import curves
from runtimes.evm.contracts.precompiles.ethereum import (
    BLAKE2F_INPUT,
    MAX_MODEXP_LENGTH,
    P256_INPUT,
    has_valid_p256_numbers,
    has_valid_secp256k1_numbers,
    modexp_lengths,
    number,
)
from runtimes.evm.contracts.precompiles.failure import NotInGroup, PrecompileFailure

_SYSCALL: Final = 14_000
_BLOCK_GAS: Final = 10_000_000_000
_BLS12_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_BN254_ORDER: Final = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001

Price = Callable[[bytes], int]


def _ecrecover(data: bytes) -> int:
    return _SYSCALL + 1_640_000 if has_valid_secp256k1_numbers(data) else 6_000


def _hash(base: int, per_byte: int) -> Price:
    return lambda data: _SYSCALL + base + per_byte * len(data)


def modexp_price(data: bytes, most: int = _BLOCK_GAS) -> int:
    """Price modexp as num-bigint executes it: 4-bit windows for an odd modulus, bit by bit for an even one.

    Return more than `most` as soon as the price is above it.
    """
    lengths = base_length, exponent_length, modulus_length = modexp_lengths(data)
    if max(lengths) >= MAX_MODEXP_LENGTH:
        return 2_000
    head = 96 + base_length
    modulus = number(data, head + exponent_length, modulus_length)
    price = 7_000 + 154 * min(max(len(data) - 96, 0), sum(lengths))
    if modulus < 2:
        return price if base_length or modulus_length else 7_000
    digits, exponent_bits = _digits(modulus.bit_length()), _bits(data, head, exponent_length)
    is_odd = modulus & 1 != 0
    if not is_odd and not exponent_bits:
        return price + 14_000
    base_digits = _digits(_bits(data, 96, base_length))
    if base_digits >= digits:
        price += (380 * base_digits if digits > 1 else 0) + _division(base_digits, digits)
    if is_odd:
        steps = 17 + max(40 * _digits(exponent_bits) - 4, 0)
        return price + 30_000 + steps * (3_400 + 750 * digits + 331 * digits * digits)
    price += 13_000
    if price + _STEP_OF_ZERO * exponent_bits > most:
        return most + 1
    base, exponent = number(data, 96, base_length) % modulus, number(data, head, exponent_length)
    return price + _even_modexp(base, exponent, modulus, most - price)


_STEP_OF_ZERO: Final = 620
_DIGIT: Final = 32
"""Bits of a digit of num-bigint in WASM."""


def _bits(data: bytes, start: int, length: int) -> int:
    """Return the bits of a number whose missing bytes are zeros."""
    chunk = data[start : start + length]
    value = int.from_bytes(chunk, "big")
    return value.bit_length() + 8 * (length - len(chunk)) if value else 0


def _digits(bits: int) -> int:
    return -(-bits // _DIGIT)


def _even_modexp(value: int, exponent: int, modulus: int, most: int) -> int:
    """Price num-bigint's `plain_modpow`: a square per bit, and a product per bit that is set."""
    bits, price, result = f"{exponent:b}"[::-1], 0, None
    for place, bit in enumerate(bits):
        if place:
            square, paid = _product(value, value, modulus, is_square=True)
            if square == value:  # as are all that follow, so that all steps cost the same
                result, ones = value if result is None else result * value % modulus, bits.count("1", place)
                price += paid * (len(bits) - place) + _product(result, value, modulus)[1] * ones
                break
            value, price = square, price + paid
        if bit == "1" and result is None:
            result = value
        elif bit == "1" and result is not None:
            result, paid = _product(result, value, modulus)
            price += paid
        if price > most:
            break
    return price + 670 * _digits((result or 1).bit_length())


def _product(left: int, right: int, modulus: int, is_square: bool = False) -> tuple[int, int]:
    """Return a product modulo a number, and its price."""
    product = left * right
    if not product:
        return 0, _STEP_OF_ZERO
    size, digits = _digits(product.bit_length()), _digits(modulus.bit_length())
    if min(left, right) >> _DIGIT:
        price = 4_500 + _multiplication(left, right) + 380 * size
    elif is_square:
        price = 4_000 + 100 * size + (2_000 if size > 1 else 0)
    else:  # in place
        price = 2_600 + 100 * size
    if product < modulus:
        return product, price
    price += _division(size, digits)
    if modulus.bit_length() % _DIGIT and digits > 1:  # both are shifted
        price += 3_400 + 340 * digits
    return product % modulus, price


def _division(size: int, digits: int) -> int:
    return 370 + 100 * size if digits == 1 else 2_370 + (size - digits + 1) * (400 + 94 * digits)


def _multiplication(left: int, right: int) -> int:
    """Price a product: digits that are zero are left out; Karatsuba's from 33 digits on, Toom and Cook's from 257."""
    if not left or not right:
        return 0
    left, right = sorted((_without_zeros(left), _without_zeros(right)))
    short, long = _digits(left.bit_length()), _digits(right.bit_length())
    if short <= 32:
        zeros = array("I", left.to_bytes(4 * short, "little")).count(0)
        return 190 * short + 108 * (short - zeros) * long
    if short > 256:
        third = -(-long // 3) * _DIGIT
        sums = (sum(value >> at & ((1 << third) - 1) for at in (0, third, 2 * third)) for value in (left, right))
        return 1_500 * (short + long) + 5 * _multiplication(*sums)
    if 2 * short <= long:
        lower, upper = _halved(right, long)
        return 750 * long + _multiplication(left, lower) + _multiplication(left, upper)
    (low, high), (other_low, other_high) = _halved(left, short), _halved(right, short)
    parts = _multiplication(low, other_low) + _multiplication(high, other_high)
    return 750 * (short + long) + parts + _multiplication(abs(high - low), abs(other_high - other_low))


def _halved(value: int, digits: int) -> tuple[int, int]:
    place = digits // 2 * _DIGIT
    return value & ((1 << place) - 1), value >> place


def _without_zeros(value: int) -> int:
    """Remove the lowest digits that are zero."""
    return value >> ((value & -value).bit_length() - 1) // _DIGIT * _DIGIT


def _bn254_add(data: bytes) -> int:
    points = sum(any(data[start : start + 64]) for start in (0, 64))
    if points == 2 and data[:32] == data[64:96] and number(data, 32, 32) != number(data, 96, 32):
        return 345_000  # a point and its negative
    return (16_000, 153_000, 915_000)[points]


def _bn254_multiply(data: bytes) -> int:
    """Price doublings and additions: one per bit, and one per bit that is set."""
    factor = number(data, 64, 32) % _BN254_ORDER
    bits = factor.bit_length()
    if not any(data[:64]):
        return 92_000 + 59_000 * bits
    if bits < 2:
        return 170_000 + 80_000 * bits
    return 641_000 + 109_000 * bits + 229_000 * (factor.bit_count() - 1)


def _bn254_pairing(data: bytes) -> int:
    """Price pairs; a point of G2 is checked even if its partner is at infinity; the last step runs once."""
    if len(data) % 192:
        return 0
    pairs = [_halves(data[start : start + 192], 64) for start in range(0, len(data), 192)]
    live, checked = pairs.count((True, True)), pairs.count((False, True))
    once = (88_000_000 if _cancel(data) else 371_400_000) if live else 0
    return 48_000 + 20_000 * len(pairs) + once + 356_000_000 * live + 195_000_000 * checked


def _cancel(data: bytes) -> bool:
    """Return True if each pair is followed or preceded by its inverse, so that the last step raises one to a power."""
    left = Counter[bytes]()
    for start in range(0, len(data), 192):
        pair = data[start : start + 192]
        if all(_halves(pair, 64)):
            is_negative = [number(pair, at, 32) > curves.BN254_MODULUS // 2 for at in (32, 128)]
            left[pair[:32] + pair[64:128]] += 1 if is_negative[0] == is_negative[1] else -1
    return not any(left.values())


def _halves(pair: bytes, first: int) -> tuple[bool, bool]:
    """Return for both points of a pair whether they differ from infinity."""
    return any(pair[:first]), any(pair[first:])


def _fixed_price(price: int, length: int) -> Price:
    return lambda data: price if len(data) == length else 0


def _bls12_add(price: int, with_infinity: int, length: int) -> Price:
    def of(data: bytes) -> int:
        if len(data) != length:
            return 0
        return price if all(_halves(data, length // 2)) else with_infinity

    return of


class _Sum(NamedTuple):
    """Prices of a multi-scalar multiplication."""

    check: int
    """Of the check of a point."""
    one: int
    """Of a single product."""
    above: int
    """Of a factor in a single product that is not below the group's order."""
    few: tuple[int, int]
    """Of a sum, and of each of its products."""
    least_many: int
    """Number of products from which Pippenger's method is used."""
    many: tuple[int, int]
    """Of such a sum, and of an addition to a bucket."""
    length: int
    """Bytes of a point and its factor."""


def _bls12_multiply(prices: _Sum) -> Price:
    def of(data: bytes) -> int:
        count, rest = divmod(len(data), prices.length)
        if rest or not count:
            return 0
        terms = [data[start : start + prices.length] for start in range(0, len(data), prices.length)]
        factors = [number(term, prices.length - 32, 32) for term in terms if all(_halves(term, prices.length - 32))]
        price = prices.check * count
        if len(factors) >= prices.least_many:
            return price + prices.many[0] + prices.many[1] * _bucket_additions(factors)
        if len(factors) > 1:
            return price + prices.few[0] + prices.few[1] * len(factors)
        return price + sum(prices.one + prices.above * (factor >= _BLS12_ORDER) for factor in factors)

    return of


def _bucket_additions(factors: Sequence[int]) -> int:
    """Return the number of digits of Booth's recoding that are not zero: windows whose bits change."""
    bits = max(2, len(factors).bit_length() - 3)
    windows = range(0, 256, bits)
    return sum((factor ^ factor << 1) >> at & ((1 << bits) - 1) != 0 for factor in factors for at in windows)


def _bls12_pairing(data: bytes) -> int:
    """Price pairs; all points are checked; only pairs without infinity are computed; the last step runs once."""
    if len(data) % 384:
        return 0
    pairs = [_halves(data[start : start + 384], 128) for start in range(0, len(data), 384)]
    live = pairs.count((True, True))
    return 91_000_000 * len(pairs) + (328_300_000 if live else 0) + 275_100_000 * live


def _blake2f(data: bytes) -> int:
    if len(data) != BLAKE2F_INPUT or data[-1] > 1:
        return 0
    return 6_500 + 2_080 * int.from_bytes(data[:4], "big")


def _p256(data: bytes) -> int:
    if len(data) != P256_INPUT:
        return 0
    return 105_000_000 if has_valid_p256_numbers(data) else 1_000


PRICES: Final[Mapping[str, Price]] = MappingProxyType({
    "ecrecover": _ecrecover,
    "sha256": _hash(3_000, 7),
    "ripemd160": _hash(6_000, 35),
    "identity": lambda _: 4_000,
    "modexp": modexp_price,
    "bn254_add": _bn254_add,
    "bn254_mul": _bn254_multiply,
    "bn254_pairing": _bn254_pairing,
    "blake2f": _blake2f,
    "bls12_g1add": _bls12_add(2_615_000, 391_000, 256),
    "bls12_g1msm": _bls12_multiply(
        _Sum(40_100_000, 77_000_000, 33_650_000, (70_800_000, 35_000_000), 21, (160_000_000, 360_000), 160)
    ),
    "bls12_g2add": _bls12_add(4_400_000, 889_000, 512),
    "bls12_g2msm": _bls12_multiply(
        _Sum(50_900_000, 168_000_000, 113_300_000, (167_100_000, 99_000_000), 11, (420_000_000, 1_070_000), 288)
    ),
    "bls12_pairing_check": _bls12_pairing,
    "bls12_map_fp_to_g1": _fixed_price(35_560_000, 64),
    "bls12_map_fp2_to_g2": _fixed_price(134_460_000, 128),
    "p256_verify": _p256,
})  # fmt: skip
"""Prices by the names that `Rules.precompiles` uses."""


class _Part(NamedTuple):
    """A part of the input, how it is checked, and what that costs: if it is valid, refused, or all zeros."""

    start: int
    end: int
    check: Callable[[bytes], object]
    valid: int
    refused: int
    zero: int


def _below(prime: int, size: int, data: bytes) -> None:
    """Raise PrecompileFailure for a coordinate that is not below the field's modulus."""
    if any(number(data, at, size) >= prime for at in range(0, len(data), size)):
        raise PrecompileFailure("a coordinate is not below the field's modulus")


def _bn254(*points: tuple[int, int, Callable[[bytes], object], int, int]) -> tuple[_Part, ...]:
    """Return the parts of points, whose coordinates are all checked first."""
    end = max(point[1] for point in points)
    below = _Part(0, end, partial(_below, curves.BN254_MODULUS, 32), 3_000, 3_000, 3_000)
    return (below, *(_Part(*point, zero=8_000) for point in points))


def _bls12(*points: tuple[int, int, Callable[[bytes], object], int, int]) -> tuple[_Part, ...]:
    below = partial(_below, curves.BLS12_MODULUS, 64)
    parts = ((_Part(*point[:2], below, 0, 4_000, 0), _Part(*point, zero=point[3])) for point in points)
    return tuple(part for pair in parts for part in pair)


def _bn254_g2(data: bytes) -> bytes:
    return curves.pairing(bytes(64) + data)


_PARTS: Final[Mapping[str, tuple[int, tuple[_Part, ...]]]] = MappingProxyType({
    "bn254_add": (128, _bn254((0, 64, curves.add, 71_000, 66_000), (64, 128, curves.add, 71_000, 66_000))),
    "bn254_mul": (96, _bn254((0, 64, curves.add, 71_000, 66_000))),
    "bn254_pairing": (
        192, _bn254((64, 192, _bn254_g2, 195_000_000, 190_000), (0, 64, curves.add, 71_000, 66_000)),
    ),
    "bls12_g1add": (
        256, _bls12((0, 128, curves.g1_on_curve, 181_000, 181_000), (128, 256, curves.g1_on_curve, 181_000, 181_000)),
    ),
    "bls12_g1msm": (160, _bls12((0, 128, curves.g1, 40_100_000, 184_000))),
    "bls12_g2add": (
        512, _bls12((0, 256, curves.g2_on_curve, 415_000, 415_000), (256, 512, curves.g2_on_curve, 415_000, 415_000)),
    ),
    "bls12_g2msm": (288, _bls12((0, 256, curves.g2, 50_900_000, 418_000))),
    "bls12_pairing_check": (
        384, _bls12((0, 128, curves.g1, 40_100_000, 182_000), (128, 384, curves.g2, 50_900_000, 418_000)),
    ),
    "bls12_map_fp_to_g1": (64, _bls12((0, 64, bytes, 0, 0))),
    "bls12_map_fp2_to_g2": (128, _bls12((0, 128, bytes, 0, 0))),
})  # fmt: skip
"""For each precompile that refuses points, the length of the input's elements, and their parts in order."""


def first_refusal(name: str, data: bytes, most: int) -> tuple[PrecompileFailure, int] | None:
    """Return why a precompile refuses input of a right length, and the price of the checks up to there.

    As in the official actor, all points are checked before anything is computed. Return None if there is no refusal
    that `most` gas pays for.
    """
    if name not in _PARTS:
        return None
    length, parts = _PARTS[name]
    if name in ("bn254_add", "bn254_mul"):
        data = data[:length].ljust(length, b"\0")
    price = 0
    for at in range(0, len(data), length):
        for part in parts:
            piece = data[at + part.start : at + part.end]
            try:
                part.check(piece)
            except PrecompileFailure as failure:
                price += part.valid if isinstance(failure, NotInGroup) else part.refused
                return (failure, price) if price <= most else None
            price += part.valid if any(piece) else part.zero
            if price > most:
                return None
    return None
