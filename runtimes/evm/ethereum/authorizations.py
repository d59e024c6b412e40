"""Who signed an authorization of EIP-7702."""

from typing import Final

from eth_hash.auto import keccak

from bridge import rlp
from bridge.addresses import EthAddress

_MAGIC: Final = b"\x05"
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def recover_signer(chain_id: int, address: EthAddress, nonce: int, parity: int, r: int, s: int) -> EthAddress | None:
    """The signer's address; None for a signature that is no canonical one of any key."""
    from coincurve import PublicKey

    if parity not in (0, 1) or not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        return None
    digest = keccak(_MAGIC + rlp.encode([rlp.number(chain_id), bytes(address), rlp.number(nonce)]))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001  # the library raises bare Exception for a point that is not on the curve
        return None
    return EthAddress(keccak(key.format(compressed=False)[1:])[12:])
