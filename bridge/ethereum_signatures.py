"""Recovery of Ethereum addresses from signatures."""

from typing import Final

from bridge.addresses import EthAddress
from hypervisor import secp256k1
from store.keccak import keccak

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2
"""Maximum s of a canonical signature (EIP-2)."""


def recover(digest: bytes, parity: int, r: int, s: int) -> EthAddress | None:
    """Return the signer's address, or None if the signature is invalid."""
    if parity not in (0, 1) or not 0 < r < ORDER or not 0 < s < ORDER:
        return None
    key = secp256k1.recover(digest, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity]))
    return None if key is None else key_address(key)


def key_address(public_key: bytes) -> EthAddress:
    """Return the Ethereum address of a 65-byte uncompressed public key."""
    return EthAddress(bytes(keccak(public_key[1:])[12:]))
