"""Ethereum's precompiles: each a pure function of its input. Their prices are in `prices`.

Libraries are imported at first use. Rules: the Ethereum yellow paper's appendix E, EIP-152, 196 and 197 (in `curves`),
198, 2537 (in `curves`), 7951; differences of the official EVM actor are documented at the functions.
"""

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from hypervisor.kernel import crypto
from runtimes.evm.contracts.precompiles import curves
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from store.keccak import keccak

_SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_P256_FIELD: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_WORD: Final = 32
_ONE: Final = (1).to_bytes(_WORD, "big")
MAX_MODEXP_LENGTH: Final = 1 << 32
BLAKE2F_INPUT: Final = 213
P256_INPUT: Final = 160


def number(data: bytes, start: int, length: int) -> int:
    """Return a big-endian number whose missing bytes are zeros."""
    chunk = data[start : start + length]
    return int.from_bytes(chunk, "big") << 8 * (length - len(chunk)) if chunk else 0


def has_valid_secp256k1_numbers(data: bytes) -> bool:
    """Return True if an address must be recovered: the signature's numbers are in range."""
    v, r, s = number(data, 32, _WORD), number(data, 64, _WORD), number(data, 96, _WORD)
    return v in (27, 28) and 0 < r < _SECP256K1_ORDER and 0 < s < _SECP256K1_ORDER


def ecrecover(data: bytes) -> bytes:
    """Return the address that signed a hash, as a word; empty if the signature is invalid."""
    from hypervisor.messages.signatures import recover

    if not has_valid_secp256k1_numbers(data):
        return b""
    signature = data[64:128].ljust(2 * _WORD, b"\0") + bytes([data[63] - 27])
    key = recover(data[:_WORD].ljust(_WORD, b"\0"), signature)
    return b"" if key is None else keccak(key[1:])[12:].rjust(_WORD, b"\0")


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 hash."""
    return hashlib.sha256(data).digest()


def ripemd160(data: bytes) -> bytes:
    """Return the RIPEMD-160 hash, as a word."""
    return crypto.ripemd160(data).rjust(_WORD, b"\0")


def modexp_lengths(data: bytes) -> tuple[int, int, int]:
    """Return the lengths of base, exponent and modulus in bytes, as given in the input."""
    base, exponent, modulus = (number(data, _WORD * index, _WORD) for index in range(3))
    return base, exponent, modulus


def modexp(data: bytes) -> bytes:
    """Return base ** exponent % modulus, as long as the modulus; fails for a length of 2^32 or more, as on Filecoin."""
    base, exponent, modulus = modexp_lengths(data)
    if max(base, exponent, modulus) >= MAX_MODEXP_LENGTH:
        raise PrecompileFailure("a modexp length does not fit in 32 bits")
    if modulus == 0:
        return b""
    divisor = number(data, 96 + base + exponent, modulus)
    if divisor == 0:
        return bytes(modulus)
    power = pow(number(data, 96, base), number(data, 96 + base, exponent), divisor)
    return power.to_bytes(modulus, "big")


def blake2f(data: bytes) -> bytes:
    """Return the result of blake2b's compression function (EIP-152)."""
    import blake2b

    if len(data) != BLAKE2F_INPUT or data[-1] > 1:
        raise PrecompileFailure("blake2f input must be 213 bytes, the last of them 0 or 1")
    result: bytes = blake2b.decode_and_compress(data)
    return result


def has_valid_p256_numbers(data: bytes) -> bool:
    """Return True if a signature must be computed: its numbers are in range and its key is on the curve."""
    r, s, x, y = (number(data, _WORD * index, _WORD) for index in range(1, 5))
    if not (0 < r < _P256_ORDER and 0 < s < _P256_ORDER and x < _P256_FIELD and y < _P256_FIELD):
        return False
    return (y * y - x * x * x + 3 * x - _P256_B) % _P256_FIELD == 0


def p256_verify(data: bytes) -> bytes:
    """Return a word of 1 if an ECDSA signature on P-256 is valid, else nothing; never fails (EIP-7951, FIP-0113)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    if len(data) != P256_INPUT:
        return b""
    if not has_valid_p256_numbers(data):  # the library would reduce coordinates modulo the field
        return b""
    r, s, x, y = (number(data, _WORD * index, _WORD) for index in range(1, 5))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(utils.encode_dss_signature(r, s), data[:_WORD], ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (ValueError, InvalidSignature):
        return b""
    return _ONE


ETHEREUM: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType({
    "ecrecover": ecrecover,
    "sha256": sha256,
    "ripemd160": ripemd160,
    "identity": bytes,
    "modexp": modexp,
    "bn254_add": curves.add,
    "bn254_mul": curves.multiply,
    "bn254_pairing": curves.pairing,
    "blake2f": blake2f,
    "bls12_g1add": curves.g1_add,
    "bls12_g1msm": curves.g1_msm,
    "bls12_g2add": curves.g2_add,
    "bls12_g2msm": curves.g2_msm,
    "bls12_pairing_check": curves.pairing_check,
    "bls12_map_fp_to_g1": curves.map_fp_to_g1,
    "bls12_map_fp2_to_g2": curves.map_fp2_to_g2,
    "p256_verify": p256_verify,
})  # fmt: skip
"""Precompiles by the names that `Rules.precompiles` uses. They raise PrecompileFailure."""
