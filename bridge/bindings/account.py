"""An account controlled by a key.

Generated from fvm_hypervisor/builtin_actors/schemas/account.ipldsch: `make bindings`.
"""

from __future__ import annotations

from typing import Final

from bridge.binding import Call, Codec
from bridge.bindings import common
from bridge.bindings.common import AuthenticateMessageParams
from hypervisor.address import Address
from hypervisor.types import MethodNumber

CODEC: Final = Codec("account", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
PUBKEY_ADDRESS: Final = MethodNumber(2)
AUTHENTICATE_MESSAGE: Final = MethodNumber(2643134072)


def constructor(address: Address) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", address, None)


def pubkey_address() -> Call[Address]:
    """Call PubkeyAddress, method 2."""
    return CODEC.call(PUBKEY_ADDRESS, None, None, "PubkeyAddressReturn")


def authenticate_message(signature: bytes, message: bytes) -> Call[bool]:
    """Call AuthenticateMessage, method 2643134072."""
    return CODEC.call(
        AUTHENTICATE_MESSAGE,
        "AuthenticateMessageParams",
        AuthenticateMessageParams(signature, message),
        "AuthenticateMessageReturn",
    )
