"""Accounts that lend themselves a contract's code (EIP-7702): what stands for their code, and who has said so.

What an authorization does to an account's state is the rules' that apply it.
"""

from __future__ import annotations

from typing import Final

from bridge.addresses import EthAddress
from bridge.transactions import Authorization

DELEGATION_PREFIX: Final = b"\xef\x01\x00"
DELEGATION_LENGTH: Final = 23
_LAST_NONCE: Final = (1 << 64) - 1


def is_delegation(code: bytes) -> bool:
    """Whether code only says whose code is lent."""
    return len(code) == DELEGATION_LENGTH and code.startswith(DELEGATION_PREFIX)


def delegation_of(code: bytes) -> EthAddress | None:
    """The address whose code is lent by what stands for an account's code; None of any other code."""
    return EthAddress(code[len(DELEGATION_PREFIX) :]) if is_delegation(code) else None


def authority_of(authorization: Authorization, chain_id: int) -> EthAddress | None:
    """The account that signed an authorization for a chain; None where it is for another one, at the last nonce, or
    not signed. Its nonce and its code are not looked at.
    """
    if authorization.chain_id not in (0, chain_id) or authorization.nonce >= _LAST_NONCE:
        return None
    return authorization.signer()
