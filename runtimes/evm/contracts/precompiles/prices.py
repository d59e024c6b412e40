"""Prices of Ethereum's precompiles under Filecoin's rules, in gas.

The official EVM actor runs them as WASM (hashes and recovery as syscalls), and they cost what that execution costs. The
figures are fitted to what the official actor (v18) executed for selected inputs, within 10 %; modexp with an exponent
of a few bits within a third. Points at infinity and numbers out of range end a computation early and cost less, and so
does rejected input (`REFUSED`). Input of a wrong length is free.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from runtimes.evm.contracts.precompiles.ethereum import (
    BLAKE2F_INPUT,
    MAX_MODEXP_LENGTH,
    P256_INPUT,
    has_valid_p256_numbers,
    modexp_lengths,
    number,
)

_SYSCALL: Final = 14_000
_BN254_ORDER: Final = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001

Price = Callable[[bytes], int]


def _ecrecover(data: bytes) -> int:
    return _SYSCALL + 1_640_000 if number(data, 32, 32) in (27, 28) else 5_000


def _hash(base: int, per_byte: int) -> Price:
    return lambda data: _SYSCALL + base + per_byte * len(data)


def _modexp(data: bytes) -> int:
    """Price modexp by 32-bit digits: 4-bit windows for an odd modulus, bit by bit for an even one."""
    base, exponent, modulus = modexp_lengths(data)
    if modulus == 0 or max(base, exponent, modulus) >= MAX_MODEXP_LENGTH:
        return 10_000
    head = 96 + base
    exponent_bytes = data[head : head + exponent]
    power = int.from_bytes(exponent_bytes, "big")
    bits = power.bit_length() + 8 * (exponent - len(exponent_bytes)) if power else 0
    divisor = data[head + exponent : head + exponent + modulus].ljust(min(modulus, len(data)), b"\0")
    if not any(divisor[:-1]) and divisor[-1] < 2:
        return 10_000
    digits, reduction = -(-modulus // 4), 600 * max(base - modulus, 0)
    if divisor[-1] & 1 and len(divisor) == modulus:
        return reduction + _odd_modexp(digits, -(-bits // 32))
    growth = (modulus // max(base, 1)).bit_length() - 1  # until then numbers are shorter than the modulus
    full = max(bits - 1 - max(growth, 0), 0)
    products = full + full * max(power.bit_count() - 1, 0) // max(bits - 1, 1)
    return reduction + 20_000 + (490 * max(base, modulus) + _even_product(digits) * products if products else 0)


def _odd_modexp(digits: int, exponent_digits: int) -> int:
    each_bit = 4_200 + 940 * digits + 414 * digits * digits
    return 40_000 + each_bit * (320 * exponent_digits + 106) // 10


def _even_product(digits: int) -> int:
    return 2_000 + 2_290 * digits + 186 * digits * digits


def _bn254_add(data: bytes) -> int:
    points = sum(any(data[start : start + 64]) for start in (0, 64))
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
    once = 371_400_000 if live else 0
    return 48_000 + 20_000 * len(pairs) + once + 356_000_000 * live + 195_000_000 * checked


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


def _bls12_multiply(check: int, alone: int, once: int, each: int, size: int) -> Price:
    """Price an MSM: each point is checked; one term is a multiplication, several are summed in windows."""

    def of(data: bytes) -> int:
        count, rest = divmod(len(data), size)
        if rest or not count:
            return 0
        terms = (_halves(data[start : start + size], size - 32) for start in range(0, len(data), size))
        if (True, True) not in terms:
            return check * count
        return check * count + (alone if count == 1 else once + each * count)

    return of


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
    "modexp": _modexp,
    "bn254_add": _bn254_add,
    "bn254_mul": _bn254_multiply,
    "bn254_pairing": _bn254_pairing,
    "blake2f": _blake2f,
    "bls12_g1add": _bls12_add(2_615_000, 391_000, 256),
    "bls12_g1msm": _bls12_multiply(40_100_000, 77_000_000, 70_800_000, 35_000_000, 160),
    "bls12_g2add": _bls12_add(4_400_000, 889_000, 512),
    "bls12_g2msm": _bls12_multiply(50_900_000, 168_000_000, 167_100_000, 99_000_000, 288),
    "bls12_pairing_check": _bls12_pairing,
    "bls12_map_fp_to_g1": _fixed_price(35_560_000, 64),
    "bls12_map_fp2_to_g2": _fixed_price(134_460_000, 128),
    "p256_verify": _p256,
})  # fmt: skip
"""Prices by the names that `Rules.precompiles` uses."""

REFUSED: Final[Mapping[str, int]] = MappingProxyType(
    {
        "bn254_add": 47_000,
        "bn254_mul": 47_000,
        "bn254_pairing": 59_000,
        "bls12_g1add": 181_000,
        "bls12_g1msm": 184_000,
        "bls12_g2add": 415_000,
        "bls12_g2msm": 418_000,
        "bls12_pairing_check": 182_000,
        "bls12_map_fp_to_g1": 600,
        "bls12_map_fp2_to_g2": 600,
    }
)
"""Prices of rejected input of the right length: those of a first point that is not on the curve."""
