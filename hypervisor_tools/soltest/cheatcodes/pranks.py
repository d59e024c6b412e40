"""Pranks and broadcasts: calls in another account's name.

Each call and creation that is broadcast as a signer becomes a transaction, which scripts record in order. As in forge,
each one increments the signer's nonce, static calls are not recorded, and CREATE2 is a call of the default deployer,
which then creates the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, failure_data
from hypervisor_tools.soltest.cheatcodes.state import (
    CREATE2_DEPLOYER,
    DEFAULT_SENDER,
    BroadcastCall,
    Broadcasts,
    State,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode, selector
from hypervisor_tools.soltest.cheatcodes.wording import text_of
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import CheatContext, Executed, FailureReason, InterceptedCall, Prank

NOT_SENT: Final = "`hypervisor script` refuses to send such transactions, before anything is sent"

_BLOB_WITH_DELEGATION: Final = (
    "both delegation and blob are active; `attachBlob` and `attachDelegation` are not compatible"
)


def attach(context: Context, name: str) -> None:
    """Record in a script that the next transaction depends on this cheatcode; no effect in a test."""
    found = context.state.broadcasts
    if found is not None:
        found.attached.append(name)


def is_broadcasting(context: Context) -> bool:
    """Return True while a broadcast goes on."""
    return context.state.uses_broadcasts and any(prank.broadcasts for prank in context.cheats.interception.pranks())


def record_unsent(context: Context, name: str) -> None:
    """Record that the cheatcode made a transaction that is not sent, if the script is broadcasting."""
    found = context.state.broadcasts
    if found is not None and is_broadcasting(context):
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


def _broadcasting(name: str, kind: str) -> None:
    def broadcast(context: Context, signer: EthAddress | int | None = None) -> None:
        if signer is None:
            signer = _default_sender(context)
        sender = _signer(context, signer) if isinstance(signer, int) else signer
        begin_prank(context, sender, sender, once=name == "broadcast", broadcasts=True)

    cheatcode(f"{name}({kind})", partial=_NO_TRANSACTIONS)(broadcast)


for _name, _kind in product(("broadcast", "startBroadcast"), ("", "address", "uint256")):
    _broadcasting(_name, _kind)


@cheatcode("stopBroadcast()", partial=_NO_TRANSACTIONS)
def _stop_broadcast(context: Context) -> None:
    interception = context.cheats.interception
    if all(prank.depth != context.depth for prank in interception.pranks()):
        raise CheatcodeFailure("no broadcast in progress to stop")
    stopped = interception.execute(
        CheatContext(context.caller, context.origin, context.depth, None), selector("stopPrank()")
    )
    if isinstance(stopped, Executed) and stopped.origin is not None:
        context.set_origin(stopped.origin)


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


def begin_prank(
    context: Context, sender: EthAddress, origin: EthAddress | None, *, once: bool, broadcasts: bool = False
) -> None:
    """Make the next call by the caller, or all calls, as the sender. Raises CheatcodeFailure."""
    if context.run is not None and not broadcasts:
        context.run.touch(sender)  # as in forge, the account is warm from here on
    context.state.uses_broadcasts |= broadcasts
    called = CheatContext(context.caller, context.origin, context.depth, None)
    prank = Prank(context.caller, sender, origin, context.origin, context.depth, once, False, broadcasts)
    begun = context.cheats.interception.begin_prank(prank, called)
    if isinstance(begun, FailureReason):
        raise CheatcodeFailure(text_of(begun, context.settings.events, context.settings.errors))
