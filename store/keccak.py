"""Keccak-256 with Ethereum's padding, which differs from that of SHA3-256 (FIPS 202)."""

from sha3 import keccak_256


def keccak(data: bytes | bytearray | memoryview) -> bytes:
    """Return the 32-byte Keccak-256 digest of `data`."""
    digest: bytes = keccak_256(data).digest()
    return digest
