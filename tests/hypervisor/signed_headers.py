"""Block headers signed with BLS keys."""

from collections.abc import Sequence
from typing import Any

from hypervisor.integers import encode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.signatures import BLS_DOMAIN
from localnet.accounts import BLS_ACCOUNT
from store.cid import Cid, cid_of
from store.codec import encode, link

WORKER = BLS_ACCOUNT
"""The key of the secret number 1, which local miners have as worker."""
OTHER_SECRET = 7


def header(
    miner: Address, epoch: int, parents: Sequence[Cid], *, weight: int = 1, timestamp: int = 5, key: int = 1
) -> tuple[list[Any], int]:
    """Return the fields of a header without a signature, and the secret to sign with; 0 leaves it out."""
    state = link(cid_of(b"state"))
    fields = [
        miner.to_bytes(), [b"ticket"], [1, b"vrf"], [[8, b"entry"]], [[3, b"proof"]],
        [link(parent) for parent in parents], encode_bigint(weight), epoch, state, state, state, None, timestamp,
        None, 0, encode_bigint(100),
    ]  # fmt: skip
    return fields, key


def signed(made: tuple[list[Any], int]) -> bytes:
    """Return an encoded header with the signature of its secret."""
    fields, secret = made
    if secret:
        fields = [*fields[:13], b"\2" + bls_signature(secret, encode(fields)), *fields[14:]]
    return encode(fields)


def bls_signature(secret: int, text: bytes) -> bytes:
    """Return the BLS signature of a text."""
    from py_arkworks_bls12381 import G2Point, Scalar

    return bytes((G2Point.hash_to_curve(text, BLS_DOMAIN) * Scalar(secret)).to_compressed_bytes())


def public_key(secret: int) -> Address:
    """Return the address of a secret's key."""
    from py_arkworks_bls12381 import G1Point, Scalar

    return Address.bls(bytes((G1Point() * Scalar(secret)).to_compressed_bytes()))
