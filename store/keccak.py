"""Keccak-256, with Ethereum's padding: not SHA3-256 of FIPS 202, which pads otherwise."""

from sha3 import keccak_256


def keccak(data: bytes | bytearray | memoryview) -> bytes:
    """The digest, 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest
