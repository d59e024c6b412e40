"""What Ethereum's precompiles cost under Filecoin's rules, in gas.

The official EVM actor runs them as WASM (hashes and recovery as syscalls), so they cost what that execution costs.
The figures are fitted to what the official actor (v18) executed for the golden cases' inputs: within a tenth for
additions, hashes, recovery, maps, blake2f and P-256, within a third for products, pairings and modexp, whose real cost
depends on the bits of the input. Input of a wrong length is refused before anything is computed, and costs nothing.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from runtimes.evm.precompiles.ethereum import BLAKE2F_INPUT, MAX_MODEXP_LENGTH, P256_INPUT, modexp_lengths, number

_SYSCALL: Final = 14_000
_BN254_ORDER: Final = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
_MODEXP_RATE: Final = 10_000

Price = Callable[[bytes], int]


def _ecrecover(data: bytes) -> int:
    return _SYSCALL + 1_640_000 if number(data, 32, 32) in (27, 28) else 5_000


def _hash(base: int, per_byte: int) -> Price:
    return lambda data: _SYSCALL + base + per_byte * len(data)


def _modexp(data: bytes) -> int:
    """The work that EIP-2565 counts, at the measured rate."""
    base, exponent, modulus = modexp_lengths(data)
    if modulus == 0 or max(base, exponent, modulus) >= MAX_MODEXP_LENGTH:
        return 10_000
    head = number(data, 96 + base, min(exponent, 32))
    iterations = max(8 * max(exponent - 32, 0) + max(head.bit_length() - 1, 0), 1)
    return 10_000 + _MODEXP_RATE * (-(-max(base, modulus) // 8)) ** 2 * iterations // 3


def _bn254_multiply(data: bytes) -> int:
    return 200_000 + 236_000 * (number(data, 64, 32) % _BN254_ORDER).bit_length()


def _fixed(price: int, length: int) -> Price:
    return lambda data: price if len(data) == length else 0


def _per_item(base: int, each: int, size: int) -> Price:
    return lambda data: base + each * (len(data) // size) if data and len(data) % size == 0 else 0


def _blake2f(data: bytes) -> int:
    return 6_500 + 2_080 * int.from_bytes(data[:4], "big") if len(data) == BLAKE2F_INPUT else 0


PRICES: Final[Mapping[str, Price]] = MappingProxyType({
    "ecrecover": _ecrecover,
    "sha256": _hash(3_000, 7),
    "ripemd160": _hash(6_000, 35),
    "identity": lambda _: 4_000,
    "modexp": _modexp,
    "bn254_add": lambda _: 880_000,
    "bn254_mul": _bn254_multiply,
    "bn254_pairing": _per_item(480_000_000, 250_000_000, 192),
    "blake2f": _blake2f,
    "bls12_g1add": _fixed(2_615_000, 256),
    "bls12_g1msm": _per_item(80_000_000, 50_000_000, 160),
    "bls12_g2add": _fixed(4_400_000, 512),
    "bls12_g2msm": _per_item(120_000_000, 100_000_000, 288),
    "bls12_pairing_check": _per_item(335_000_000, 360_000_000, 384),
    "bls12_map_fp_to_g1": _fixed(35_560_000, 64),
    "bls12_map_fp2_to_g2": _fixed(134_460_000, 128),
    "p256_verify": _fixed(105_000_000, P256_INPUT),
})  # fmt: skip
"""By name, as `Rules.precompiles` gives them to addresses."""
