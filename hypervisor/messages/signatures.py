"""Filecoin signatures: secp256k1 over blake2b-256, and BLS12-381 with public keys in G1.

Pure functions over bytes; charges and error numbers are defined by the kernel. libsecp256k1 computes secp256k1 public
keys and recoverable signatures over 32-byte digests. The BLS suite is `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_`
(public keys of 48 bytes, signatures of 96).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from btclib_secp256k1 import keys, recovery

from hypervisor.messages.address import Address, Protocol


def public_key(secret: bytes) -> bytes:
    """Return the uncompressed public key (65 bytes) of a private key.

    Raises ValueError if `secret` is not a valid private key.
    """
    return bytes(keys.pubkey_from_prvkey(secret, compressed=False))


def sign(secret: bytes, digest: bytes) -> bytes:
    """Sign a digest with a deterministic nonce (RFC 6979); return the signature as r, s and v (0 to 3), 65 bytes.

    Raises ValueError if `secret` is not a valid private key.
    """
    signature, recovery_id = recovery.sign(digest, secret, verify=False)
    return bytes(signature) + bytes((recovery_id,))


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """Return the uncompressed public key that made a signature (r, s and v), or None if the signature is invalid."""
    try:
        return bytes(recovery.recover(digest, signature[:64], signature[64], compressed=False))
    except ValueError:
        return None


BLS_DOMAIN = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
SECP_SIGNATURE_LENGTH = 65
BLS_SIGNATURE_LENGTH = 96
BLS_PUBLIC_KEY_LENGTH = 48


def recover_secp256k1(digest: bytes, signature: bytes) -> bytes | None:
    """Return the 65-byte public key of a signature (r, s, v with v in 0..3) of a 32-byte digest, or None."""
    if len(digest) != 32 or len(signature) != SECP_SIGNATURE_LENGTH or signature[64] > 3:
        return None
    return recover(digest, signature)


def verify_secp256k1(signature: bytes, signer: Address, plaintext: bytes) -> bool:
    """Return True if the key of an f1 address signed blake2b-256 of the plaintext."""
    key = recover_secp256k1(hashlib.blake2b(plaintext, digest_size=32).digest(), signature)
    return key is not None and Address.secp256k1(key) == signer


def secp256k1_public_key(private_key: bytes) -> bytes:
    """Return the 65-byte uncompressed public key of a 32-byte private key."""
    return public_key(private_key)


def sign_secp256k1(private_key: bytes, plaintext: bytes) -> bytes:
    """Sign blake2b-256 of the plaintext, and return 65 bytes: r, s, v."""
    digest = hashlib.blake2b(plaintext, digest_size=32).digest()
    return sign(private_key, digest)


def verify_bls(signature: bytes, signer: Address, plaintext: bytes) -> bool:
    """Return True if the key of an f3 address signed the plaintext."""
    return signer.protocol is Protocol.BLS and verify_bls_aggregate(signature, [signer.payload], [plaintext])


def verify_bls_aggregate(signature: bytes, public_keys: Sequence[bytes], plaintexts: Sequence[bytes]) -> bool:
    """Return True if an aggregate signature is valid for all keys and their plaintexts.

    False for invalid points or points outside the subgroup, an identity key, or two equal plaintexts.
    """
    from py_arkworks_bls12381 import GT, G1Point, G2Point

    if not public_keys:
        return True
    if len(set(plaintexts)) != len(plaintexts):
        return False
    try:
        keys = [G1Point.from_compressed_bytes(key) for key in public_keys]
        aggregate = G2Point.from_compressed_bytes(signature)
    except ValueError:
        return False
    if any(key == G1Point.identity() for key in keys):
        return False
    hashes = [G2Point.hash_to_curve(plaintext, BLS_DOMAIN) for plaintext in plaintexts]
    return bool(GT.pairing_check([-G1Point(), *keys], [aggregate, *hashes]))


def sign_bls(secret: int, plaintext: bytes) -> bytes:
    """Sign the plaintext with a secret key, and return 96 bytes."""
    from py_arkworks_bls12381 import G2Point, Scalar

    return bytes((G2Point.hash_to_curve(plaintext, BLS_DOMAIN) * Scalar(secret)).to_compressed_bytes())


def aggregate_bls(signatures: Sequence[bytes]) -> bytes:
    """Return the aggregate of BLS signatures; that of none is the identity. Raises ValueError for invalid points."""
    from py_arkworks_bls12381 import G2Point

    aggregate = G2Point.identity()
    for signature in signatures:
        aggregate = aggregate + G2Point.from_compressed_bytes(signature)
    return bytes(aggregate.to_compressed_bytes())
