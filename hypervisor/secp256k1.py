"""secp256k1 public keys and recoverable signatures over 32-byte digests, computed by libsecp256k1."""

from __future__ import annotations

from btclib_secp256k1 import keys, recovery


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
