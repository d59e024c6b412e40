"""State diffs: calls, creations and slots, as returned by `stopAndReturnStateDiff`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address
from fvm_hypervisor.soltest.cheatcodes.intercepted_call import CallOperations, InterceptedCall
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger
from fvm_hypervisor.soltest.cheatcodes.state import CREATE2_DEPLOYER, AccountAccess, State, StorageAccess
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.ethereum import EthereumHost

_KINDS: Final = {CallKind.CALL: 0, CallKind.DELEGATECALL: 1, CallKind.CALLCODE: 2, CallKind.STATICCALL: 3, None: 4}
RESUME: Final = 6
_SELFDESTRUCT: Final = "SELFDESTRUCT"
_OPCODES: Final = {_SELFDESTRUCT: 5, "BALANCE": 7, "EXTCODESIZE": 8, "EXTCODEHASH": 9, "EXTCODECOPY": 10}


def open_accesses(
    state: State,
    request: InterceptedCall,
    payer: EthAddress | None,
    sender: EthAddress | None,
    operations: CallOperations,
) -> list[tuple[InterceptedCall, AccountAccess]]:
    """Record a call before it is made; CREATE2 by the default deployer is a call of it, in which it creates."""
    calls = [(request, sender)]
    if request.second and sender == CREATE2_DEPLOYER != request.caller:
        data, made = request.salt + request.data, create2_address(CREATE2_DEPLOYER, request.salt, request.data)
        deployer = CREATE2_DEPLOYER
        calls = [
            (replace(request, kind=CallKind.CALL, target=deployer, receiver=deployer, data=data, second=False), payer),
            (replace(request, target=made, receiver=made, depth=request.depth + 1), sender),
        ]
    return [(call, _open_access(state, call, accessor, operations)) for call, accessor in calls]


def _open_access(
    state: State, request: InterceptedCall, sender: EthAddress | None, operations: CallOperations
) -> AccountAccess:
    """Record a call before it is made; a creation's address is set afterwards."""
    assert state.diff is not None
    ledger = operations.ledger
    assert isinstance(ledger, EthereumLedger), "state diffs require Ethereum's rules"
    exists, balance, nonce = (True, 0, 0) if request.kind is None else ledger.look_up(request.receiver)
    access = AccountAccess(
        chain=operations.chain_id,
        kind=_KINDS[request.kind],
        account=request.target,
        accessor=sender or request.sender or request.caller,
        initialized=exists,
        old_balance=balance,
        new_balance=0,
        deployed=b"",
        value=request.value,
        data=request.data,
        reverted=False,
        depth=request.depth,
        old_nonce=nonce,
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
        access.account, access.deployed = outcome.created, ledger.code(outcome.created)
    holder = access.account if request.kind is None else request.receiver
    access.new_balance, access.new_nonce = ledger.balance(holder), ledger.nonce(holder)
    if outcome.success or state.diff is None:
        return
    start = next((at for at, known in enumerate(state.diff) if known is access), len(state.diff))
    for below in state.diff[start:]:
        if below is access or below.depth > access.depth:
            below.reverted = True
            for slot in below.slots:
                slot.reverted = True


def note_opcode(state: State, host: EthereumHost, opcode: str, address: EthAddress) -> None:
    """Record an opcode that accesses an account."""
    assert state.diff is not None
    destroys = opcode == _SELFDESTRUCT
    if destroys and not state.diff:
        return  # the contract that started the recording
    ledger, calls = EthereumLedger(host.accounts), host.calls
    balance, nonce, value = ledger.balance(address), ledger.nonce(address), host.get_self_balance() if destroys else 0
    state.diff.append(AccountAccess(
        calls.machine.context.chain_id, _OPCODES[opcode], address, host.address, ledger.find(address) is not None,
        balance, balance + value, b"", value, b"", False, calls.depth, nonce, nonce,
    ))  # fmt: skip


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
