"""Accounts with delegated code (EIP-7702): designators, the authority of an authorization, and an account's own state.

The rules that apply an authorization define its effect on the account's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from bridge.ethereum.transactions import Authorization
from store.blockstore import Blockstore
from store.cid import EMPTY_ARRAY_CID, Cid
from store.codec import CodecError, decode, encode, link, unlink

DELEGATION_PREFIX: Final = b"\xef\x01\x00"
DELEGATION_LENGTH: Final = 23
_LAST_NONCE: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DelegatingAccount:
    """State of an Ethereum account that stores its own delegation: `[delegate or null, nonce, storage root]`.

    The nonce is that of its next authorization. The root of an account whose code has not run is that of `[]`.
    Source: builtin-actors pull request 1705, actors/ethaccount/src/state.rs.
    """

    delegate: EthAddress | None = None
    nonce: int = 0
    storage: Cid = EMPTY_ARRAY_CID

    @property
    def code(self) -> bytes:
        """The designator that contracts read as the account's code; empty without a delegate."""
        return b"" if self.delegate is None else DELEGATION_PREFIX + self.delegate

    @property
    def stored_slots(self) -> Cid | None:
        """Root of the storage tree; None if no code has run."""
        return None if self.storage == EMPTY_ARRAY_CID else self.storage

    def encode(self) -> bytes:
        """Encode the head block."""
        return encode([None if self.delegate is None else bytes(self.delegate), self.nonce, link(self.storage)])

    @staticmethod
    def decode(data: bytes) -> DelegatingAccount | None:
        """Decode a head block; None for a block with another number of fields. Raises CodecError."""
        fields = decode(data)
        if not isinstance(fields, list) or len(fields) != 3:
            return None
        delegate, nonce, storage = fields
        if delegate is not None and (type(delegate) is not bytes or len(delegate) != ETH_ADDRESS_LENGTH):
            raise CodecError("the delegate of an account must be null or have 20 bytes")
        if type(nonce) is not int or not 0 <= nonce <= _LAST_NONCE:
            raise CodecError("the nonce of an account's authorizations must be an unsigned number of 64 bits")
        return DelegatingAccount(None if delegate is None else EthAddress(delegate), nonce, unlink(storage))


def delegating_account_at(store: Blockstore, head: Cid) -> DelegatingAccount | None:
    """Return the state at an account's head if the account stores its own delegation. Raises CodecError."""
    return None if head == EMPTY_ARRAY_CID else DelegatingAccount.decode(store.get(head))


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
