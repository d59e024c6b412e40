"""Accounts with delegated code (EIP-7702): delegation designators, and the authority of an authorization.

The rules that apply an authorization define its effect on the account's state.
"""

from __future__ import annotations

from typing import Final

from bridge.addresses import EthAddress
from bridge.transactions import Authorization

DELEGATION_PREFIX: Final = b"\xef\x01\x00"
DELEGATION_LENGTH: Final = 23
_LAST_NONCE: Final = (1 << 64) - 1


def is_delegation(code: bytes) -> bool:
    """Return True if code is a delegation designator."""
    return len(code) == DELEGATION_LENGTH and code.startswith(DELEGATION_PREFIX)


def delegation_of(code: bytes) -> EthAddress | None:
    """Return the delegated address of a delegation designator, or None for any other code."""
    return EthAddress(code[len(DELEGATION_PREFIX) :]) if is_delegation(code) else None


def authority_of(authorization: Authorization, chain_id: int) -> EthAddress | None:
    """Return the account that signed an authorization, without checking the account's nonce and code.

    None if the authorization is for another chain, has the last nonce, or is not validly signed.
    """
    if authorization.chain_id not in (0, chain_id) or authorization.nonce >= _LAST_NONCE:
        return None
    return authorization.signer()
