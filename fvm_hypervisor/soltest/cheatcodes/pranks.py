"""Pranks and broadcasts."""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.signing import account_of
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER, Prank
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

_NO_TRANSACTIONS = "in tests no transactions are collected"

_MODES: Final = {(True, True): 1, (True, False): 2, (False, True): 3, (False, False): 4}
"""forge's `CallerMode` by whether a prank is a broadcast and whether it ends with the next call."""


@cheatcode("prank(address)")
def _prank(context: Context, sender: EthAddress) -> None:
    begin(context, sender, None, once=True)


@cheatcode("prank(address,address)")
def _prank_origin(context: Context, sender: EthAddress, origin: EthAddress) -> None:
    begin(context, sender, origin, once=True)


@cheatcode("prank(address,bool)")
def _prank_delegate(context: Context, sender: EthAddress, delegates: bool) -> None:
    begin(context, sender, None, once=True, delegates=delegates)


@cheatcode("prank(address,address,bool)")
def _prank_origin_delegate(context: Context, sender: EthAddress, origin: EthAddress, delegates: bool) -> None:
    begin(context, sender, origin, once=True, delegates=delegates)


@cheatcode("startPrank(address)")
def _start_prank(context: Context, sender: EthAddress) -> None:
    begin(context, sender, None, once=False)


@cheatcode("startPrank(address,address)")
def _start_prank_origin(context: Context, sender: EthAddress, origin: EthAddress) -> None:
    begin(context, sender, origin, once=False)


@cheatcode("startPrank(address,bool)")
def _start_prank_delegate(context: Context, sender: EthAddress, delegates: bool) -> None:
    begin(context, sender, None, once=False, delegates=delegates)


@cheatcode("startPrank(address,address,bool)")
def _start_prank_origin_delegate(context: Context, sender: EthAddress, origin: EthAddress, delegates: bool) -> None:
    begin(context, sender, origin, once=False, delegates=delegates)


@cheatcode("stopPrank()")
def _stop_prank(context: Context) -> None:
    prank = context.state.pranks.pop(context.depth, None)
    if prank is not None and prank.origin is not None:
        context.set_origin(prank.old_origin)


@cheatcode("readCallers()", returns="uint8,address,address")
def _read_callers(context: Context) -> tuple[int, EthAddress, EthAddress]:
    """Return mode (see `_MODES`, 0 for none), sender and origin of the next call."""
    depths = [depth for depth in context.state.pranks if depth <= context.depth]
    if not depths:
        return 0, context.origin, context.origin
    prank = context.state.pranks[max(depths)]
    return _MODES[prank.broadcast, prank.once], prank.sender, prank.origin or context.origin


@cheatcode("broadcast()", partial=_NO_TRANSACTIONS)
def _broadcast(context: Context) -> None:
    sender = _default_sender(context)
    begin(context, sender, sender, once=True, broadcast=True)


@cheatcode("broadcast(address)", partial=_NO_TRANSACTIONS)
def _broadcast_as(context: Context, signer: EthAddress) -> None:
    begin(context, signer, signer, once=True, broadcast=True)


@cheatcode("startBroadcast()", partial=_NO_TRANSACTIONS)
def _start_broadcast(context: Context) -> None:
    sender = _default_sender(context)
    begin(context, sender, sender, once=False, broadcast=True)


@cheatcode("startBroadcast(address)", partial=_NO_TRANSACTIONS)
def _start_broadcast_as(context: Context, signer: EthAddress) -> None:
    begin(context, signer, signer, once=False, broadcast=True)


@cheatcode("broadcast(uint256)", partial=_NO_TRANSACTIONS)
def _broadcast_key(context: Context, key: int) -> None:
    _broadcast_as(context, _signer(context, key))


@cheatcode("startBroadcast(uint256)", partial=_NO_TRANSACTIONS)
def _start_broadcast_key(context: Context, key: int) -> None:
    _start_broadcast_as(context, _signer(context, key))


@cheatcode("stopBroadcast()", partial=_NO_TRANSACTIONS)
def _stop_broadcast(context: Context) -> None:
    if context.depth not in context.state.pranks:
        raise CheatcodeFailure("no broadcast in progress to stop")
    _stop_prank(context)


def _default_sender(context: Context) -> EthAddress:
    """Return the sender of a broadcast that names none."""
    found = context.state.broadcasts
    return DEFAULT_SENDER if found is None else found.sender


def _signer(context: Context, key: int) -> EthAddress:
    account, found = account_of(key), context.state.broadcasts
    if found is not None:
        found.keys[account.address] = account.private_key
    return account.address


def begin(
    context: Context,
    sender: EthAddress,
    origin: EthAddress | None,
    *,
    once: bool,
    delegates: bool = False,
    broadcast: bool = False,
) -> None:
    """Start a prank for calls by the caller. Raises CheatcodeFailure."""
    if delegates and not context.ledger.code(sender):
        raise CheatcodeFailure("cannot `prank` delegate call from an EOA")
    depths = [depth for depth in context.state.pranks if depth <= context.depth]
    if depths:
        ongoing = context.state.pranks[max(depths)]
        if not ongoing.used:
            raise CheatcodeFailure("cannot overwrite a prank until it is applied at least once")
        if ongoing.once != once:
            raise CheatcodeFailure(
                "cannot override an ongoing prank with a single vm.prank; "
                "use vm.startPrank to override the current prank"
            )
    context.state.pranks[context.depth] = Prank(
        context.caller, sender, origin, context.depth, once, delegates, context.origin, broadcast=broadcast
    )
