"""State diffs: calls, creations and slots, as returned by `stopAndReturnStateDiff`."""

from __future__ import annotations

from typing import Final

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.intercepted_call import CallOperations, InterceptedCall
from fvm_hypervisor.soltest.cheatcodes.state import AccountAccess, State, StorageAccess
from runtimes.evm import CallKind, SubcallOutcome

_KINDS: Final = {CallKind.CALL: 0, CallKind.DELEGATECALL: 1, CallKind.CALLCODE: 2, CallKind.STATICCALL: 3, None: 4}
RESUME: Final = 6


def open_access(
    state: State, request: InterceptedCall, sender: EthAddress | None, operations: CallOperations
) -> AccountAccess:
    """Record a call before it is made; a creation's address is set afterwards."""
    assert state.diff is not None
    ledger = operations.ledger
    access = AccountAccess(
        chain=operations.chain_id,
        kind=_KINDS[request.kind],
        account=request.target,
        accessor=sender or request.caller,
        initialized=request.kind is not None and ledger.find(request.target) is not None,
        old_balance=0 if request.kind is None else ledger.balance(request.target),
        new_balance=0,
        deployed=b"",
        value=request.value,
        data=request.data,
        reverted=False,
        depth=request.depth,
        old_nonce=0 if request.kind is None else ledger.nonce(request.target),
        new_nonce=0,
    )
    state.diff.append(access)
    state.open_diffs.append(access)
    return access


def close_access(
    state: State, access: AccountAccess, request: InterceptedCall, outcome: SubcallOutcome, operations: CallOperations
) -> None:
    """Complete the record of a call; if it failed, nested ones are marked as reverted too."""
    ledger = operations.ledger
    if access in state.open_diffs:
        state.open_diffs.remove(access)
    if request.kind is None and outcome.created is not None:
        access.account, access.initialized = outcome.created, True
        access.deployed = ledger.code(outcome.created)
    access.new_balance, access.new_nonce = ledger.balance(access.account), ledger.nonce(access.account)
    if outcome.success or state.diff is None:
        return
    start = next((at for at, known in enumerate(state.diff) if known is access), len(state.diff))
    for below in state.diff[start:]:
        if below is access or below.depth > access.depth:
            below.reverted = True
            for slot in below.slots:
                slot.reverted = True


def note_slot(state: State, account: EthAddress, slot: int, written: bool, before: int, after: int) -> None:
    """Record a slot access of the current call, in a new row if other calls were recorded since it began."""
    assert state.diff is not None
    if not state.open_diffs:
        return
    row = state.open_diffs[-1]
    last = state.diff[-1]
    if last is not row:
        if last.kind == RESUME and (last.account, last.depth) == (row.account, row.depth):
            row = last
        else:
            row = AccountAccess(
                row.chain, RESUME, row.account, row.accessor, row.initialized, 0, 0, b"", 0, b"", False, row.depth, 0, 0
            )
            state.diff.append(row)
    row.slots.append(StorageAccess(account, slot, written, before, after))
