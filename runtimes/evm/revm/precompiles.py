"""Ethereum's precompiles at Ethereum's prices. Gas is charged before anything is computed.

The functions are those of `runtimes.evm.contracts.precompiles`, except MODEXP with lengths over 32 bits, where the
Filecoin network differs from Ethereum. Prices: the execution specifications; EIP-2565 and EIP-7883 (MODEXP), EIP-1108
(bn254), EIP-2537 (BLS12-381), EIP-4844 (point evaluation), EIP-7951 (P-256).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bridge.ethereum.blobs import FIELD_ELEMENTS, MODULUS, KzgError, verify_point, versioned_hash
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY
from runtimes.evm.contracts.gas_table import GasTable, words
from runtimes.evm.contracts.precompiles.ethereum import BLAKE2F_INPUT, ETHEREUM, modexp_lengths, number
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.registered import run_registered
from runtimes.evm.forks.forks import Fork

_G1_DISCOUNTS: Final = (
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665, 661, 658, 654, 651,
    648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601,
    599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570,
    569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547,
    547, 546, 545, 544, 543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529, 528,
    528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
)  # fmt: skip
_G2_DISCOUNTS: Final = (
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699, 693, 688, 683, 679,
    674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611,
    609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582, 580, 579, 578, 576, 575,
    574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551,
    550, 549, 548, 547, 546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533, 532,
    532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
)  # fmt: skip
_G1_MULTIPLY: Final = 12_000
_G2_MULTIPLY: Final = 22_500
MODEXP_BOUND: Final = 1024
_MAX_RESULT_LENGTH: Final = MAX_INSTANCE_MEMORY
"""Maximum size in bytes of a MODEXP result. A longer one raises OutOfGas, since its price exceeds any block's gas."""
POINT_EVALUATION_INPUT: Final = 192

Price = Callable[[GasTable, bytes], int]
Amount = Callable[[GasTable], int]


def run_precompile(fork: Fork, name: str, data: bytes, gas: GasTracker) -> bytes:
    """Return the output of a precompile. Raises OutOfGas, and PrecompileFailure if the input is invalid."""
    own = fork.registered.get(name)
    if own is not None:
        gas.charge("OnPrecompile", own.price(data))
        return run_registered(own, data)
    if name == "modexp":
        return _modexp(fork, data, gas)
    gas.charge("OnPrecompile", PRICES[name](fork.gas, data))
    return _point_evaluation(data) if name == "point_evaluation" else ETHEREUM[name](data)


# --- MODEXP ---------------------------------------------------------------------------------------------------------


def _modexp(fork: Fork, data: bytes, gas: GasTracker) -> bytes:
    base, exponent, modulus = lengths = modexp_lengths(data)
    if fork.bounded_modexp and max(lengths) > MODEXP_BOUND:
        raise PrecompileFailure(f"a modexp length exceeds {MODEXP_BOUND} bytes")
    head = number(data, 96 + base, min(exponent, 32)) if base < len(data) else 0
    gas.charge("OnPrecompile", modexp_price(lengths, head, fork))
    if modulus == 0:
        return b""
    if modulus > _MAX_RESULT_LENGTH:
        raise OutOfGas(f"modexp: a result of {modulus} bytes exceeds the machine's limit")
    divisor = number(data, 96 + base + exponent, modulus)
    if divisor == 0:
        return bytes(modulus)
    power = pow(number(data, 96, base), number(data, 96 + base, exponent), divisor)
    return power.to_bytes(modulus, "big")


