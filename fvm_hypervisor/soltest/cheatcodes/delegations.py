"""Cheatcodes that sign and attach EIP-7702 authorizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Authorization
from fvm_hypervisor.soltest.cheatcodes.broadcasts import NOT_SENT, attach
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger
from fvm_hypervisor.soltest.cheatcodes.signing import account_of
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

_SIGNED: Final = "(uint8,bytes32,bytes32,uint64,address)"
Signed = tuple[int, bytes, bytes, int, EthAddress]


def _next_nonce(context: Context, authority: EthAddress) -> int:
    """Return the nonce of an authority's next delegation; a broadcast transaction of its own increments it first."""
    last = context.state.delegations.get(authority)
    if last is not None:
        return last + 1
    sends = any(prank.broadcast and prank.sender == authority for prank in context.state.pranks.values())
    return context.ledger.nonce(authority) + sends


def _attach(context: Context, authorization: Authorization, name: str) -> None:
    context.ethereum("account delegations (EIP-7702)")
    authority, ledger = authorization.signer(), context.ledger
    if authority is None:
        raise CheatcodeFailure("signature error")
    expected = _next_nonce(context, authority)
    if expected != authorization.nonce:
        raise CheatcodeFailure(f"invalid nonce for 0x{authority.hex()}: expected {expected}, got {authorization.nonce}")
    assert isinstance(ledger, EthereumLedger), "account delegations require Ethereum's rules"
    ledger.delegate(authority, authorization.address if any(authorization.address) else None)
    context.state.delegations[authority] = authorization.nonce
    attach(context, name)


def _sign(
    context: Context,
    to: EthAddress,
    key: int,
    *,
    nonce: int | None = None,
    anywhere: bool = False,
    attach: bool = False,
) -> Signed:
    account = account_of(key)
    number = _next_nonce(context, account.address) if nonce is None else nonce
    chain = 0 if anywhere else context.machine.context.chain_id
    signed = account.sign_authorization(to, number, chain)
    if attach:
        _attach(context, signed, "signAndAttachDelegation")
    return signed.y_parity, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"), number, to


@cheatcode("signDelegation(address,uint256)", returns=_SIGNED)
def _sign_next(context: Context, to: EthAddress, key: int) -> Signed:
    return _sign(context, to, key)


@cheatcode("signDelegation(address,uint256,uint64)", returns=_SIGNED)
def _sign_nonce(context: Context, to: EthAddress, key: int, nonce: int) -> Signed:
    return _sign(context, to, key, nonce=nonce)


@cheatcode("signDelegation(address,uint256,bool)", returns=_SIGNED)
def _sign_anywhere(context: Context, to: EthAddress, key: int, anywhere: bool) -> Signed:
    return _sign(context, to, key, anywhere=anywhere)


@cheatcode("signAndAttachDelegation(address,uint256)", returns=_SIGNED, partial=NOT_SENT)
def _sign_and_attach(context: Context, to: EthAddress, key: int) -> Signed:
    return _sign(context, to, key, attach=True)


@cheatcode("signAndAttachDelegation(address,uint256,uint64)", returns=_SIGNED, partial=NOT_SENT)
def _sign_and_attach_nonce(context: Context, to: EthAddress, key: int, nonce: int) -> Signed:
    return _sign(context, to, key, nonce=nonce, attach=True)


@cheatcode("signAndAttachDelegation(address,uint256,bool)", returns=_SIGNED, partial=NOT_SENT)
def _sign_and_attach_anywhere(context: Context, to: EthAddress, key: int, anywhere: bool) -> Signed:
    return _sign(context, to, key, anywhere=anywhere, attach=True)


@cheatcode(f"attachDelegation({_SIGNED})", partial=NOT_SENT)
def _attach_here(context: Context, signed: Sequence[Any]) -> None:
    _attach_signed(context, signed, False)


@cheatcode(f"attachDelegation({_SIGNED},bool)", partial=NOT_SENT)
def _attach_signed(context: Context, signed: Sequence[Any], anywhere: bool) -> None:
    v, r, s, nonce, to = signed
    chain = 0 if anywhere else context.machine.context.chain_id
    numbers = int.from_bytes(r, "big"), int.from_bytes(s, "big")
    _attach(context, Authorization(chain, EthAddress(to), nonce, v, *numbers), "attachDelegation")
