"""Pranks and broadcasts: calls in another account's name.

Each call and creation that is broadcast as a signer becomes a transaction, which scripts record in order. As in forge,
each one increments the signer's nonce, static calls are not recorded, and CREATE2 is a call of the default deployer,
which then creates the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, failure_data
from hypervisor_tools.soltest.cheatcodes.state import (
    CREATE2_DEPLOYER,
    DEFAULT_SENDER,
    VM_ADDRESS,
    BroadcastCall,
    Broadcasts,
    Prank,
    State,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import InterceptedCall

NOT_SENT: Final = "`hypervisor script` refuses to send such transactions, before anything is sent"

_BLOB_WITH_DELEGATION: Final = (
    "both delegation and blob are active; `attachBlob` and `attachDelegation` are not compatible"
)


def attach(context: Context, name: str) -> None:
    """Record in a script that the next transaction depends on this cheatcode; no effect in a test."""
    found = context.state.broadcasts
    if found is not None:
        found.attached.append(name)


def record_unsent(context: Context, name: str) -> None:
    """Record that the cheatcode made a transaction that is not sent, if the script is broadcasting."""
    found = context.state.broadcasts
    if found is not None and any(prank.broadcast for prank in context.state.pranks.values()):
        found.unsendable.append(name)


def broadcasting(
    state: State, request: InterceptedCall, sender: EthAddress, operations: CallOperations
) -> tuple[CallOperations, EthAddress]:
    """Return the operations that make the call as a transaction, and the sender that makes it."""
    if request.kind not in (CallKind.CALL, None):
        return operations, sender
    caller = CREATE2_DEPLOYER if request.second else sender
    if request.second:
        operations = by_deployer(request, sender, operations)
    return replace(operations, proceed=_sending(state, request, sender, operations)), caller


def by_deployer(request: InterceptedCall, sender: EthAddress, operations: CallOperations) -> CallOperations:
    """Return the operations that make CREATE2 as a call of the default deployer, which passes the value on.

    As the deployer's code does, a failed creation reverts without data.
    """
    ledger, value = operations.ledger, request.value

    def move(payer: EthAddress, payee: EthAddress) -> None:
        if value:
            ledger.set_balance(payer, ledger.balance(payer) - value)
            ledger.set_balance(payee, ledger.balance(payee) + value)

    def create(deployer: EthAddress | None, code: EthAddress | None) -> SubcallOutcome:
        if ledger.balance(sender) < value:
            return SubcallOutcome(False)
        move(sender, CREATE2_DEPLOYER)
        nonce = ledger.nonce(CREATE2_DEPLOYER)
        outcome = operations.proceed(deployer, code)
        if outcome.success:
            return outcome
        move(CREATE2_DEPLOYER, sender)
        ledger.set_nonce(CREATE2_DEPLOYER, nonce)
        return SubcallOutcome(False)

    return replace(operations, proceed=create)


def _sending(
    state: State, request: InterceptedCall, sender: EthAddress, operations: CallOperations
) -> Callable[[EthAddress | None, EthAddress | None], SubcallOutcome]:
    """Return the operation `proceed` that uses up the sender's nonce, delegations and blob; scripts record the call."""
    ledger, found = operations.ledger, state.broadcasts
    proceed = operations.proceed if found is None else _recording(found, request, sender, operations)

    def send(name: EthAddress | None, code: EthAddress | None) -> SubcallOutcome:
        nonce = ledger.nonce(sender)
        if request.kind is not None:
            delegations, state.delegations = state.delegations, {}
            blob, state.blob = state.blob, False
            if blob and delegations:
                return SubcallOutcome(False, failure_data(_BLOB_WITH_DELEGATION))
            nonce += sender in delegations
        outcome = proceed(name, code)
        ledger.set_nonce(sender, nonce + 1)
        return outcome

    return send


def _recording(
    found: Broadcasts, request: InterceptedCall, sender: EthAddress, operations: CallOperations
) -> Callable[[EthAddress | None, EthAddress | None], SubcallOutcome]:
    """Return the operation `proceed` that also records the call as a transaction."""

    def proceed(name: EthAddress | None, code: EthAddress | None) -> SubcallOutcome:
        ledger = operations.ledger
        nonce = ledger.nonce(sender)
        index = len(found.calls)
        made = _transaction(request, sender, nonce)
        found.calls.append(made._replace(funds=ledger.balance(sender), url=operations.fork_url()))
        found.unsendable += found.attached
        found.attached.clear()
        outcome = operations.proceed(name, code)
        if request.kind is None and outcome.created is not None:
            found.calls[index] = found.calls[index]._replace(created=outcome.created)
        if request.kind is not None:
            found.calls[index] = found.calls[index]._replace(code=ledger.code(request.target))
        return outcome

    return proceed


def _transaction(request: InterceptedCall, sender: EthAddress, nonce: int) -> BroadcastCall:
    if request.second:
        created = create2_address(CREATE2_DEPLOYER, request.salt, request.data)
        data = request.salt + request.data
        return BroadcastCall(sender, nonce, CREATE2_DEPLOYER, request.value, data, created, second=True)
    to = None if request.kind is None else request.target
    return BroadcastCall(sender, nonce, to, request.value, request.data)


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
    from hypervisor_tools.soltest.cheatcodes.signing import account_of  # imported on use, like the cheatcodes

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
    if context.fork is not None and not broadcast:
        context.ledger.touch(sender)  # as in forge, the account is warm from here on
    if delegates and not context.ledger.code(sender):
        raise CheatcodeFailure("cannot `prank` delegate call from an EOA")
    context.state.may_have_failed |= delegates and sender == VM_ADDRESS
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