def modexp_price(lengths: tuple[int, int, int], head: int, fork: Fork) -> int:
    """Return the price from the lengths and the first 32 bytes of the exponent, by EIP-7883, EIP-2565 or EIP-198."""
    base, exponent, modulus = lengths
    longest = max(base, modulus)
    complexity = ((longest + 7) // 8) ** 2
    bits = max(head.bit_length() - 1, 0)
    if not fork.repriced_modexp:
        iterations = bits if exponent <= 32 else 8 * (exponent - 32) + bits
        return _first_modexp_complexity(longest) * max(iterations, 1) // 20
    if not fork.bounded_modexp:
        iterations = bits if exponent <= 32 else 8 * (exponent - 32) + bits
        return max(200, complexity * max(iterations, 1) // 3)
    complexity = 2 * complexity if longest > 32 else 16
    iterations = bits if exponent <= 32 else 16 * (exponent - 32) + bits
    return max(500, complexity * max(iterations, 1))


def _first_modexp_complexity(longest: int) -> int:
    if longest <= 64:
        return longest**2
    if longest <= 1024:
        return longest**2 // 4 + 96 * longest - 3072
    return longest**2 // 16 + 480 * longest - 199_680


# --- point evaluation -----------------------------------------------------------------------------------------------


def _point_evaluation(data: bytes) -> bytes:
    """Verify the value of a blob's polynomial at a point and return two constants."""
    if len(data) != POINT_EVALUATION_INPUT:
        raise PrecompileFailure(f"point evaluation input of {len(data)} bytes, expected {POINT_EVALUATION_INPUT}")
    expected_hash, z, y, commitment, proof = data[:32], data[32:64], data[64:96], data[96:144], data[144:]
    if expected_hash != versioned_hash(commitment):
        raise PrecompileFailure("the versioned hash is not the commitment's")
    try:
        good = verify_point(commitment, z, y, proof)
    except KzgError as error:
        raise PrecompileFailure(f"point evaluation: {error}") from None
    if not good:
        raise PrecompileFailure("the proof is wrong")
    return FIELD_ELEMENTS.to_bytes(32, "big") + MODULUS.to_bytes(32, "big")


# --- prices ---------------------------------------------------------------------------------------------------------


def _fixed_price(amount: int) -> Price:
    return lambda _gas, _data: amount


def _per_word(base: Amount, each: Amount) -> Price:
    return lambda gas, data: base(gas) + each(gas) * words(len(data))


def _per_item(base: int, each: int, size: int) -> Price:
    return lambda _, data: base + each * (len(data) // size)


def _msm(multiply: int, discounts: tuple[int, ...], size: int) -> Price:
    def price(_: GasTable, data: bytes) -> int:
        count = len(data) // size
        return count * multiply * discounts[min(count, len(discounts)) - 1] // 1000 if count else 0

    return price


def _blake2f(_: GasTable, data: bytes) -> int:
    return int.from_bytes(data[:4], "big") if len(data) == BLAKE2F_INPUT else 0


PRICES: Final[Mapping[str, Price]] = MappingProxyType({
    "ecrecover": _fixed_price(3000),
    "sha256": _per_word(lambda gas: gas.sha256_base, lambda gas: gas.sha256_word),
    "ripemd160": _per_word(lambda gas: gas.ripemd160_base, lambda gas: gas.ripemd160_word),
    "identity": _per_word(lambda gas: gas.identity_base, lambda gas: gas.identity_word),
    "bn254_add": lambda gas, _: gas.bn254_add,
    "bn254_mul": lambda gas, _: gas.bn254_mul,
    "bn254_pairing": lambda gas, data: gas.bn254_pairing_base + gas.bn254_pairing_pair * (len(data) // 192),
    "blake2f": _blake2f,
    "point_evaluation": _fixed_price(50_000),
    "bls12_g1add": _fixed_price(375),
    "bls12_g1msm": _msm(_G1_MULTIPLY, _G1_DISCOUNTS, 160),
    "bls12_g2add": _fixed_price(600),
    "bls12_g2msm": _msm(_G2_MULTIPLY, _G2_DISCOUNTS, 288),
    "bls12_pairing_check": _per_item(37_700, 32_600, 384),
    "bls12_map_fp_to_g1": _fixed_price(5500),
    "bls12_map_fp2_to_g2": _fixed_price(23_800),
    "p256_verify": _fixed_price(6900),
})  # fmt: skip
"""Prices by precompile name; MODEXP is priced by `modexp_price`."""
