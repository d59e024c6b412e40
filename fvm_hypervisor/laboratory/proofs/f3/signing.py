"""The signature of a certificate: the signed bytes, and BLS aggregates with weighted keys.

Sources: FIP-0086; go-f3 (gpbft/types.go, gpbft/chain.go, merkle/merkle.go); the BDN scheme of Boneh, Drijvers and Neven
(https://eprint.iacr.org/2018/483) as in kyber's sign/bdn. Keys are in G1 and signatures in G2 of BLS12-381.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fvm_hypervisor.laboratory.proofs.f3.blake2xs import blake2xs
from fvm_hypervisor.laboratory.proofs.f3.certificates import Certificate, Tipset
from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from hypervisor.messages.signatures import BLS_DOMAIN
from store.cid import cid_of
from store.codec import encode
from store.keccak import keccak

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point

_DECIDE: Final = b"\x05"
"""Phase of the votes in a certificate; its round is 0."""
_EMPTY: Final = bytes(32)
_COEFFICIENT: Final = 16
_MAX_POINTS: Final = 16_384
"""Maximum number of cached decoded keys: twice the participants of the largest table."""


def signed_bytes(network: str, certificate: Certificate) -> bytes:
    """Return the bytes that the participants of a network sign to decide the certificate's chain."""
    return b"".join(
        (
            b"GPBFT:",
            network.encode(),
            b":",
            _DECIDE,
            bytes(8),
            certificate.instance.to_bytes(8, "big"),
            certificate.commitments,
            merkle_root([_leaf(tipset) for tipset in certificate.chain]),
            certificate.power_table,
        )
    )


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a binary Merkle tree with Keccak-256; missing leaves at the end are zeros."""
    if not leaves:
        return _EMPTY
    return _subtree(leaves, (len(leaves) - 1).bit_length())


def verify_aggregate(signature: bytes, message: bytes, keys: Sequence[bytes], signers: Sequence[int]) -> None:
    """Check an aggregate signature of the keys at positions `signers`. Raises InvalidCertificate.

    Pass all keys of the power table: the weight of a key depends on all of them.
    """
    from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

    points = []
    for index, key in enumerate(keys):
        try:
            points.append(_point(key))
        except ValueError as error:
            raise InvalidCertificate(f"the key of entry {index} of the power table is {error}") from None
    try:
        aggregate = G2Point.from_compressed_bytes(signature)
    except ValueError as error:
        raise InvalidCertificate(f"Signature: not a point: {error}") from None
    weights = weights_of(tuple(keys))
    weighted = G1Point.multiexp_unchecked([points[at] for at in signers], [Scalar(weights[at]) for at in signers])
    hashed = G2Point.hash_to_curve(message, BLS_DOMAIN)
    if not GT.pairing_check([-G1Point(), weighted], [aggregate, hashed]):
        raise InvalidCertificate("Signature: it does not verify for these signers, contents and network name")


@lru_cache(maxsize=2)
def weights_of(keys: tuple[bytes, ...]) -> tuple[int, ...]:
    """Return the weight of each key: BLAKE2Xs of all keys, 16 bytes each, little-endian, plus 1.

    The result is cached, because consecutive certificates mostly have the same keys.
    """
    size = _COEFFICIENT * len(keys)
    output = blake2xs(b"".join(keys), size)
    return tuple(int.from_bytes(output[at : at + _COEFFICIENT], "little") + 1 for at in range(0, size, _COEFFICIENT))


@lru_cache(maxsize=_MAX_POINTS)  # decoding takes half of the verification time, and most keys recur
def _point(key: bytes) -> G1Point:
    """Return the point of a key. Raises ValueError for bytes that are not a point, and for the point at infinity."""
    from py_arkworks_bls12381 import G1Point

    try:
        point = G1Point.from_compressed_bytes(key)
    except ValueError as error:
        raise ValueError(f"not a point: {error}") from None
    if point == G1Point.identity():
        raise ValueError("the point at infinity")
    return point


def _leaf(tipset: Tipset) -> bytes:
    return (
        tipset.epoch.to_bytes(8, "big", signed=True)
        + tipset.commitments
        + cid_of(encode(tipset.key))
        + tipset.power_table
    )


def _subtree(leaves: Sequence[bytes], depth: int) -> bytes:
    if not leaves:
        return _EMPTY
    if not depth:
        return bytes(keccak(b"\x01" + leaves[0]))
    split = 1 << depth - 1
    return bytes(keccak(b"\x00" + _subtree(leaves[:split], depth - 1) + _subtree(leaves[split:], depth - 1)))
