"""Who signed something under Ethereum's rules: recovery of the address from a hash and a signature."""

from typing import Final

from eth_hash.auto import keccak

from bridge.addresses import EthAddress

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2
"""Signatures with a greater s are not canonical (EIP-2)."""


def recover(digest: bytes, parity: int, r: int, s: int) -> EthAddress | None:
    """The signer's address, None for numbers that are no key's signature of the hash."""
    from coincurve import PublicKey

    if parity not in (0, 1) or not 0 < r < ORDER or not 0 < s < ORDER:
        return None
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001  # the library raises bare Exception for a point that is not on the curve
        return None
    return EthAddress(keccak(key.format(compressed=False)[1:])[12:])
