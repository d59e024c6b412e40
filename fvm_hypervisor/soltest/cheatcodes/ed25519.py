"""Ed25519 cheatcodes; the signed message is prefixed by a namespace. The library is loaded by their first call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def _private(key: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key)


def _public(key: bytes) -> bytes:
    return _private(key).public_key().public_bytes_raw()


@cheatcode("createEd25519Key(bytes32)", returns="bytes32,bytes32")
def _create(_context: Context, salt: bytes) -> tuple[bytes, bytes]:
    return _public(salt), salt


@cheatcode("publicKeyEd25519(bytes32)", returns="bytes32")
def _public_key(_context: Context, key: bytes) -> bytes:
    return _public(key)


@cheatcode("signEd25519(bytes,bytes,bytes32)", returns="bytes")
def _sign_ed25519(_context: Context, namespace: bytes, message: bytes, key: bytes) -> bytes:
    return _private(key).sign(namespace + message)


@cheatcode("verifyEd25519(bytes,bytes,bytes,bytes32)", returns="bool")
def _verify(_context: Context, signature: bytes, namespace: bytes, message: bytes, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, namespace + message)
    except (InvalidSignature, ValueError):
        return False
    return True
