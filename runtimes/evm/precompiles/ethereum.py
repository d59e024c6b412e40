"""Ethereum's precompiles: each a price in EVM gas and a pure function of the input.

Libraries are imported when first used. Rules: the Ethereum yellow paper's appendix E, EIP-196, 197, 198, 1108, 2565,
152, 2537 (in `bls12_381`), 7951; where the official EVM actor differs, the function says so.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from eth_hash.auto import keccak

from runtimes.evm.precompiles import bls12_381, bn254
from runtimes.evm.precompiles.failure import PrecompileFailure

_SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_WORD: Final = 32
_ONE: Final = (1).to_bytes(_WORD, "big")
_MAX_LENGTH: Final = 1 << 32
_BLAKE2F_INPUT: Final = 213
_P256_INPUT: Final = 160


@dataclass(frozen=True, slots=True)
class Precompile:
    """A price and a function; the function raises PrecompileFailure."""

    gas: Callable[[bytes], int]
    run: Callable[[bytes], bytes]


def _number(data: bytes, start: int, length: int) -> int:
    """A big-endian number whose missing bytes are zeros."""
    chunk = data[start : start + length]
    return int.from_bytes(chunk, "big") << 8 * (length - len(chunk)) if chunk else 0


def _per_word(base: int, word: int) -> Callable[[bytes], int]:
    return lambda data: base + word * (-(-len(data) // _WORD))


def ecrecover(data: bytes) -> bytes:
    """The address that signed a hash, as a word; nothing where the signature is bad."""
    from coincurve import PublicKey

    v, r, s = _number(data, 32, _WORD), _number(data, 64, _WORD), _number(data, 96, _WORD)
    if v not in (27, 28) or not 0 < r < _SECP256K1_ORDER or not 0 < s < _SECP256K1_ORDER:
        return b""
    signature = r.to_bytes(_WORD, "big") + s.to_bytes(_WORD, "big") + bytes([v - 27])
    try:
        key = PublicKey.from_signature_and_message(signature, data[:_WORD].ljust(_WORD, b"\0"), hasher=None)
    except Exception:  # noqa: BLE001  # the library raises bare Exception for a point that is not on the curve
        return b""
    return keccak(key.format(compressed=False)[1:])[12:].rjust(_WORD, b"\0")


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160, as a word."""
    from Crypto.Hash import RIPEMD160

    digest: bytes = RIPEMD160.new(data).digest()
    return digest.rjust(_WORD, b"\0")


def _modexp_lengths(data: bytes) -> tuple[int, int, int]:
    base, exponent, modulus = (_number(data, _WORD * index, _WORD) for index in range(3))
    return base, exponent, modulus


def modexp_gas(data: bytes) -> int:
    """The price of EIP-2565; the least one where the result has no bytes or a length is refused."""
    base, exponent, modulus = _modexp_lengths(data)
    if modulus == 0 or max(base, exponent, modulus) >= _MAX_LENGTH:
        return 200
    head = _number(data, 96 + base, min(exponent, _WORD))
    iterations = max(8 * max(exponent - _WORD, 0) + max(head.bit_length() - 1, 0), 1)
    return max(200, (-(-max(base, modulus) // 8)) ** 2 * iterations // 3)


def modexp(data: bytes) -> bytes:
    """base ** exponent % modulus, as long as the modulus. A length of 2^32 or more fails: the network's rule."""
    base, exponent, modulus = _modexp_lengths(data)
    if max(base, exponent, modulus) >= _MAX_LENGTH:
        raise PrecompileFailure("modexp with a length above 32 bits")
    if modulus == 0:
        return b""
    divisor = _number(data, 96 + base + exponent, modulus)
    if divisor == 0:
        return bytes(modulus)
    power = pow(_number(data, 96, base), _number(data, 96 + base, exponent), divisor)
    return power.to_bytes(modulus, "big")


def blake2f_gas(data: bytes) -> int:
    """One for each round; none where the input is refused."""
    return int.from_bytes(data[:4], "big") if len(data) == _BLAKE2F_INPUT else 0


def blake2f(data: bytes) -> bytes:
    """The compression function of blake2b (EIP-152)."""
    import blake2b

    if len(data) != _BLAKE2F_INPUT or data[-1] > 1:
        raise PrecompileFailure("blake2f takes 213 bytes, the last of them 0 or 1")
    result: bytes = blake2b.decode_and_compress(data)
    return result


def p256_verify(data: bytes) -> bytes:
    """A word of 1 where an ECDSA signature on P-256 is good, else nothing; never fails (EIP-7951, FIP-0113)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    if len(data) != _P256_INPUT:
        return b""
    r, s, x, y = (_number(data, _WORD * index, _WORD) for index in range(1, 5))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(utils.encode_dss_signature(r, s), data[:_WORD], ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (ValueError, InvalidSignature):
        return b""
    return _ONE


ETHEREUM: Final[Mapping[str, Precompile]] = MappingProxyType({
    "ecrecover": Precompile(lambda _: 3000, ecrecover),
    "sha256": Precompile(_per_word(60, 12), sha256),
    "ripemd160": Precompile(_per_word(600, 120), ripemd160),
    "identity": Precompile(_per_word(15, 3), bytes),
    "modexp": Precompile(modexp_gas, modexp),
    "bn254_add": Precompile(lambda _: 150, bn254.add),
    "bn254_mul": Precompile(lambda _: 6000, bn254.multiply),
    "bn254_pairing": Precompile(lambda data: 45000 + 34000 * (len(data) // 192), bn254.pairing),
    "blake2f": Precompile(blake2f_gas, blake2f),
    "bls12_g1add": Precompile(lambda _: 375, bls12_381.g1_add),
    "bls12_g1msm": Precompile(bls12_381.g1_msm_gas, bls12_381.g1_msm),
    "bls12_g2add": Precompile(lambda _: 600, bls12_381.g2_add),
    "bls12_g2msm": Precompile(bls12_381.g2_msm_gas, bls12_381.g2_msm),
    "bls12_pairing_check": Precompile(lambda data: 37700 + 32600 * (len(data) // 384), bls12_381.pairing_check),
    "bls12_map_fp_to_g1": Precompile(lambda _: 5500, bls12_381.map_fp_to_g1),
    "bls12_map_fp2_to_g2": Precompile(lambda _: 23800, bls12_381.map_fp2_to_g2),
    "p256_verify": Precompile(lambda _: 6900, p256_verify),
})  # fmt: skip
"""By name, as `Rules.precompiles` gives them to addresses."""
